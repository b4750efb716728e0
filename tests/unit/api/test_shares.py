"""Who has had his share."""

import random
from collections import Counter

from sengol_api.api import shares
from sengol_api.api.shares import WINDOW, FairShares


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def served(asked, *, places, time=None):
    """Hand out places to those who ask, in the order in which they ask; those who have had their share get none."""
    fair, got = FairShares(time or Time()), Counter()
    for who in asked:
        if fair.due(who) and got.total() < places:
            fair.took(who)
            got[who] += 1
    return got


def test_who_asks_alone_is_always_due():
    assert served(["alone"] * 50, places=50) == {"alone": 50}


def test_who_asks_for_half_of_all_gets_no_more_than_the_others():
    chance = random.Random(3)
    asked = ["greedy" if chance.random() < 0.5 else f"user {chance.randrange(20)}" for _ in range(2_000)]
    got = served(asked, places=200)
    assert len(got) == 21
    assert got["greedy"] <= 200 / 21 + 2
    assert max(got.values()) <= 200 / 21 + 2


def test_what_one_does_not_want_goes_to_the_others():
    asked = ["modest", *["greedy", "eager"] * 50]
    assert served(asked, places=100)["modest"] == 1
    fair = FairShares(Time())
    for who in ("modest", *["greedy"] * 4):
        assert fair.due(who)
        fair.took(who)
    assert not fair.due("greedy"), "the mean is two and a half, and he has had four"
    assert fair.due("modest")
    fair.took("modest")
    fair.took("modest")
    assert fair.due("greedy")


def test_a_window_later_all_is_forgotten():
    time = Time()
    fair = FairShares(time)
    assert fair.due("other")
    for _ in range(3):
        assert fair.due("greedy")
        fair.took("greedy")
    time.now = WINDOW * 0.99
    assert not fair.due("greedy")
    time.now = WINDOW
    assert fair.due("greedy")


def test_those_who_ask_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(shares, "MOST", 100)
    fair = FairShares(Time())
    for number in range(1_000):
        fair.due(number)
        assert len(fair._given) <= 100
    assert fair.due(999)
