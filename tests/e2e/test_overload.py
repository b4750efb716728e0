"""More reviews at once than a process can compute, while the model that it should ask is away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.service_process import free_ports
from support.wire import SYSTEM

pytestmark = pytest.mark.e2e
PEOPLE = 24
PATIENCE = 45.0


def limit_of(client) -> float:
    """How much heavy work is let in at once."""
    name = 'sengol_admission_limit{pipeline="admission.heavy"} '
    return next(float(line.removeprefix(name)) for line in client.get("/metrics").text.splitlines() if line.startswith(name))


def test_while_the_model_is_away_no_more_reviews_are_let_in_than_are_computed(start):
    away = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{free_ports(1)[0]}/v1", "EMBEDDINGS": "local"}
    server = start(RATE_LIMIT_PER_MINUTE="1000000", LOGIN_LIMIT_PER_MINUTE="1000000", **away).wait_until_ready()
    enough, statuses = threading.Event(), set()

    def ask(person: int) -> None:
        with server.log_in(f"person-{person}@example.com") as client:
            review, number = client.post("/api/review", json={}).json()["data"]["id"], 0
            while not enough.is_set():
                number += 1
                body = {**SYSTEM, "systemDescription": f"{SYSTEM['systemDescription']} About {number} sites of person {person}."}
                statuses.add(client.post(f"/api/review/{review}/generate-questions", json=body).status_code)

    with server.client() as looking, ThreadPoolExecutor(PEOPLE) as people:
        assert limit_of(looking) == 16
        asking = [people.submit(ask, person) for person in range(PEOPLE)]
        try:
            end = time.monotonic() + PATIENCE
            while limit_of(looking) > 2 and time.monotonic() < end:
                time.sleep(0.2)
            assert limit_of(looking) <= 2
        finally:
            enough.set()
        for each in asking:
            each.result()
    assert statuses <= {200, 503}
    assert 200 in statuses
