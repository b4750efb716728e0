"""The watch over an event loop."""

import asyncio
import threading

from sengol_api.ops.watchdog import LoopWatch


class Turning:
    """A loop that turns, or does not."""

    def __init__(self, answers) -> None:
        self._answers = list(answers)

    def call_soon_threadsafe(self, callback) -> None:
        if not self._answers:
            raise RuntimeError("Event loop is closed")
        if self._answers.pop(0):
            callback()


def ended_after(answers, patience=3) -> int | None:
    """After how many seconds the process was ended."""
    ticks, ends = [], []
    watch = LoopWatch(Turning(answers), patience=patience, tick=lambda: ticks.append(1), end=lambda: ends.append(len(ticks)))
    watch.watch()
    return ends[0] if ends else None


def test_a_loop_that_turns_is_left_alone_until_it_is_closed():
    assert ended_after([True] * 100) is None


def test_a_stuck_loop_ends_the_process_when_patience_is_over():
    assert ended_after([True] * 5 + [False] * 100) == 5 + 5


def test_a_loop_that_is_late_now_and_then_is_not_stuck():
    assert ended_after([False, False, True] * 50) is None


def test_a_process_that_was_stopped_and_goes_on_has_missed_one_answer_however_long_that_was():
    assert ended_after([True] * 5 + [False] + [True] * 5) is None


def test_a_real_loop_that_is_blocked_is_found():
    blocked, ended = threading.Event(), threading.Event()

    def end():
        ended.set()
        blocked.set()

    async def main():
        LoopWatch(asyncio.get_running_loop(), patience=2, tick=lambda: ended.wait(0.01), end=end).start()
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        blocked.wait(20)

    asyncio.run(main())
    assert ended.is_set()
