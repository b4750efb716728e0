"""One call goes ahead while nobody knows whether an account answers; the others lose a second by it at most."""

import asyncio

import pytest

from sengol_api.adapters.openai import KeyRefusedError, LateAnswerError, QuotaError, UnavailableError
from sengol_api.adapters.openai.account import HEAD_START, SHARE
from sengol_api.resilience import deadline
from sengol_api.resilience.testing import after, hang, run_virtual
from support.openai_clients import client_over, question
from support.openai_sdk import Embedded, FakeSdk, Said, refused

QUOTA = refused(429, code="insufficient_quota")


async def three(client, first=0):
    """What three calls that begin at the same time end with."""
    asking = (client.chat_completion(question(first + number), max_retries=0) for number in range(3))
    return await asyncio.gather(*asking, return_exceptions=True)


@pytest.mark.parametrize(("error", "kind"), [(QUOTA, QuotaError), (refused(401), KeyRefusedError)])
def test_calls_at_the_same_time_tell_a_useless_account_once(error, kind):
    async def main(clock):
        sdk = FakeSdk(after(0.3, error))
        ended = await three(client_over(clock, sdk))
        assert [type(each) for each in ended] == [kind, UnavailableError, UnavailableError]
        assert sdk.count == 1

    run_virtual(main)


def test_a_useless_account_is_told_once_by_requests_of_both_kinds():
    async def main(clock):
        sdk = FakeSdk(after(0.3, QUOTA))
        client = client_over(clock, sdk)
        asking = (client.chat_completion(question(1)), client.generate_embedding("text"))
        await asyncio.gather(*asking, return_exceptions=True)
        assert sdk.count == 1

    run_virtual(main)


def test_each_cool_down_costs_one_call_and_a_paid_bill_serves_all_who_ask_then():
    async def main(clock):
        sdk = FakeSdk(*[after(0.3, QUOTA)] * 3, after(0.3, Said()))
        client = client_over(clock, sdk)
        for cool_down in range(1, 4):
            ended = await three(client, 10 * cool_down)
            assert all(isinstance(each, Exception) for each in ended)
            assert sdk.count == cool_down
            await asyncio.sleep(60.1)
        assert [each.source for each in await three(client)] == ["fresh"] * 3
        assert sdk.count == 6

    run_virtual(main)


def test_an_account_that_has_answered_is_doubted_when_its_quota_is_spent():
    async def main(clock):
        sdk = FakeSdk(Said(), after(0.3, QUOTA), after(0.3, Said()))
        client = client_over(clock, sdk)
        await client.chat_completion(question(0))
        with pytest.raises(QuotaError):
            await client.chat_completion(question(1))
        await asyncio.sleep(60.1)
        assert [each.source for each in await three(client, 10)] == ["fresh"] * 3, "two wait for the probe"

    run_virtual(main)


def test_the_others_go_as_soon_as_the_first_is_answered():
    async def main(clock):
        client = client_over(clock, FakeSdk(after(0.4, Said())))
        began = clock.now()
        await three(client)
        assert clock.now() - began == pytest.approx(0.8)
        began = clock.now()
        await three(client, 10)  # an account that has answered makes nobody wait
        assert clock.now() - began == pytest.approx(0.4)

    run_virtual(main)


def test_a_slow_first_answer_costs_the_others_a_second():
    async def main(clock):
        client = client_over(clock, FakeSdk(after(20.0, Said())))
        began = clock.now()
        await three(client)
        assert clock.now() - began == pytest.approx(20.0 + HEAD_START)

    run_virtual(main)


def test_who_comes_when_the_head_start_is_over_does_not_wait():
    async def main(clock):
        client = client_over(clock, FakeSdk(after(20.0, Said())))
        first = asyncio.create_task(client.chat_completion(question(0)))
        await asyncio.sleep(5.0)
        began = clock.now()
        await client.chat_completion(question(1))
        assert clock.now() - began == pytest.approx(20.0)
        await first

    run_virtual(main)


def test_a_caller_in_a_hurry_waits_for_a_fifth_of_its_time():
    async def main(clock):
        sdk = FakeSdk(hang, after(0.1, Said()))
        client = client_over(clock, sdk)
        first = asyncio.create_task(client.chat_completion(question(0)))
        await asyncio.sleep(0)
        began = clock.now()
        with deadline(2.0, clock=clock):
            await client.chat_completion(question(1))
        waited = clock.now() - began - 0.1
        assert 0 < waited <= 2.0 * SHARE + 1e-9
        first.cancel()

    run_virtual(main)


def test_a_first_call_that_is_cancelled_lets_the_next_one_go_ahead():
    async def main(clock):
        sdk = FakeSdk(hang, after(0.3, QUOTA))
        client = client_over(clock, sdk)
        first = asyncio.create_task(client.chat_completion(question(0)))
        await asyncio.sleep(0.1)
        others = asyncio.create_task(three(client, 10))
        await asyncio.sleep(0.1)
        first.cancel()
        assert [type(each) for each in await others] == [QuotaError, UnavailableError, UnavailableError]
        assert sdk.count == 2

    run_virtual(main)


def test_who_waits_and_is_cancelled_harms_nobody():
    async def main(clock):
        sdk = FakeSdk(after(0.4, Said()))
        client = client_over(clock, sdk)
        first = asyncio.create_task(client.chat_completion(question(0)))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(client.chat_completion(question(1)))
        await asyncio.sleep(0.1)
        waiting.cancel()
        assert (await first).source == "fresh"
        assert waiting.cancelled()
        assert sdk.count == 1

    run_virtual(main)


def test_a_second_event_loop_waits_for_nobody_of_the_first():
    client = []

    async def begin(clock):
        client.append(client_over(clock, FakeSdk(hang, Said(), Embedded())))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client[0].chat_completion(question(0)), 5.0)

    run_virtual(begin)

    async def again(clock):
        assert (await client[0].chat_completion(question(1))).source == "fresh"

    run_virtual(again)


def test_it_is_away_while_no_provider_would_be_asked_and_says_why():
    async def main(clock):
        client = client_over(clock, FakeSdk(QUOTA), FakeSdk(QUOTA, Said()))
        assert client.why_away() == ""
        await three(client)
        assert client.why_away() == "its circuit breaker is open"
        client.registry["openai.chat.second"]["circuit_breaker"].reset()
        assert client.why_away() == "its circuit breaker is open"
        client.registry["openai.key.second"]["circuit_breaker"].reset()
        assert client.why_away() == ""
        client.registry["openai.chat.second"]["circuit_breaker"].isolate()
        client.registry["openai.key.primary"]["circuit_breaker"].isolate()
        assert client.why_away() == "its circuit breaker was isolated by hand"
        client.registry["openai.key.primary"]["circuit_breaker"].reset()
        assert client.why_away() == ""

    run_virtual(main)


def test_it_is_there_again_when_its_time_open_is_over_and_the_next_call_is_the_probe():
    async def main(clock):
        client = client_over(clock, FakeSdk(QUOTA, Said()))
        await three(client)
        await asyncio.sleep(59.0)
        assert client.why_away()
        await asyncio.sleep(1.1)
        assert client.why_away() == ""
        assert [each.source for each in await three(client, 10)] == ["fresh"] * 3

    run_virtual(main)


def test_the_head_start_begins_when_the_sdk_is_there():
    async def main(clock):
        sdk = FakeSdk(after(0.3, QUOTA))
        client = client_over(clock, sdk)
        upstream = client._wiring.upstreams[0]
        arriving = asyncio.get_running_loop().create_future()
        upstream._made[asyncio.get_running_loop()] = arriving
        asyncio.get_running_loop().call_later(3.0, arriving.set_result, sdk)
        ended = await three(client)
        assert sorted(type(each).__name__ for each in ended) == ["QuotaError", "UnavailableError", "UnavailableError"]
        assert sdk.count == 1

    run_virtual(main)


def test_who_has_no_time_until_the_sdk_is_there_is_told_in_time():
    async def main(clock):
        sdk = FakeSdk(Said())
        client = client_over(clock, sdk)
        client._wiring.upstreams[0]._made[asyncio.get_running_loop()] = asyncio.get_running_loop().create_future()
        began = clock.now()
        with pytest.raises(LateAnswerError), deadline(2.0, clock=clock):
            await client.chat_completion(question(0))
        assert clock.now() - began <= 2.0
        assert sdk.count == 0

    run_virtual(main)
