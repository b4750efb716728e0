"""The adaptive limit in front of a model of a service with ten workers and 0.1 s a call, on virtual time."""

from random import Random

import pytest

from sengol_api.resilience import Timeout
from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.adaptive.policy import AdaptiveLimit
from support.queueing import offer

ALGORITHMS = {"gradient2": "gradient2", "vegas": "vegas", "aimd": Aimd(max_latency=0.2)}
OPTIMUM = 10  # Little's law: 100 calls a second of 0.1 s


def limit(algorithm, **options):
    return AdaptiveLimit(ALGORITHMS[algorithm], window=0.25, **options)


def test_without_a_limit_goodput_collapses_under_overload():
    assert offer(0.8, Timeout(1.0), seconds=10.0).goodput > 0.7
    assert offer(10.0, Timeout(1.0), seconds=10.0).goodput < 0.1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_at_half_load_nothing_is_refused(algorithm):
    result = offer(0.5, limit(algorithm), Timeout(1.0))
    assert result.lost == 0
    assert result.quantile(0.99) < 0.2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("load", [2.0, 10.0])
def test_under_overload_goodput_stays_at_its_peak_and_the_limit_near_the_optimum(algorithm, load):
    result = offer(load, limit(algorithm), Timeout(1.0), seconds=24.0)
    assert result.goodput >= 0.95
    assert OPTIMUM * 0.9 <= sorted(result.limits[12:])[len(result.limits[12:]) // 2] <= 2.5 * OPTIMUM
    assert result.quantile(0.99) <= 0.3  # three times unloaded


@pytest.mark.parametrize("algorithm", ["gradient2", "vegas"])
def test_times_that_scatter_widely_do_not_bring_the_limit_down(algorithm):
    chance = Random(5)
    result = offer(4.0, limit(algorithm), Timeout(2.0), seconds=40.0, draw=lambda: chance.expovariate(1.0))
    assert result.goodput >= 0.95
    assert sorted(result.limits[12:])[len(result.limits[12:]) // 2] <= 3 * OPTIMUM


@pytest.mark.parametrize("algorithm", ["gradient2", "vegas"])
def test_a_service_that_becomes_slower_for_good_keeps_all_its_workers_busy(algorithm):
    def slow(now, service):
        service.seconds = 0.1 if now < 15.0 else 0.3

    result = offer(3.0, limit(algorithm), Timeout(2.0), seconds=60.0, then=slow)
    assert result.goodput >= 0.95
    assert result.limits[-1] <= 3 * OPTIMUM


def test_an_optimum_far_above_the_initial_limit_is_found():
    result = offer(2.0, limit("gradient2", initial=5), Timeout(1.0), workers=60, service_time=0.2, seconds=30.0)
    assert result.goodput >= 0.95
    assert 60 <= result.limits[-1] <= 2 * 60
