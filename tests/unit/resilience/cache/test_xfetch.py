"""Early refresh."""

from random import Random

from sengol_api.resilience.cache.xfetch import is_due, sure_until


class Chance(Random):
    def __init__(self, value):
        super().__init__(0)
        self.value = value

    def random(self):
        return self.value


def test_the_chance_is_that_of_the_paper():
    # -ln(1 - r) * took * beta >= what is left: with took 2, beta 1 and 4 s left, for one in e**2.
    random = Random(7)
    share = sum(is_due(96.0, 100.0, 2.0, 1.0, random) for _ in range(20_000)) / 20_000
    assert abs(share - 0.1353) < 0.01


def test_no_chance_whatever_refreshes_before_the_time_that_is_sure():
    least = Chance(1.0 - 2.0**-53)
    assert not is_due(sure_until(100.0, 2.0, 1.0) - 0.01, 100.0, 2.0, 1.0, least)
    assert is_due(sure_until(100.0, 2.0, 1.0) + 1.0, 100.0, 2.0, 1.0, least)
    assert sure_until(100.0, 2.0, 0.0) == 100.0


def test_a_chance_of_nought_breaks_nothing():
    assert not is_due(99.0, 100.0, 2.0, 1.0, Chance(0.0))
    assert is_due(100.0, 100.0, 2.0, 1.0, Chance(0.0))


def test_a_beta_of_nought_never_refreshes():
    assert not is_due(100.0, 100.0, 2.0, 0.0, Chance(0.9))
