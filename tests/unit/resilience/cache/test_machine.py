"""The cache against a simple model: order of use, bytes, times to live, stale windows, invalidation."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import ManualClock

ENTRIES, BYTES, TTL, REVALIDATE, ON_ERROR = 4, 20, 10.0, 5.0, 8.0
keys = st.sampled_from("abcdef")
sizes = st.integers(0, 12)


class DownError(Exception):
    pass


class CacheMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        options = Cache(
            key=lambda key, *rest: key,
            max_entries=ENTRIES,
            max_bytes=BYTES,
            size_of=len,
            ttl=TTL,
            stale_while_revalidate=REVALIDATE,
            stale_if_error=ON_ERROR,
        )
        self.pipeline = Pipeline("x", options, clock=self.clock)
        self.cache = self.pipeline["cache"]
        self.model = []  # (key, value, made at, ttl), the least recently used first
        self.made = 0

    def lookup(self, key):
        return next((each for each in self.model if each[0] == key), None)

    def drop(self, key):
        self.model = [each for each in self.model if each[0] != key]

    def use(self, key):
        entry = self.lookup(key)
        self.drop(key)
        self.model.append(entry)

    def age(self, entry):
        return self.clock.now() - entry[2]

    def purge(self):
        self.model = [each for each in self.model if self.age(each) < each[3] + ON_ERROR]

    def store(self, key, value, ttl):
        self.purge()
        self.drop(key)
        self.model.append((key, value, self.clock.now(), ttl))
        while len(self.model) > ENTRIES or sum(len(each[1]) for each in self.model) > BYTES:
            self.model.pop(0)

    def new_value(self, size):
        self.made += 1
        return f"{self.made}"[:size].ljust(size, ".")

    @rule(key=keys, size=sizes, fails=st.booleans())
    def call(self, key, size, fails):
        value = self.new_value(size)

        def upstream(key):
            if fails:
                raise DownError
            return value

        entry = self.lookup(key)
        age = None if entry is None else self.age(entry)
        if age is not None and age < entry[3]:
            expected = ("fresh", entry[1])
        elif age is not None and fails and age < entry[3] + ON_ERROR:
            expected = ("stale", entry[1])
        else:
            expected = ("error", None) if fails else ("miss", value)
        with cache_outcome() as outcome:
            try:
                got = (None, self.pipeline.call_sync(upstream, key))
            except DownError:
                got = ("error", None)
        assert (got[0] or outcome.source, got[1]) == expected
        if expected[0] in ("fresh", "stale"):
            self.use(key)
        elif expected[0] == "miss":
            self.store(key, value, TTL)

    @rule(key=keys)
    def get(self, key):
        entry = self.lookup(key)
        fresh = entry is not None and self.age(entry) < entry[3]
        assert self.cache.get(key, "nothing") == (entry[1] if fresh else "nothing")
        if fresh:
            self.use(key)

    @rule(key=keys, size=st.integers(0, 25), ttl=st.sampled_from([None, 0, 2.0, 30.0]))
    def put(self, key, size, ttl):
        value = self.new_value(size)
        self.cache.put(key, value, ttl)
        if ttl == 0 or size > BYTES:
            self.drop(key)
        else:
            self.store(key, value, TTL if ttl is None else ttl)

    @rule(key=keys)
    def invalidate(self, key):
        assert self.cache.invalidate(key) == (self.lookup(key) is not None)
        self.drop(key)

    @rule()
    def clear(self):
        self.cache.clear()
        self.model = []

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0, 9.0, 30.0]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def holds_what_the_model_holds_in_its_order(self):
        snapshot = self.cache.snapshot()  # removes what has ended
        self.purge()
        assert self.cache._shelf.entries.keys() == [each[0] for each in self.model]
        assert snapshot.entries == len(self.model) <= ENTRIES
        assert snapshot.bytes == sum(len(each[1]) for each in self.model) <= BYTES
        assert snapshot.in_flight == 0


CacheMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestCacheMachine = CacheMachine.TestCase
