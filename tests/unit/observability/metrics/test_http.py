"""Requests as metrics: bounded labels, whatever clients send."""

from sengol_api.adapters.openai.answers import Usage as Tokens
from sengol_api.adapters.openai.prices import Price
from sengol_api.adapters.openai.statistics import Statistics
from sengol_api.observability.metrics.http import HttpRequests
from sengol_api.observability.metrics.model import gathered
from sengol_api.observability.metrics.work import Rungs, Usage


def test_requests_are_counted_by_method_template_and_class_of_status():
    http = HttpRequests()
    for status in (200, 201, 404, 503, 0):
        http.begin()
        http.end("GET", "/api/review/{id}", status, 0.004, "NOT_FOUND" if status == 404 else None)
    http.begin()
    found = gathered(http.collect())
    assert {labels[2]: value for labels, value in found["sengol_http_requests_total"].items()} == {
        "2xx": 2.0, "4xx": 1.0, "5xx": 1.0, "none": 1.0,
    }  # fmt: skip
    assert found["sengol_http_requests_in_flight"] == {(): 1.0}
    assert found["sengol_http_errors_total"] == {("NOT_FOUND",): 1.0}
    total, *counts = found["sengol_http_request_duration_seconds"]["GET", "/api/review/{id}"]
    assert (round(total, 6), sum(counts), counts[2]) == (0.02, 5.0, 5.0)


def test_methods_and_statuses_that_nobody_knows_are_one_label_each():
    http = HttpRequests()
    for number in range(1000):
        http.end(f"BREW{number}", "(none)", 600 + number, 0.001)
    found = gathered(http.collect())
    assert found["sengol_http_requests_total"] == {("other", "(none)", "none"): 1000.0}
    assert len(found["sengol_http_request_duration_seconds"]) == 1


def test_what_served_is_counted():
    rungs = Rungs()
    rungs.count("vector index", "embedded")
    rungs.count("vector index", "embedded")
    assert gathered(rungs.collect()) == {"sengol_rungs_served_total": {("vector index", "embedded"): 2.0}}


def test_what_models_took_is_read_from_the_client_that_counts_it():
    statistics = Statistics({"small": Price(1.0, 2.0)})
    usage = Usage()
    usage.follow(lambda: statistics.snapshot(0))
    statistics.sent()
    statistics.sent()
    statistics.failed("timeout")
    statistics.lost()
    statistics.used("small", Tokens(800_000, 100_000, 500_000))
    statistics.used("unknown", Tokens(1, 2, 0))
    found = gathered(usage.collect())
    assert found["sengol_model_requests_total"] == {(): 2.0}
    assert found["sengol_model_errors_total"] == {("timeout",): 1.0}
    assert found["sengol_model_maybe_billed_total"] == {(): 1.0}
    assert found["sengol_model_tokens_total"] == {
        ("small", "input"): 800_000.0, ("small", "output"): 100_000.0, ("small", "cached"): 500_000.0,
        ("unknown", "input"): 1.0, ("unknown", "output"): 2.0, ("unknown", "cached"): 0.0,
    }  # fmt: skip
    assert set(found["sengol_model_cost_dollars_total"]) == {("small",)}
    assert found["sengol_model_cost_dollars_total"]["small",] > 0
