"""Chat on virtual time: retries, timeouts, breakers, quotas, and the chain of providers."""

import asyncio

import pytest

from sengol_api.adapters.openai import (
    BadAnswerError,
    FilteredRequestError,
    KeyRefusedError,
    LateAnswerError,
    NoSuchModelError,
    QuotaError,
    RateLimitedError,
    RefusalError,
    RequestRefusedError,
    ServerFailedError,
    TooLongError,
    UnavailableError,
)
from sengol_api.observability.events import observe
from sengol_api.observability.telemetry import Telemetry
from sengol_api.resilience import CircuitBreaker, CircuitState, Hedge, OptionsError, Registry, deadline
from sengol_api.resilience.testing import after, hang, policies_off, run_virtual
from support.ids import stable
from support.openai_clients import ASK, client_over, question
from support.openai_sdk import FakeSdk, Said, answered, broken, refused
from support.scraped import calls_of


def state(client, name):
    return client.registry.breakers()[name].state


async def rejected(client, count, first=100):
    """Ask so many different questions; how many had no answer."""
    results = await asyncio.gather(
        *(client.chat_completion(question(first + number)) for number in range(count)), return_exceptions=True
    )
    return [each for each in results if isinstance(each, Exception)]


def test_an_answer_says_who_gave_it_and_what_it_took():
    async def main(clock):
        sdk = FakeSdk(Said("Yes."))
        answer = await client_over(clock, sdk).chat_completion(ASK, max_tokens=50)
        assert (answer.text, answer.model, answer.provider) == ("Yes.", "gpt-4o", "primary")
        assert (answer.source, answer.reason, answer.age, answer.calls) == ("fresh", "", 0.0, 1)
        assert answer.usage.input_tokens > 0
        body = {"model": "gpt-4o", "messages": ASK, "temperature": 0.3, "max_tokens": 50}
        assert sdk.bodies == [body]

    run_virtual(main)


def test_a_failure_that_passes_is_tried_again_and_others_are_not():
    async def main(clock):
        sdk = FakeSdk(refused(500), broken(), Said("Yes."))
        answer = await client_over(clock, sdk).chat_completion(ASK)
        assert (answer.text, answer.calls, sdk.count) == ("Yes.", 3, 3)
        for error, kind in ((400, "request_refused"), (404, "not_found"), (403, "access_denied")):
            sdk = FakeSdk(refused(error))
            with pytest.raises(Exception, match=f"status {error}") as caught:
                await client_over(clock, sdk).chat_completion(ASK)
            assert (caught.value.reason, sdk.count) == (kind, 1)

    run_virtual(main)


def test_retries_end_with_the_error_of_the_provider_and_their_number_is_an_option():
    async def main(clock):
        sdk = FakeSdk(refused(502))
        client = client_over(clock, sdk, options={"max_retries": 2})
        with pytest.raises(ServerFailedError):
            await client.chat_completion(ASK)
        assert sdk.count == 3
        with pytest.raises(ServerFailedError):
            await client.chat_completion(ASK, max_retries=0)
        assert sdk.count == 4
        assert (client.get_stats().retries, client.get_stats().errors) == (2, {"server_error": 4})

    run_virtual(main)


def test_no_retry_comes_before_the_provider_allows_it():
    async def main(clock):
        sdk = FakeSdk(refused(429, {"retry-after": "7"}), Said())
        await client_over(clock, sdk).chat_completion(ASK)
        assert clock.now() - 1000 >= 7.0
        slow = FakeSdk(refused(429, {"retry-after": "90"}), Said())
        client = client_over(clock, slow)
        started = clock.now()
        with pytest.raises(RateLimitedError) as caught:
            await client.chat_completion(ASK)
        assert (caught.value.retry_after, slow.count, clock.now()) == (90.0, 1, started)
        with pytest.raises(UnavailableError) as held:
            await client.chat_completion(question(2))
        assert held.value.retry_after == pytest.approx(90.0)
        assert slow.count == 1

    run_virtual(main)


def test_an_attempt_that_takes_too_long_is_cut_and_tried_again():
    async def main(clock):
        sdk = FakeSdk(hang, after(59.0, Said("Late.")))
        client = client_over(clock, sdk)
        answer = await client.chat_completion(ASK)
        assert (answer.text, sdk.script.cancelled) == ("Late.", 1)
        stats = client.get_stats()
        assert (stats.maybe_billed, stats.errors, stats.retries) == (1, {"timeout": 1}, 1)

    run_virtual(main)


def test_the_time_of_an_attempt_can_be_given_for_one_call():
    async def main(clock):
        sdk = FakeSdk(after(100.0, Said("Long.")))
        client = client_over(clock, sdk)
        assert (await client.chat_completion(ASK, timeout=150.0)).text == "Long."
        started = clock.now()
        with pytest.raises(LateAnswerError) as caught:
            await client.chat_completion(question(1), timeout=5.0, max_retries=0)
        assert clock.now() - started == pytest.approx(5.0, rel=0.02)
        assert not caught.value.by_deadline
        assert client.registry["openai.chat.primary"]["timeout"].limit == 60.0

    run_virtual(main)


def test_calls_with_limits_of_their_own_are_counted_as_all_others():
    async def main(clock):
        registry, telemetry = Registry(), Telemetry()
        client = client_over(clock, FakeSdk(refused(500), Said("Yes.")), registry=registry)
        observe(registry, telemetry)
        await client.chat_completion(ASK, timeout=150.0)
        await client.chat_completion(question(1), max_retries=0)
        await client.chat_completion(question(2))
        assert calls_of(telemetry, "openai.chat.primary") == (3, 4)

    run_virtual(main)


def test_limits_of_one_call_share_the_retry_budget_with_all_others():
    async def main(clock):
        sdk = FakeSdk(refused(500))
        client = client_over(clock, sdk, options={"breaker": CircuitBreaker(failure_threshold=10_000)})
        await asyncio.gather(
            *(client.chat_completion(question(number), max_retries=3 + number % 5, timeout=30.0 + number) for number in range(100)),
            return_exceptions=True,
        )
        assert sdk.count <= 100 + 10 + 0.2 * 100 + 20  # calls, the floor of the budget, its share, and what comes with the time

    run_virtual(main)


@pytest.mark.parametrize("first", [hang, refused(500), answered(b"<html>"), refused(503, {"retry-after": "1"})], ids=stable)
def test_a_dead_provider_is_asked_no_more_once_its_circuit_is_open(first):
    async def main(clock):
        sdk = FakeSdk(first)
        client = client_over(clock, sdk)
        for number in range(8):
            with pytest.raises(Exception, match=r".") as caught, deadline(10.0, clock=clock):
                await client.chat_completion(question(number))
            if state(client, "openai.chat.primary") is CircuitState.OPEN:
                break
        assert state(client, "openai.chat.primary") is CircuitState.OPEN
        count = sdk.count
        failures = await rejected(client, 50)
        assert len(failures) == 50
        assert all(isinstance(each, UnavailableError) for each in failures)
        assert 0 < failures[0].retry_after <= 60
        assert failures[0].code == "CIRCUIT_BREAKER_OPEN"
        assert sdk.count == count
        assert caught.value is not None

    run_virtual(main)


def test_a_silent_provider_opens_its_circuit_through_callers_deadlines_alone():
    """The shared work runs apart from its callers: it has to see their end, or nobody would ever learn that nothing comes."""

    async def main(clock):
        sdk = FakeSdk(hang)
        client = client_over(clock, sdk)
        for number in range(5):
            started = clock.now()
            with pytest.raises(LateAnswerError) as caught, deadline(2.0, clock=clock):
                await client.chat_completion(question(number))
            assert caught.value.by_deadline
            assert clock.now() - started <= 2.0
        assert state(client, "openai.chat.primary") is CircuitState.OPEN
        assert sdk.count == 5

    run_virtual(main)


def test_callers_in_a_hurry_do_not_open_the_circuit_of_a_healthy_provider():
    async def main(clock):
        sdk = FakeSdk(after(8.0, Said()))
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        for number in range(20):
            with pytest.raises(LateAnswerError), deadline(1.0, clock=clock):
                await client.chat_completion(question(number))
        assert state(client, "openai.chat.primary") is CircuitState.CLOSED
        assert (await client.chat_completion(question(99))).source == "fresh"

    run_virtual(main)


def test_deadlines_too_short_for_any_model_say_nothing_about_one():
    async def main(clock):
        client = client_over(clock, FakeSdk(after(1.0, Said())))
        for number in range(20):
            with pytest.raises(LateAnswerError), deadline(0.05, clock=clock):
                await client.chat_completion(question(number))
        assert state(client, "openai.chat.primary") is CircuitState.CLOSED

    run_virtual(main)


def test_a_spent_quota_costs_exactly_one_call_in_each_cool_down():
    async def main(clock):
        sdk = FakeSdk(after(0.5, refused(429, {"retry-after": "1"}, code="insufficient_quota")))
        client = client_over(clock, sdk)
        with pytest.raises(QuotaError):
            await client.chat_completion(ASK)
        assert sdk.count == 1
        for cool_down in range(1, 4):
            assert len(await rejected(client, 20)) == 20
            with pytest.raises(UnavailableError):
                await client.generate_embedding("text")  # the account is one
            assert sdk.count == cool_down
            await asyncio.sleep(60.1)
            assert len(await rejected(client, 20)) == 20
            assert sdk.count == cool_down + 1
        assert client.get_stats().errors == {"quota": 4}

    run_virtual(main)


def test_a_paid_bill_is_noticed_at_the_next_try():
    async def main(clock):
        sdk = FakeSdk(refused(429, type="insufficient_quota"), Said())
        client = client_over(clock, sdk)
        with pytest.raises(QuotaError):
            await client.chat_completion(ASK)
        await asyncio.sleep(60.1)
        assert (await client.chat_completion(ASK)).source == "fresh"
        assert state(client, "openai.key.primary") is CircuitState.CLOSED
        assert await rejected(client, 10) == []

    run_virtual(main)


def test_a_key_that_is_refused_is_not_tried_by_every_call():
    async def main(clock):
        sdk = FakeSdk(refused(401))
        client = client_over(clock, sdk)
        with pytest.raises(KeyRefusedError, match="OPENAI_API_KEY"):
            await client.chat_completion(ASK)
        assert len(await rejected(client, 20)) == 20
        assert sdk.count == 1

    run_virtual(main)


def test_a_key_alone_is_not_guilty_of_failures_of_the_server():
    async def main(clock):
        client = client_over(clock, FakeSdk(refused(500)), options={"max_retries": 0})
        assert len(await rejected(client, 20)) == 20
        assert state(client, "openai.key.primary") is CircuitState.CLOSED

    run_virtual(main)


def test_a_name_of_a_model_that_a_caller_got_wrong_harms_nobody_else():
    async def main(clock):
        sdk = FakeSdk(refused(404))
        client = client_over(clock, sdk)
        for number in range(10):
            with pytest.raises(NoSuchModelError):
                await client.chat_completion(question(number), model="gpt-typo")
        assert state(client, "openai.chat.primary") is CircuitState.CLOSED
        for number in range(5):
            with pytest.raises(NoSuchModelError):
                await client.chat_completion(question(number))
        assert state(client, "openai.chat.primary") is CircuitState.OPEN

    run_virtual(main)


# The chain


def test_the_next_provider_serves_when_one_has_no_answer_and_the_answer_says_so():
    async def main(clock):
        first, second = FakeSdk(refused(500)), FakeSdk(Said("From the second."))
        client = client_over(clock, first, second, options={"max_retries": 1})
        answer = await client.chat_completion(ASK)
        assert (answer.text, answer.provider, answer.model, answer.calls) == ("From the second.", "second", "second-model", 3)
        assert second.bodies[0]["model"] == "second-model"
        for number in range(6):
            await client.chat_completion(question(number))
        assert state(client, "openai.chat.primary") is CircuitState.OPEN
        count = first.count
        assert (await client.chat_completion(question(50))).provider == "second"
        assert first.count == count

    run_virtual(main)


@pytest.mark.parametrize(
    "error",
    [
        refused(401),
        refused(403),
        refused(404),
        refused(400, code="context_length_exceeded"),
        refused(429, code="insufficient_quota"),
    ],
    ids=str,
)
def test_what_one_provider_refuses_another_may_serve(error):
    async def main(clock):
        answer = await client_over(clock, FakeSdk(error), FakeSdk(Said("Yes."))).chat_completion(ASK)
        assert (answer.provider, answer.calls) == ("second", 2)

    run_virtual(main)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (refused(400, code="content_filter"), FilteredRequestError),
        (Said(None, message={"role": "assistant", "content": None, "refusal": "No."}), RefusalError),
        (Said("", finish_reason="content_filter"), RefusalError),
    ],
)
def test_nobody_else_is_asked_to_get_around_a_filter_or_a_refusal(step, kind):
    async def main(clock):
        second = FakeSdk(Said("Sure!"))
        with pytest.raises(kind):
            await client_over(clock, FakeSdk(step), second).chat_completion(ASK)
        assert second.count == 0

    run_virtual(main)


def test_a_silent_provider_leaves_time_for_the_next():
    async def main(clock):
        client = client_over(clock, FakeSdk(hang), FakeSdk(after(1.0, Said("In time."))))
        with deadline(10.0, clock=clock):
            answer = await client.chat_completion(ASK)
        assert (answer.provider, answer.text) == ("second", "In time.")
        assert clock.now() - 1000 == pytest.approx(10 * 0.95 * 0.7 + 1.0, rel=0.03)

    run_virtual(main)


def test_when_nobody_has_an_answer_the_last_error_tells_and_the_others_are_noted():
    async def main(clock):
        client = client_over(clock, FakeSdk(refused(401)), FakeSdk(refused(500)), options={"max_retries": 0})
        with pytest.raises(ServerFailedError, match="Provider second") as caught:
            await client.chat_completion(ASK)
        assert any("primary: Provider primary does not accept the key" in note for note in caught.value.__notes__)
        with pytest.raises(ServerFailedError):
            await client.chat_completion(question(1))
        client.registry.breakers()["openai.chat.second"].isolate()
        with pytest.raises(UnavailableError) as nobody:
            await client.chat_completion(question(2))
        assert set(nobody.value.because) == {"primary", "second"}

    run_virtual(main)


def test_providers_with_one_account_share_its_quota():
    async def main(clock):
        first, second = FakeSdk(refused(402), api_key="same"), FakeSdk(Said(), api_key="same")
        client = client_over(clock, first, second)
        with pytest.raises(QuotaError):
            await client.chat_completion(ASK)
        assert (first.count, second.count) == (1, 0)
        assert sorted(name for name in client.registry if ".key." in name) == ["openai.key.primary"]

    run_virtual(main)


def test_a_model_of_the_callers_goes_to_the_first_provider_alone():
    async def main(clock):
        first, second = FakeSdk(Said(), refused(500)), FakeSdk(Said())
        client = client_over(clock, first, second, options={"max_retries": 0})
        assert (await client.chat_completion(ASK, model="gpt-4.1")).model == "gpt-4.1"
        assert (await client.chat_completion(question(1), model="gpt-4.1")).model == "second-model"

    run_virtual(main)


# Answers that are none, options, and the rest


@pytest.mark.parametrize(
    "step",
    [
        answered(b""),
        answered(b"<!DOCTYPE html>"),
        answered(b'{"choices": [{"mess'),
        answered({"choices": []}),
        Said("", finish_reason="stop"),
        Said("Half", finish_reason=None),
    ],
    ids=["nothing", "html", "truncated", "no choices", "empty", "no end"],
)
def test_status_200_is_no_success_and_is_tried_again(step):
    async def main(clock):
        sdk = FakeSdk(step, Said("Now."))
        assert (await client_over(clock, sdk).chat_completion(ASK)).text == "Now."
        with pytest.raises(BadAnswerError):
            await client_over(clock, FakeSdk(step)).chat_completion(ASK)

    run_virtual(main)


def test_an_answer_that_was_cut_or_a_request_too_long_is_told_at_once():
    async def main(clock):
        sdk = FakeSdk(Said("Half of", finish_reason="length"))
        with pytest.raises(BadAnswerError, match="max_tokens"):
            await client_over(clock, sdk).chat_completion(ASK)
        assert sdk.count == 1
        with pytest.raises(TooLongError):
            await client_over(clock, FakeSdk(refused(400, code="context_length_exceeded"))).chat_completion(ASK)

    run_virtual(main)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\]"),
        ({"messages": ["words"]}, r"messages\[0\]"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\]"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"max_retries": 1.5}, "max_retries"),
    ],
)
def test_arguments_that_nobody_would_take_are_told_before_anything_is_sent(arguments, text):
    async def main(clock):
        sdk = FakeSdk()
        with pytest.raises(OptionsError, match=text):
            await client_over(clock, sdk).chat_completion(**{"messages": ASK, **arguments})
        assert sdk.count == 0

    run_virtual(main)


def test_a_client_without_a_chat_model_says_so():
    async def main(clock):
        with pytest.raises(OptionsError, match="OPENAI_MODEL"):
            await client_over(clock, FakeSdk(), options={"model": ""}).chat_completion(ASK)

    run_virtual(main)


def test_the_limit_of_tokens_has_the_name_that_the_server_knows():
    async def main(clock):
        sdk = FakeSdk(base_url="https://api.openai.com/v1")
        await client_over(clock, sdk).chat_completion(ASK, max_tokens=9, temperature=None)
        assert sdk.bodies[0] == {"model": "gpt-4o", "messages": ASK, "max_completion_tokens": 9}

    run_virtual(main)


def test_half_a_surrogate_pair_in_a_prompt_is_replaced_not_fatal():
    async def main(clock):
        sdk = FakeSdk(Said("Yes."))
        await client_over(clock, sdk).chat_completion([{"role": "user", "content": "bad \ud83d half"}])
        assert sdk.bodies[0]["messages"][0]["content"] == "bad ? half"

    run_virtual(main)


def test_a_hedge_is_off_unless_it_is_asked_for_and_then_cuts_the_tail():
    async def main(clock):
        slow = FakeSdk(after(50.0, Said("Slow.")), Said("Quick."))
        assert (await client_over(clock, slow).chat_completion(ASK)).text == "Slow."
        hedged = FakeSdk(after(50.0, Said("Slow.")), Said("Quick."))
        hedge = Hedge(idempotent=True, delay=5.0, budget=1.0)
        client = client_over(clock, hedged, options={"hedge": hedge})
        assert (await client.chat_completion(ASK)).text == "Quick."
        assert hedged.count == 2

    run_virtual(main)


def test_the_shared_budget_of_the_provider_slows_calls():
    async def main(clock):
        told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"}
        sdk = FakeSdk(Said(headers=told))
        client = client_over(clock, sdk)
        for number in range(3):
            await client.chat_completion(question(number))
        assert clock.now() - 1000 == pytest.approx(2.0, abs=0.5)
        assert client.registry["openai.chat.primary"]["server_budget"].snapshot().waited == 2

    run_virtual(main)


def test_the_budget_learns_from_a_refusal_too():
    async def main(clock):
        told = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "250", "x-ratelimit-reset-tokens": "45s"}
        client = client_over(clock, FakeSdk(refused(400, told)))
        with pytest.raises(RequestRefusedError):
            await client.chat_completion(ASK)
        assert client.registry["openai.chat.primary"]["server_budget"].snapshot().left == {"gpt-4o": (None, 250.0)}

    run_virtual(main)


def test_policies_can_be_turned_off_for_tests_of_what_stands_behind_them():
    async def main(clock):
        sdk = FakeSdk(refused(500))
        client = client_over(clock, sdk)
        with policies_off(*(client.registry[name] for name in client.registry)), pytest.raises(ServerFailedError):
            await client.chat_completion(ASK, max_retries=5)
        assert sdk.count == 1

    run_virtual(main)


def test_a_mistake_in_the_sdk_is_not_taken_for_an_answer_of_the_provider():
    async def main(clock):
        with pytest.raises(TypeError, match="boom"):
            await client_over(clock, FakeSdk(TypeError("boom"))).chat_completion(ASK)

    run_virtual(main)
