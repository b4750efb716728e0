"""What the page is told of a host, from what its workers said."""

import msgspec
import pytest

import sengol_api.observability.telemetry  # noqa: F401 - enters all metrics into the catalogue
from sengol_api.api.status.board import status
from sengol_api.ops.status.changes import Change
from sengol_api.ops.status.host import Breaker, Check, Seen, Work, Worker
from sengol_api.ops.status.timeline import Window
from sengol_api.ops.status.trail import KEPT, STEP

NOW = 1_800_000_000.0
OK = Check("ok", 0.004, required=True)


def worker(place=1, *, state="answered", **told) -> Worker:
    told = {"started": NOW - 1000, "status": "ok", "checks": {"database": OK}, **told}
    return Worker(place, state, **told) if state == "answered" else Worker(place, state)


def breaker(state, *, since=NOW - 20, retry_after=None, failures=0) -> Breaker:
    return Breaker(state, since, retry_after, failures)


def seen(*workers, samples=None, steps=()) -> Seen:
    empty = [None] * (KEPT - len(steps))
    return Seen(NOW, workers or (worker(),), samples or {}, Window([*empty, *steps]))


def told(*workers, **more):
    return status(seen(*workers, **more))


def problems(answer):
    return [(each.severity, each.about) for each in answer.problems]


# --- how it is


def test_a_host_on_which_all_is_well_says_so_and_nothing_else():
    answer = told(worker(1), worker(2))
    assert (answer.status, answer.problems) == ("ok", [])


def test_without_a_word_from_any_worker_nothing_is_known():
    assert told(worker(1, state="silent")).status == "unknown"
    assert told(worker(1, status=None, checks={})).status == "unknown"


def test_it_is_down_when_no_worker_can_serve_and_degraded_while_one_can():
    away = worker(1, status="down", checks={"database": Check("down", 1.0, "no answer within 1000 ms", required=True)})
    assert told(away).status == "down"
    both = told(away, worker(2))
    assert both.status == "degraded"
    (problem,) = both.problems
    assert problem.severity == "down"
    assert problem.text == "is down: no answer within 1000 ms (in 1 of 2 workers), and no request can be served without it"


@pytest.mark.parametrize("state", ["silent", "failed"])
def test_a_worker_that_does_not_speak_degrades_the_host(state):
    answer = told(worker(1), worker(2, state=state))
    assert (answer.status, problems(answer)) == ("degraded", [("degraded", "worker 2")])


def test_a_place_that_nobody_has_taken_yet_is_a_warning():
    answer = told(worker(1), worker(2, state="gone"))
    assert (answer.status, problems(answer)) == ("ok", [("warning", "worker 2")])


def test_the_gravest_comes_first_and_of_one_dependency_all_is_said_in_one_line():
    answer = told(
        worker(
            status="down",
            lag=0.9,
            checks={
                "dvecdb": Check("down", 1.0, "failed with OSError", "dvecdb"),
                "database": Check("down", 1.0, "x", required=True),
            },
            breakers={"dvecdb": breaker("OPEN")},
        )
    )
    assert problems(answer) == [("down", "database"), ("degraded", "dvecdb"), ("warning", "worker 1")]
    assert answer.problems[1].text == "is down: failed with OSError; its circuit breaker is open: no call is made"


def test_background_work_that_fails_again_and_again_is_told():
    failing = {"orders": Work("paused", 4, "OSError"), "prices": Work("running", 1, "OSError")}
    (problem,) = told(worker(background=failing)).problems
    assert (problem.about, problem.text) == ("orders", "fails, and is started again: 4 times in a row, the last time with OSError")


def test_stores_that_are_away_overload_and_chaos_are_told():
    samples = {
        "sengol_rate_limit_keys": {("limit.requests",): 3.0},
        "sengol_cache_tier_away": {("review",): 1.0},
        "sengol_chaos_enabled": {("dvecdb",): 1.0},
        "sengol_admission_limit": {("admission.heavy",): 4.0},
        "sengol_admission_overloaded": {("admission.heavy",): 1.0},
        "sengol_admission_queued": {("admission.heavy", "batch"): 7.0, ("admission.heavy", "interactive"): 2.0},
    }
    answer = told(worker(stores={"limit.requests": "away"}), samples=samples)
    assert {about for _, about in problems(answer)} == {"rate limits", "caches", "chaos", "admission.heavy"}
    assert "9 wait" in next(each.text for each in answer.problems if each.about == "admission.heavy")
    assert answer.status == "ok"


# --- circuit breakers


def test_of_several_states_the_gravest_is_shown_with_how_many_workers_have_which():
    found = told(
        worker(1, breakers={"dvecdb": breaker("CLOSED")}), worker(2, breakers={"dvecdb": breaker("OPEN", retry_after=9.0)})
    )
    (card,) = [each for each in found.dependencies if each.name == "dvecdb"]
    assert (card.breaker.state, card.breaker.states, card.breaker.retry_after) == ("OPEN", {"CLOSED": 1, "OPEN": 1}, 9.0)
    assert "in 1 of 2 workers" in found.problems[0].text


def test_a_breaker_goes_with_the_dependency_that_it_guards_and_others_have_cards_of_their_own():
    checks = {"openai": Check("ok", 0.1, pipeline="openai.chat.primary")}
    breakers = {"openai.chat.primary": breaker("CLOSED"), "openai.key.primary": breaker("CLOSED")}
    cards = told(worker(checks=checks, breakers=breakers)).dependencies
    assert [(card.name, card.breaker.name) for card in cards] == [
        ("openai", "openai.chat.primary"),
        ("openai.key.primary", "openai.key.primary"),
    ]


def changed(at, previous, state):
    return Change(NOW + at, previous, state, "5 failures within 120 s", "OSError")


def test_the_lane_of_a_worker_shows_its_states_from_its_start_to_now():
    history = {"dvecdb": (changed(-100, "CLOSED", "OPEN"), changed(-40, "OPEN", "HALF_OPEN"), changed(-39, "HALF_OPEN", "CLOSED"))}
    young = worker(started=NOW - 200, breakers={"dvecdb": breaker("CLOSED")}, changes=history)
    (lane,) = told(young).dependencies[-1].breaker.lanes
    assert [(span.start, span.end, span.state) for span in lane.spans] == [
        (100, 200, "CLOSED"),
        (200, 260, "OPEN"),
        (260, 261, "HALF_OPEN"),
        (261, 300, "CLOSED"),
    ]


def test_a_breaker_that_opened_long_ago_is_open_all_along():
    history = {"dvecdb": (changed(-900, "CLOSED", "OPEN"),)}
    (lane,) = told(worker(breakers={"dvecdb": breaker("OPEN")}, changes=history)).dependencies[-1].breaker.lanes
    assert [(span.start, span.end, span.state) for span in lane.spans] == [(0, 300, "OPEN")]


def test_a_change_that_came_to_several_workers_at_once_is_one_and_the_latest_is_first():
    one = {"dvecdb": (changed(-100, "CLOSED", "OPEN"), changed(-40, "OPEN", "CLOSED"))}
    two = {"dvecdb": (changed(-99, "CLOSED", "OPEN"), changed(-30, "OPEN", "CLOSED"))}
    here = {"breakers": {"dvecdb": breaker("CLOSED")}}
    changes = told(worker(1, changes=one, **here), worker(2, changes=two, **here)).dependencies[-1].breaker.changes
    assert [(change.state, change.workers) for change in changes] == [("CLOSED", [2]), ("CLOSED", [1]), ("OPEN", [1, 2])]


def test_a_breaker_that_flaps_within_a_moment_has_each_of_its_changes():
    flaps = {"dvecdb": (changed(-9, "CLOSED", "OPEN"), changed(-8.5, "OPEN", "CLOSED"), changed(-8, "CLOSED", "OPEN"))}
    changes = told(worker(breakers={"dvecdb": breaker("OPEN")}, changes=flaps)).dependencies[-1].breaker.changes
    assert [(change.state, change.workers) for change in changes] == [("OPEN", [1]), ("CLOSED", [1]), ("OPEN", [1])]


# --- figures


def test_only_requests_to_the_api_count_as_requests():
    requests = {("GET", "/api/review", "2xx"): 30.0, ("POST", "/api/review", "5xx"): 10.0, ("GET", "/health", "2xx"): 500.0}
    service = told(samples={"sengol_http_requests_total": requests}, steps=[{"sengol_http_requests_total": requests}]).service
    assert (service.requests[-1], service.failed[-1], service.failed_share) == (8.0, 0.25, 0.25)
    assert service.per_second == 8.0
    assert service.requests[0] is None


def test_many_failed_requests_are_a_warning():
    requests = {("GET", "/api/review", "2xx"): 90.0, ("POST", "/api/review", "5xx"): 10.0}
    answer = told(samples={"sengol_http_requests_total": requests}, steps=[{"sengol_http_requests_total": requests}])
    assert (answer.status, problems(answer)) == ("ok", [("warning", "requests")])


def test_calls_of_a_dependency_are_those_that_were_made_and_the_refused_ones_beside():
    step = {
        "sengol_pipeline_attempts_total": {("dvecdb", "success"): 6.0, ("dvecdb", "error"): 1.0, ("dvecdb", "timeout"): 1.0},
        "sengol_pipeline_calls_total": {("dvecdb", "rejected"): 40.0},
        "sengol_pipeline_attempt_duration_seconds": {("dvecdb",): [0.1, *([0.0] * 3), 8.0, *([0.0] * 12)]},
    }
    card = told(worker(breakers={"dvecdb": breaker("CLOSED")}), steps=[{}, step]).dependencies[-1]
    assert (card.calls.recent, card.calls.failed_recent, card.breaker.refused) == (8, 2, 40)
    assert (card.calls.failed[-1], card.calls.attempts[-2:]) == (0.25, [0, 8])
    assert 5 < card.calls.median < 10
    assert card.calls.slow[-2] is None


def test_the_hit_rate_is_that_of_five_minutes_and_none_without_calls():
    samples = {"sengol_cache_entries": {("review",): 3.0, ("idle",): 1.0}, "sengol_cache_tier_away": {("review",): 0.0}}
    step = {"sengol_cache_requests_total": {("review", "hit"): 6.0, ("review", "miss"): 2.0}}
    idle, review = told(samples=samples, steps=[step]).caches
    assert (review.hit_share, review.tier) == (0.75, "read")
    assert (idle.hit_share, idle.tier) == (None, None)


def test_what_was_turned_away_is_told_with_its_reasons():
    samples = {
        "sengol_admission_limit": {("admission.heavy",): 4.0},
        "sengol_admission_in_flight": {("admission.heavy",): 3.0},
        "sengol_bulkhead_limit": {("dvecdb",): 32.0},
    }
    step = {
        "sengol_admission_turned_away_total": {("admission.heavy", "full"): 5.0, ("admission.heavy", "waited"): 2.0},
        "sengol_bulkhead_rejected_total": {("dvecdb", "expired"): 1.0},
    }
    answer = told(samples=samples, steps=[step])
    heavy, dvecdb = answer.places
    assert answer.service.in_flight == 3
    assert (heavy.limit, heavy.in_flight, heavy.turned_away, heavy.reasons) == (4, 3, 7, {"full": 5, "waited": 2})
    assert (dvecdb.name, dvecdb.turned_away) == ("dvecdb", 1)


def test_rungs_limits_and_models_are_told_for_five_minutes_and_in_all():
    samples = {
        "sengol_rungs_served_total": {("model", "fresh"): 90.0, ("model", "evidence"): 7.0},
        "sengol_rate_limit_keys": {("limit.requests",): 2.0},
        "sengol_model_tokens_total": {("gpt-4o", "input"): 1000.0, ("gpt-4o", "output"): 100.0, ("local", "input"): 5.0},
        "sengol_model_cost_dollars_total": {("gpt-4o",): 1.5},
    }
    step = {
        "sengol_rungs_served_total": {("model", "evidence"): 7.0},
        "sengol_rate_limit_calls_total": {("limit.requests", "allowed"): 9.0, ("limit.requests", "rejected"): 1.0},
        "sengol_model_tokens_total": {("gpt-4o", "input"): 50.0},
        "sengol_model_cost_dollars_total": {("gpt-4o",): 0.25},
    }
    answer = told(worker(stores={"limit.requests": "shared"}), samples=samples, steps=[step])
    assert [(rung.served, rung.recent, rung.total) for rung in answer.rungs] == [("evidence", 7, 7), ("fresh", 0, 90)]
    assert [(limit.allowed, limit.refused, limit.store) for limit in answer.limits] == [(9, 1, "shared")]
    priced, unpriced = answer.models
    assert (priced.input, priced.input_total, priced.cost, priced.cost_total) == (50, 1000, 0.25, 1.5)
    assert (unpriced.cost, unpriced.cost_total) == (None, None)


def test_all_of_it_is_json_in_camel_case_with_series_of_five_minutes():
    answer = msgspec.json.decode(msgspec.json.encode(told(worker(breakers={"dvecdb": breaker("OPEN")}))))
    assert {
        "startedAt",
        "problems",
        "service",
        "dependencies",
        "caches",
        "places",
        "rungs",
        "limits",
        "models",
        "workers",
    } <= answer.keys()
    assert len(answer["service"]["slow"]) * answer["step"] == KEPT * STEP == 300
