"""What the log of the real server says while its database is away."""

import json
from collections import Counter

import pytest

from support.postgres import postgres_process

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]
REQUESTS = 60


def test_an_outage_of_the_database_is_told_once_in_full_and_not_with_every_request(small):
    codes = Counter()
    with postgres_process() as postgres:
        server = small(LOG_FORMAT="json", DATABASE_URL=postgres.url.format("postgres")).wait_until_ready()
        with server.log_in() as client:
            assert client.get("/api/review").status_code == 200
            postgres.stop()
            for _ in range(REQUESTS):
                codes[client.get("/api/review").json()["code"]] += 1
            metrics = client.get("/metrics").text.splitlines()
            postgres.start()
            assert client.get("/api/review").status_code == 200
        server.process.terminate()
        assert server.process.wait(60) == 0
    for code, times in codes.items():
        assert f'sengol_http_errors_total{{code="{code}"}} {times}' in metrics
    told = [line for line in map(json.loads, server.errors.splitlines()) if line["message"] == "operation failed"]
    assert {(line["route"], line["method"], line["code"]) for line in told} == {("/api/review", "GET", "DATABASE_ERROR")}
    assert 1 <= len(told) <= 5
    assert "exception" in told[0]
