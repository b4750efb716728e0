"""``ADAPTIVE_TIMEOUTS`` in the wired service: whose limits follow the latency, and where one sees them."""

import pytest

from faults.conftest import a_request
from sengol_api.observability.metrics.toolkit import toolkit_samples
from support.dvecdb.fake import fake_dvecdb

FOLLOWED = {"openai.chat.primary", "openai.embeddings.primary", "dvecdb"}


def limits(services):
    """The limits that metrics show, by pipeline and policy."""
    return {
        labels: value
        for family, labels, value in toolkit_samples(services.registry)
        if family.name == "sengol_timeout_limit_seconds"
    }


@pytest.fixture
def upstreams(openai):
    """Settings of a service with both."""
    with fake_dvecdb() as server:
        yield {
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": openai.base_url,
            "OPENAI_TIMEOUT": 40_000,
            "EMBEDDINGS": "local",
            "VECTOR_INDEX": "dvecdb",
            "DVECDB_HOST": "127.0.0.1",
            "DVECDB_PORT": server.port,
            "DVECDB_TIMEOUT": 500,
        }


async def test_with_it_limits_of_upstreams_follow_the_latency_and_are_seen_in_health_and_metrics(upstreams, service):
    async with service(ADAPTIVE_TIMEOUTS="true", **upstreams) as services:
        shown = limits(services)
        assert {pipeline for pipeline, policy in shown if policy == "adaptive_timeout"} == FOLLOWED
        assert shown["openai.chat.primary", "adaptive_timeout"] == shown["openai.chat.primary", "timeout"] == 40.0
        assert shown["dvecdb", "adaptive_timeout"] == 0.5, "never above DVECDB_TIMEOUT"
        made = (await services.generate(a_request())).generated
        assert made.model == "gpt-4o"
        checks = (await services.health.report()).checks
        assert (checks["openai"].limit.limit, checks["openai"].limit.samples) == (40.0, 3)
        assert 0 < checks["dvecdb"].limit.limit <= 0.5
        assert checks["database"].limit is None


async def test_without_it_they_are_fixed(upstreams, service):
    async with service(**upstreams) as services:
        assert not any(policy == "adaptive_timeout" for _, policy in limits(services))
        assert all(check.limit is None for check in (await services.health.report()).checks.values())
