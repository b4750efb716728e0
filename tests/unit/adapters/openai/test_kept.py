"""Answers that are kept and shared: fresh, cached and stale, one call for all who ask the same, and nobody harmed by another."""

import asyncio

import pytest

from sengol_api.adapters.openai import ANSWERS, LateAnswerError, ServerFailedError
from sengol_api.resilience import Cache, InMemoryTier, deadline
from sengol_api.resilience.testing import after, hang, run_virtual
from support.openai_clients import ASK, SCHEMA, client_over, question
from support.openai_sdk import FakeSdk, Said, refused

HOUR = 3600.0


def test_the_same_question_is_answered_from_the_cache_for_two_hours():
    async def main(clock):
        sdk = FakeSdk(Said("One."), Said("Two."))
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        await asyncio.sleep(1.9 * HOUR)
        answer = await client.chat_completion(ASK)
        assert (answer.text, answer.source, answer.calls, sdk.count) == ("One.", "cached", 0, 1)
        assert answer.age == pytest.approx(1.9 * HOUR)
        await asyncio.sleep(0.2 * HOUR)
        assert (await client.chat_completion(ASK)).text == "Two."

    run_virtual(main)


def test_an_old_answer_is_served_while_nobody_has_a_new_one_and_says_why():
    async def main(clock):
        sdk = FakeSdk(Said("One."), refused(500))
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        await asyncio.sleep(10 * HOUR)
        for number in range(8):  # through failures first, and then an open circuit
            answer = await client.chat_completion(ASK)
            assert (answer.text, answer.source) == ("One.", "stale")
            assert "Provider primary failed" in answer.reason if number == 0 else answer.reason
            assert answer.age >= 10 * HOUR
        assert "circuit breaker is open" in answer.reason
        await asyncio.sleep(17 * HOUR)
        with pytest.raises(ServerFailedError):
            await client.chat_completion(ASK)

    run_virtual(main)


def test_a_silent_provider_still_leaves_time_for_the_old_answer():
    async def main(clock):
        client = client_over(clock, FakeSdk(Said("One."), hang))
        await client.chat_completion(ASK)
        await asyncio.sleep(3 * HOUR)
        started = clock.now()
        with deadline(2.0, clock=clock):
            answer = await client.chat_completion(ASK)
        assert (answer.source, answer.text) == ("stale", "One.")
        assert clock.now() - started <= 2.0

    run_virtual(main)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": question(1)},
        {"model": "gpt-4.1"},
        {"temperature": 0.4},
        {"temperature": None},
        {"max_tokens": 10},
        {"prompt_version": "2"},
    ],
    ids=str,
)
def test_whatever_changes_the_answer_is_in_the_key(change):
    async def main(clock):
        sdk = FakeSdk()
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        await client.chat_completion(**{"messages": ASK, **change})
        assert sdk.count == 2

    run_virtual(main)


def test_the_chain_the_schema_and_its_name_are_in_the_key():
    async def main(clock):
        sdk = FakeSdk()
        tier = InMemoryTier(clock)
        client = client_over(clock, sdk, tier=tier)
        await client.chat_json(ASK, SCHEMA, name="one")
        await client.chat_json(ASK, SCHEMA, name="two")
        other = {**SCHEMA, "properties": {**SCHEMA["properties"], "count": {"type": "integer", "minimum": 5}}}
        await client.chat_json(ASK, other, name="one")
        await client.chat_completion(ASK)
        assert sdk.count == 4
        longer = client_over(clock, FakeSdk(), FakeSdk(), tier=tier)
        assert (await longer.chat_completion(ASK)).source == "fresh"

    run_virtual(main)


def test_the_cache_can_be_skipped_and_left_alone():
    async def main(clock):
        sdk = FakeSdk(Said("One."), Said("Two."), Said("Three."), Said("Four."))
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        assert (await client.chat_completion(ASK, skip_cache=True)).text == "Two."
        assert (await client.chat_completion(ASK)).text == "Two."
        assert (await client.chat_completion(ASK, use_cache=False)).text == "Three."
        assert (await client.chat_completion(ASK)).text == "Two."
        bare = client_over(clock, FakeSdk(Said("A."), Said("B.")), cache=None)
        assert [(await bare.chat_completion(ASK)).text for _ in range(2)] == ["A.", "B."]
        assert "openai.chat" not in bare.registry

    run_virtual(main)


def test_an_answer_of_a_fallback_is_kept_only_until_the_first_may_be_back():
    async def main(clock):
        first, second = FakeSdk(refused(500), Said("First.")), FakeSdk(Said("Second."))
        client = client_over(clock, first, second, options={"max_retries": 0})
        assert (await client.chat_completion(ASK)).text == "Second."
        assert (await client.chat_completion(ASK)).source == "cached"
        await asyncio.sleep(301)
        answer = await client.chat_completion(ASK)
        assert (answer.text, answer.source) == ("First.", "fresh")

    run_virtual(main)


def test_fifty_who_ask_the_same_are_one_call():
    async def main(clock):
        sdk = FakeSdk(after(5.0, Said("One.")))
        client = client_over(clock, sdk)
        answers = await asyncio.gather(*(client.chat_completion(ASK) for _ in range(50)))
        assert sdk.count == 1
        assert {answer.text for answer in answers} == {"One."}
        assert sorted(answer.calls for answer in answers) == [0] * 49 + [1]
        assert {answer.source for answer in answers} == {"fresh"}

    run_virtual(main)


def test_fifty_who_ask_the_same_of_a_dead_provider_all_get_its_error():
    async def main(clock):
        sdk = FakeSdk(after(1.0, refused(400)))
        client = client_over(clock, sdk)
        results = await asyncio.gather(*(client.chat_completion(ASK) for _ in range(50)), return_exceptions=True)
        assert sdk.count == 1
        assert {type(each).__name__ for each in results} == {"RequestRefusedError"}

    run_virtual(main)


def test_a_cancelled_leader_harms_nobody_and_the_last_to_leave_cancels_the_call():
    async def main(clock):
        sdk = FakeSdk(after(5.0, Said("One.")))
        client = client_over(clock, sdk)
        leader = asyncio.create_task(client.chat_completion(ASK))
        await asyncio.sleep(1.0)
        follower = asyncio.create_task(client.chat_completion(ASK))
        await asyncio.sleep(1.0)
        leader.cancel()
        assert (await follower).text == "One."
        assert (sdk.count, sdk.script.cancelled) == (1, 0)
        alone = asyncio.create_task(client.chat_completion(question(1)))
        await asyncio.sleep(1.0)
        alone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await alone
        await asyncio.sleep(0)
        assert sdk.script.cancelled == 1
        assert client.get_stats().maybe_billed == 1
        assert client.registry["openai.chat.primary"]["bulkhead"].snapshot().in_flight == 0

    run_virtual(main)


def test_who_joins_a_caller_with_less_time_is_not_cut_with_them():
    async def main(clock):
        sdk = FakeSdk(after(4.0, Said("One.")))
        client = client_over(clock, sdk)

        async def hurried():
            with deadline(2.0, clock=clock):
                return await client.chat_completion(ASK)

        leader = asyncio.create_task(hurried())
        await asyncio.sleep(0.5)
        followers = [asyncio.create_task(client.chat_completion(ASK)) for _ in range(10)]
        with pytest.raises(LateAnswerError):
            await leader
        answers = await asyncio.gather(*followers)
        assert {answer.text for answer in answers} == {"One."}
        assert sdk.count == 2

    run_virtual(main)


def test_who_joins_with_less_time_keeps_to_their_own():
    async def main(clock):
        client = client_over(clock, FakeSdk(after(10.0, Said("One."))))
        leader = asyncio.create_task(client.chat_completion(ASK))
        await asyncio.sleep(0)
        started = clock.now()
        with pytest.raises(LateAnswerError) as caught, deadline(1.0, clock=clock):
            await client.chat_completion(ASK)
        assert caught.value.by_deadline
        assert clock.now() - started == pytest.approx(1.0)
        assert (await leader).text == "One."

    run_virtual(main)


def test_a_caller_without_time_is_told_at_once():
    async def main(clock):
        sdk = FakeSdk()
        client = client_over(clock, sdk)
        with pytest.raises(LateAnswerError), deadline(0.0, clock=clock):
            await client.chat_completion(ASK)
        assert sdk.count == 0

    run_virtual(main)


def test_replicas_share_answers_through_the_second_tier_and_believe_no_damaged_one():
    async def main(clock):
        tier = InMemoryTier(clock)
        one, other = FakeSdk(Said("One.")), FakeSdk(Said("Other."))
        await client_over(clock, one, tier=tier).chat_completion(ASK)
        await asyncio.sleep(0.01)
        answer = await client_over(clock, other, tier=tier).chat_completion(ASK)
        assert (answer.text, answer.source, answer.usage.input_tokens > 0, other.count) == ("One.", "cached", True, 0)
        ((key, (value, end)),) = tier.values.items()
        for damaged in (value[:-3], value.replace(b"One.", b"Two."), b"v2:" + value, b"", value.replace(b"cache/1", b"cache/9")):
            tier.values[key] = (damaged, end)
            assert (await client_over(clock, FakeSdk(Said("Anew.")), tier=tier).chat_completion(ASK)).text == "Anew."

    run_virtual(main)


class Frozen(InMemoryTier):
    async def get(self, key):
        await asyncio.sleep(1e6)

    set = get


def test_a_frozen_second_tier_delays_a_call_by_no_more_than_its_own_limit():
    async def main(clock):
        client = client_over(clock, FakeSdk(), tier=Frozen())
        for number in range(10):
            started = clock.now()
            await client.chat_completion(question(number))
            assert clock.now() - started <= 0.051
        assert client.registry["openai.chat"]["cache"].snapshot().tier == "OPEN"

    run_virtual(main)


def test_how_answers_are_kept_is_the_callers_to_say():
    async def main(clock):
        sdk = FakeSdk(Said("One."), Said("Two."))
        client = client_over(clock, sdk, cache=Cache(ttl=10.0))
        await client.chat_completion(ASK)
        await asyncio.sleep(11)
        assert (await client.chat_completion(ASK)).text == "Two."
        assert (ANSWERS.ttl, ANSWERS.stale_if_error) == (7200.0, 86_400.0)

    run_virtual(main)


def test_steps_of_the_wall_clock_change_nothing():
    async def main(clock):
        sdk = FakeSdk(Said("One."), refused(429, {"retry-after": "5"}), Said("Two."))
        client = client_over(clock, sdk)
        await client.chat_completion(ASK)
        for step in (1e7, -2e7):
            clock.step_wall(step)
            assert (await client.chat_completion(ASK)).source == "cached"
        started = clock.now()
        waiting = asyncio.create_task(client.chat_completion(question(1)))
        await asyncio.sleep(1.0)
        clock.step_wall(1e7)
        await waiting
        assert clock.now() - started >= 5.0

    run_virtual(main)
