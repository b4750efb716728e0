"""One limit for each key, in bounded memory."""

import threading

from sengol_api.resilience.rate.gcra import Gcra
from sengol_api.resilience.rate.meters import Meters
from support.threads import in_threads

TEN = Gcra(1.0, 10)


def test_keys_do_not_know_of_each_other():
    meters = Meters(100)
    assert all(meters.take(TEN, "greedy", 0.0, 1.0)[0].allowed for _ in range(10))
    assert not meters.take(TEN, "greedy", 0.0, 1.0)[0].allowed
    assert meters.take(TEN, "modest", 0.0, 1.0)[0].allowed


def test_idle_keys_are_forgotten_once_they_are_full_again():
    meters = Meters(100_000)
    for number in range(1000):
        meters.take(TEN, number, 0.0, 1.0)
    assert len(meters) == 1000
    for _ in range(600):
        meters.take(TEN, "somebody", 5.0, 0.01)
    assert len(meters) == 1


def test_a_hostile_number_of_keys_stays_bounded_and_a_key_at_its_limit_is_not_forgotten():
    meters = Meters(100)
    for _ in range(10):
        meters.take(TEN, "attacked account", 0.0, 1.0)
    for number in range(10_000):
        meters.take(TEN, number, 0.0, 1.0)
    assert len(meters) <= 100
    assert not meters.take(TEN, "attacked account", 0.5, 1.0)[0].allowed


def test_what_is_given_back_in_full_is_forgotten_at_once():
    meters = Meters(100)
    meters.take(TEN, "key", 0.0, 3.0)
    meters.adjust(TEN, "key", 0.0, -3.0)
    assert len(meters) == 0


def test_the_last_turn_is_withdrawn_without_a_trace():
    meters, one = Meters(100), Gcra(1.0, 1)
    meters.take(one, "key", 0.0, 1.0)
    _, turn = meters.take(one, "key", 0.0, 1.0, 10.0)
    meters.withdraw(one, "key", 0.5, 1.0, turn)
    assert meters.take(one, "key", 0.5, 1.0, 10.0)[0].wait == 0.5


def test_a_turn_with_others_behind_it_is_not_given_to_a_second_call():
    meters, one = Meters(100), Gcra(1.0, 1)
    meters.take(one, "key", 0.0, 1.0)
    _, turn = meters.take(one, "key", 0.0, 1.0, 10.0)
    behind, _ = meters.take(one, "key", 0.0, 1.0, 10.0)
    meters.withdraw(one, "key", 0.5, 1.0, turn)
    assert 0.5 + meters.take(one, "key", 0.5, 1.0, 10.0)[0].wait >= behind.wait + 1.0


def test_eight_threads_take_exactly_the_burst():
    meters, gcra, allowed = Meters(100), Gcra(0.001, 1000), []
    together = threading.Barrier(8)

    def take():
        together.wait()
        allowed.append(sum(meters.take(gcra, "key", 1000.0, 1.0)[0].allowed for _ in range(500)))

    assert in_threads(*[take] * 8) == [None] * 8
    assert sum(allowed) == 1000
