"""What is kept of values: copies, sizes, entries."""

import copy
import weakref
from dataclasses import dataclass, field
from enum import Enum

import pytest

from sengol_api.resilience.cache import lru
from sengol_api.resilience.cache.copies import is_immutable, pack
from sengol_api.resilience.cache.lru import Entries, Entry
from sengol_api.resilience.cache.sizes import size_in_memory


@dataclass(frozen=True)
class Frozen:
    name: str
    items: tuple = ()


@dataclass
class Open:
    items: list = field(default_factory=list)


class Sub(Frozen):
    pass


class Colour(Enum):
    RED = 1


class Slotted:
    __slots__ = ("__dict__", "__weakref__", "items", "missing")

    def __init__(self, items):
        self.items = items


class OneSlot:
    __slots__ = "items"  # noqa: PLC0205 - it is allowed, so it is met

    def __init__(self, items):
        self.items = items


@pytest.mark.parametrize("value", ["a", b"a", 1, 1.5, True, None, (1, ("a",)), frozenset({1}), Frozen("a", (1,)), Colour.RED])
def test_what_nobody_can_change_is_kept_as_it_is(value):
    assert is_immutable(value)
    assert pack(value, None) == (value, None)
    assert pack(value, copy.copy)[0] is value


@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, ([],), Frozen("a", [1]), Open(), Sub("a"), bytearray(b"x"), frozenset({Sub("a")})]
)
def test_all_else_is_copied_on_the_way_in_and_out(value):
    assert not is_immutable(value)
    held, thaw = pack(value, None)
    assert thaw(held) == value
    assert thaw(held) is not thaw(held)


def test_what_cannot_be_pickled_is_copied_deeply():
    function = lambda: 1  # noqa: E731
    held, thaw = pack([function], None)
    assert held == [function]
    assert thaw(held) is not held


def test_a_copy_of_ones_own_is_used_both_ways():
    value = [1]
    held, thaw = pack(value, list)
    assert held == value
    assert held is not value
    assert thaw is list


def test_the_size_grows_with_what_a_value_holds():
    for small, large in [
        ("a", "a" * 1000),
        ([], ["a" * 1000]),
        ({}, {"a": "b" * 1000}),
        ((), ({"a" * 1000},)),
        (Open(), Open(["a" * 1000])),
        (Slotted([]), Slotted(["a" * 1000])),
        (OneSlot([]), OneSlot(["a" * 1000])),
    ]:
        assert size_in_memory(large) > size_in_memory(small) + 900


def test_what_is_held_twice_is_counted_once():
    text = "a" * 1000
    assert size_in_memory([text, text, text]) < 1500
    ring = []
    ring.append(ring)
    assert size_in_memory(ring) < 200
    assert size_in_memory([Open]) < 200


def entry(size=1, gone_at=100.0):
    return Entry("value", size=size, stored_at=0.0, fresh_until=gone_at, sure_until=gone_at, gone_at=gone_at, took=0.0)


def test_entries_that_were_replaced_leave_nothing_behind():
    entries = Entries(10, None)
    for _ in range(10_000):
        entries.put("a", entry())
    assert len(entries._ends) < 100
    assert (len(entries), entries.bytes) == (1, 1)
    assert entries.purge(99.0) == 0
    assert entries.purge(100.0) == 1
    assert (len(entries), entries.bytes) == (0, 0)


def test_the_record_of_ends_is_not_made_anew_at_every_entry(monkeypatch):
    made_anew = []
    monkeypatch.setattr(lru.heapq, "heapify", made_anew.append)
    entries = Entries(1000, None)
    for key in range(1000):
        entries.put(key, entry())
    for key in range(1000):
        entries.put(key, entry())
    assert made_anew == []
    for key in range(100):
        entries.put(key, entry())
    assert len(made_anew) == 1


def test_an_entry_does_not_end_with_the_one_that_it_replaced():
    entries = Entries(10, None)
    entries.put("a", entry(gone_at=10.0))
    entries.put("a", entry(gone_at=20.0))
    assert entries.purge(10.0) == 0
    assert entries.purge(20.0) == 1


def test_ten_thousand_entries_come_and_go_in_order():
    entries = Entries(100, None)
    gone = [key for number in range(10_000) for key, _ in entries.put(number, entry())]
    assert gone == list(range(9_900))
    assert entries.keys() == list(range(9_900, 10_000))


def test_what_had_to_go_is_held_no_longer():
    """A record of when it would have ended is all that may be left of it: else a cache takes several times its bound."""
    entries = Entries(1000, 10)
    held = []
    for key in range(50):
        value = Slotted([])
        held.append(weakref.ref(value))
        each = entry()
        each.held = value
        entries.put((key, value), each)
        del value, each
    assert sum(each() is not None for each in held) == 10
