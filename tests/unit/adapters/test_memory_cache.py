"""Finished answers in memory."""

from sengol_api.adapters.memory_cache import MemoryCache


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def cache(entries=2, ttl=10.0):
    clock = Clock()
    return MemoryCache(max_entries=entries, ttl=ttl, clock=clock), clock


def test_what_was_kept_is_given_back():
    kept, _ = cache()
    answer = object()
    kept.put("a", answer)
    assert kept.get("a") is answer
    assert kept.get("b") is None


def test_an_entry_is_forgotten_after_its_time():
    kept, clock = cache()
    kept.put("a", 1)
    clock.now = 9.9
    assert kept.get("a") == 1
    clock.now = 10.0
    assert kept.get("a") is None
    assert len(kept) == 0


def test_reading_does_not_prolong_a_life_and_writing_does():
    kept, clock = cache()
    kept.put("a", 1)
    clock.now = 6
    kept.get("a")
    kept.put("b", 2)
    clock.now = 12
    assert kept.get("a") is None
    assert kept.get("b") == 2


def test_the_least_recently_used_goes_first():
    kept, _ = cache()
    kept.put("a", 1)
    kept.put("b", 2)
    kept.get("a")
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
    assert len(kept) == 2


def test_a_new_value_replaces_the_old_one():
    kept, _ = cache()
    kept.put("a", 1)
    kept.put("a", 2)
    assert (kept.get("a"), len(kept)) == (2, 1)
