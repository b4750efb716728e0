"""Values as /metrics shows them."""

from prometheus_client.parser import text_string_to_metric_families

from sengol_api.observability.metrics.text import exposition
from sengol_api.observability.telemetry import Telemetry


def calls_of(telemetry: Telemetry, pipeline: str) -> tuple[float, float]:
    """How many calls and how many attempts of a pipeline have ended."""
    page = exposition(telemetry.samples()).decode()
    sums = dict.fromkeys(("sengol_pipeline_calls_total", "sengol_pipeline_attempts_total"), 0.0)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in sums and sample.labels["pipeline"] == pipeline:
                sums[sample.name] += sample.value
    calls, attempts = sums.values()
    return calls, attempts
