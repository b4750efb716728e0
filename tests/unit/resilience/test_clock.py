"""The machine's own clocks."""

import asyncio
import threading
import time

from sengol_api.resilience.clock import SYSTEM_CLOCK


def test_its_time_is_that_of_the_machine():
    assert SYSTEM_CLOCK.now() <= time.monotonic() <= SYSTEM_CLOCK.now()
    assert abs(SYSTEM_CLOCK.wall() - time.time()) < 60


def test_it_sleeps():
    asyncio.run(SYSTEM_CLOCK.sleep(0))


def test_it_waits_for_an_event_or_its_time():
    event = threading.Event()
    assert SYSTEM_CLOCK.wait(event, 0) is False
    event.set()
    assert SYSTEM_CLOCK.wait(event, 0) is True
    assert SYSTEM_CLOCK.wait(event, None) is True


def test_no_time_is_too_long_to_wait_for():
    """A thread can wait for 292 years at most, and says so with an OverflowError."""
    event = threading.Event()
    waits = threading.Event()
    outcome = []

    def wait():
        waits.set()
        outcome.append(SYSTEM_CLOCK.wait(event, 1e300))

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait()
    event.set()
    thread.join()
    assert outcome == [True]
    assert threading.TIMEOUT_MAX < 1e300
