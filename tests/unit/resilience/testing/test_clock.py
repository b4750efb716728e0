"""A clock that a test moves."""

import threading

import pytest

from sengol_api.resilience.testing import ManualClock, run_virtual


def test_it_stands_still_until_it_is_moved():
    clock = ManualClock(now=5.0, wall=100.0)
    assert (clock.now(), clock.wall()) == (5.0, 100.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 102.5)


@pytest.mark.parametrize("seconds", [-1, -0.001])
def test_it_never_steps_back(seconds):
    clock = ManualClock(now=5.0)
    with pytest.raises(ValueError, match="a monotonic clock never steps back"):
        clock.advance(seconds)
    assert clock.now() == 5.0


def test_only_its_wall_clock_can_be_set():
    clock = ManualClock(now=5.0, wall=100.0)
    clock.step_wall(-50)
    assert (clock.now(), clock.wall()) == (5.0, 50.0)


def test_sleeping_passes_the_time_at_once_and_is_remembered():
    clock = ManualClock(now=5.0)

    async def main():
        await clock.sleep(1.5)
        await clock.sleep(0)

    run_virtual(main())
    assert clock.now() == 6.5
    assert clock.slept == [1.5, 0]


def test_waiting_for_an_event_passes_the_time_unless_it_is_set():
    clock = ManualClock(now=5.0)
    event = threading.Event()
    assert clock.wait(event, 2.0) is False
    assert (clock.now(), clock.slept) == (7.0, [2.0])
    event.set()
    assert clock.wait(event, 2.0) is True
    assert clock.now() == 7.0


def test_waiting_without_a_time_waits_for_the_event_itself():
    clock = ManualClock()
    event = threading.Event()
    threading.Thread(target=event.set).start()
    assert clock.wait(event, None) is True
    assert clock.slept == []


def test_threads_that_move_it_lose_no_time():
    clock = ManualClock(now=0.0, wall=0.0)
    barrier = threading.Barrier(8)

    def move():
        barrier.wait()
        for _ in range(1000):
            clock.advance(1)
            clock.step_wall(1)

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (clock.now(), clock.wall()) == (8000.0, 16000.0)
