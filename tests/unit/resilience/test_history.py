"""What stands on the error that a retry gave up with."""

import asyncio
import gc
import pickle
import threading
import traceback
import weakref
from dataclasses import dataclass

import pytest

from sengol_api.resilience import Pipeline, Retry
from sengol_api.resilience.history import Attempt, attempts_of, given_up, mark, was_given_up_since
from sengol_api.resilience.testing import ManualClock, Script, run_virtual


class SlottedError(ConnectionError):
    __slots__ = ("code",)


@dataclass(frozen=True)
class FrozenError(ConnectionError):
    code: int = 503


class InventiveError(ConnectionError):
    def __getattr__(self, name):
        return f"no {name}"

    def __setattr__(self, name, value):
        raise TypeError("this error takes no attributes")


@dataclass
class UnhashableError(ConnectionError):
    code: int = 503


def gave_up(*steps, **options):
    pipeline = Pipeline("upstream", Retry(**{"jitter": "none", "budget": None, **options}), clock=ManualClock())
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever the steps end with
        pipeline.call_sync(Script(*steps).sync)
    return raised.value


def test_the_attempts_stand_on_the_error_in_order():
    errors = [ConnectionError(number) for number in range(4)]
    error = gave_up(*errors)
    assert error is errors[3]
    assert attempts_of(error) == (
        Attempt(1, errors[0], 1.0),
        Attempt(2, errors[1], 2.0),
        Attempt(3, errors[2], 4.0),
        Attempt(4, errors[3], None),
    )


def test_a_reader_of_the_traceback_sees_how_often_and_why():
    error = gave_up(ConnectionError)
    assert "upstream: gave up after 4 attempts: no more are allowed" in "".join(traceback.format_exception(error))


def test_an_error_that_was_never_tried_again_bears_nothing():
    assert attempts_of(ValueError()) == ()
    error = gave_up(ValueError)
    assert attempts_of(error) == ()
    assert not hasattr(error, "__notes__")


def test_the_attempts_before_an_error_that_will_not_pass_are_not_lost():
    error = gave_up(ConnectionError, ConnectionError, ValueError)
    assert [type(each.error) for each in attempts_of(error)] == [ConnectionError, ConnectionError, ValueError]
    assert error.__notes__ == ["upstream: gave up after 3 attempts: the last error is not one to try again after"]


def test_attempts_whose_results_were_not_accepted_keep_their_numbers():
    error = gave_up("bad", ConnectionError, "bad", ConnectionError, retry_on_result=lambda result: result == "bad")
    assert [each.number for each in attempts_of(error)] == [2, 4]


def test_an_instance_that_is_raised_again_and_again_bears_its_last_attempts_and_one_note():
    class OutageError(ConnectionError):
        pass

    outage = OutageError("always the same")
    outage.add_note("of its own")
    for retries in (3, 1):
        assert gave_up(outage, max_retries=retries) is outage
        assert [each.error for each in attempts_of(outage)] == [outage] * (retries + 1)
        assert outage.__notes__ == [
            "of its own",
            f"upstream: gave up after {retries + 1} attempts: no more are allowed",
        ]


@pytest.mark.parametrize("kind", [ConnectionError, SlottedError, FrozenError, InventiveError, UnhashableError])
def test_errors_of_every_make_bear_their_attempts(kind):
    error = gave_up(kind)
    assert isinstance(error, kind)
    assert len(attempts_of(error)) == 4
    assert len(error.__notes__) == 1


@pytest.mark.parametrize("kind", [ConnectionError, SlottedError, FrozenError, InventiveError, UnhashableError])
def test_errors_of_every_make_are_not_repeated_by_an_outer_retry(kind):
    clock = ManualClock()
    inner, outer = Pipeline("inner", Retry(), clock=clock), Pipeline("outer", Retry(max_retries=2), clock=clock)
    upstream = Script(kind)
    with pytest.raises(kind):
        outer.call_sync(inner.call_sync, upstream.sync)
    assert len(upstream.calls) == 4


def test_an_error_leaves_with_its_last_holder_not_with_the_next_collection():
    failures = []

    class FailureError(ConnectionError):
        def __init__(self):
            failures.append(weakref.ref(self))

    def fail(times):
        if len(failures) < times:
            raise FailureError

    async def fail_later(times):
        fail(times)

    def gone():
        return [failure() is None for failure in failures]

    async def main(loop):
        pipeline = Pipeline("upstream", Retry(max_retries=2), clock=loop)
        await pipeline.call(fail_later, 2)
        assert gone() == [True] * 2
        try:
            await pipeline.call(fail_later, 5)
        except FailureError:
            assert gone() == [True, True, False, False, False]
        assert gone() == [True] * 5

    gc.collect()
    gc.disable()
    try:
        pipeline = Pipeline("upstream", Retry(max_retries=2), clock=ManualClock())
        pipeline.call_sync(fail, 2)
        assert gone() == [True] * 2
        try:
            pipeline.call_sync(fail, 5)
        except FailureError:
            assert gone() == [True, True, False, False, False]
        assert gone() == [True] * 5
        failures.clear()
        run_virtual(main)
    finally:
        gc.enable()


def test_a_mark_from_before_the_call_does_not_count():
    error = ConnectionError()
    mark(error, [], 1, "upstream: gave up")
    assert not was_given_up_since(error, given_up.last)
    assert was_given_up_since(error, given_up.last - 1)


@pytest.mark.parametrize("link", ["cause", "context", "context_beside_a_cause", "hidden", "group", "group_in_group"])
def test_an_error_that_a_given_up_one_led_to_is_known(link):
    before = given_up.last
    inner = ConnectionError()
    mark(inner, [], 1, "inner: gave up")

    def translated():
        try:
            raise inner
        except ConnectionError:
            match link:
                case "cause":
                    raise RuntimeError from inner
                case "context":
                    raise RuntimeError  # noqa: B904
                case "context_beside_a_cause":
                    raise RuntimeError from KeyError()
                case "hidden":
                    raise RuntimeError from None
                case "group":
                    raise ExceptionGroup("several", [ValueError(), inner]) from ValueError()
                case _:
                    raise ExceptionGroup("several", [ExceptionGroup("more", [inner])]) from None

    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever it is translated to
        translated()
    assert was_given_up_since(raised.value, before)


def test_errors_that_led_to_each_other_are_searched_once():
    before = given_up.last
    mark(ConnectionError(), [], 1, "another: gave up")
    one, other = RuntimeError(), RuntimeError()
    one.__cause__, other.__cause__ = other, one
    assert not was_given_up_since(one, before)


def test_an_error_that_was_given_up_by_another_task_is_known():
    async def main():
        error, before = ConnectionError(), given_up.last
        await asyncio.create_task(asyncio.to_thread(mark, error, [], 1, "inner: gave up"))
        assert was_given_up_since(error, before)

    asyncio.run(main())


def test_an_instance_raised_again_and_again_is_believed_only_where_it_was_given_up():
    outage, before = ConnectionError(), given_up.last
    again = [Attempt(1, outage, 1.0)]
    other = threading.Thread(target=mark, args=(outage, again, 2, "of another call: gave up"))
    other.start()
    other.join()
    assert not was_given_up_since(outage, before)
    mark(outage, again, 2, "inner: gave up")
    assert was_given_up_since(outage, before)


def test_an_instance_given_up_twice_at_its_first_attempt_was_raised_again_as_well():
    outage, before = ConnectionError(), given_up.last
    for _ in range(2):
        other = threading.Thread(target=mark, args=(outage, [], 1, "of another call: gave up"))
        other.start()
        other.join()
    assert not was_given_up_since(outage, before)


def test_an_attribute_of_the_same_name_is_not_taken_for_ours():
    error = ConnectionError()
    error.__retry__ = "something else"
    assert attempts_of(error) == ()


def test_an_error_travels_to_another_process_without_its_earlier_errors():
    class LocalError(Exception):
        """Of a function, so it cannot be pickled."""

    before = given_up.last
    error = ConnectionError("reset")
    mark(error, [Attempt(1, LocalError(), 1.0)], 2, "worker: gave up after 2 attempts")
    arrived = pickle.loads(pickle.dumps(error))
    assert arrived.args == ("reset",)
    assert arrived.__notes__ == ["worker: gave up after 2 attempts"]
    assert attempts_of(arrived) == ()
    assert was_given_up_since(arrived, before)
