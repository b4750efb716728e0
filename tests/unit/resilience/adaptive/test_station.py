"""Where the calls of a process are: at the station, or elsewhere."""

import asyncio
import threading

import pytest

from sengol_api.resilience import Station
from sengol_api.resilience.testing import ManualClock, run_virtual


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def station(clock):
    return Station(clock.now)


def test_the_load_is_a_mean_over_time(station, clock):
    with station.call():
        clock.advance(1.0)  # elsewhere
        leave = station.enter()
        clock.advance(2.0)  # at work
        leave()
        clock.advance(1.0)
    clock.advance(4.0)
    assert station.load() == (4 / 8, 2 / 8, 2 / 8)


def test_each_look_begins_anew(station, clock):
    with station.call():
        clock.advance(5.0)
        assert station.load().under_way == 1.0
        clock.advance(1.0)
        assert station.load().under_way == 1.0
    clock.advance(1.0)
    assert station.load() == (0.0, 0.0, 0.0)


def test_without_time_between_two_looks_it_is_what_there_is_now(station):
    station.load()
    with station.call():
        leave = station.enter()
        assert station.load() == (1.0, 1.0, 1.0)
        leave()
        assert station.load() == (1.0, 0.0, 0.0)


def test_a_call_with_many_pieces_is_there_once_until_the_last_is_done(station, clock):
    with station.call():
        pieces = [station.enter() for _ in range(3)]
        for leave in pieces:
            clock.advance(1.0)
            leave()
        clock.advance(1.0)
    assert station.load() == (1.0, 0.75, 0.75)


def test_what_is_done_for_nobodys_call_takes_the_station_too(station, clock):
    leave, other = station.enter(), station.enter()
    clock.advance(1.0)
    assert station.load() == (0.0, 2.0, 1.0)
    leave()
    other()
    clock.advance(1.0)
    assert station.load() == (0.0, 0.0, 0.0)


def test_what_is_done_after_a_call_is_not_its_own(station, clock):
    with station.call():
        pass
    leaving = [station.enter() for _ in range(2)]
    clock.advance(1.0)
    assert station.load() == (0.0, 2.0, 1.0)
    for leave in leaving:
        leave()


def test_pieces_of_the_tasks_of_a_call_are_its_own_and_those_of_another_call_are_not():
    async def main(loop):
        station = Station(loop.time)

        async def piece():
            leave = station.enter()
            await asyncio.sleep(1.0)
            leave()

        async def call():
            with station.call():
                await asyncio.gather(piece(), piece())

        await asyncio.gather(call(), call())
        assert station.load() == (2.0, 2.0, 1.0)

    run_virtual(main)


def test_a_call_that_fails_has_ended(station, clock):
    with pytest.raises(ZeroDivisionError), station.call():
        raise ZeroDivisionError
    station.load()
    clock.advance(1.0)
    assert station.load().under_way == 0.0


def test_what_is_left_at_the_station_when_its_call_was_given_up_is_counted_until_it_is_done(station, clock):
    with station.call():
        leave = station.enter()
    clock.advance(1.0)
    assert station.load() == (0.0, 1.0, 1.0)
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    clock.advance(1.0)
    assert station.load() == (0.0, 0.0, 0.0)


def test_threads_lose_no_count(clock):
    station = Station(clock.now)

    def come_and_go():
        for _ in range(2000):
            with station.call():
                station.enter()()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert station.load() == (0.0, 0.0, 0.0)
