"""A counter is exact, whoever counts and whoever reads."""

from sengol_api.resilience.counter import Counter
from support.threads import in_threads


def test_a_new_counter_is_zero():
    assert Counter().value == 0


def test_reading_does_not_count():
    counter = Counter()
    for expected in range(1, 100):
        counter.add()
        assert [counter.value for _ in range(3)] == [expected] * 3


def test_eight_threads_lose_no_count_while_others_read():
    counter = Counter()
    seen = []

    def work():
        for number in range(5_000):
            counter.add()
            if number % 100 == 0:
                seen.append(counter.value)

    assert in_threads(*[work] * 8) == [None] * 8
    assert counter.value == 40_000
    assert all(0 < value <= 40_000 for value in seen)
