"""What was used, and what it cost."""

import threading

import pytest

from sengol_api.adapters.openai import Price, Usage
from sengol_api.adapters.openai.prices import price_of, price_table
from sengol_api.adapters.openai.statistics import Statistics


def test_the_table_has_a_date_a_source_and_sensible_prices():
    table = price_table()
    assert table.as_of.startswith("20")
    assert table.source.startswith("https://")
    assert {"gpt-4o", "text-embedding-3-small"} <= table.models.keys()
    for price in table.models.values():
        assert 0 < price.input <= 100
        assert price.cached is None or price.cached < price.input


def test_a_model_with_a_date_in_its_name_costs_what_its_family_does_unless_it_has_a_price_of_its_own():
    assert price_of("gpt-4o-2024-08-06", {}) == price_of("gpt-4o", {})
    assert price_of("gpt-4o-2024-05-13", {}) != price_of("gpt-4o", {})
    assert price_of("gpt-4o-mini-20240718", {}) == price_of("gpt-4o-mini", {})
    assert price_of("llama-3", {}) is None
    assert price_of("gpt-4o-unheard-of", {}) is None
    assert price_of("gpt-4o", {"gpt-4o": Price(1.0)}) == Price(1.0)


def test_cost_is_reckoned_from_tokens_cached_ones_included():
    assert Price(2.0, 8.0, 0.5).of(1_000_000, 500_000, 400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)
    assert Price(2.0).of(1_000_000, 0, 400_000) == pytest.approx(2.0)


def test_a_model_without_a_price_makes_the_cost_unknown_not_nought():
    statistics = Statistics({})
    statistics.used("gpt-4o", Usage(1000, 100))
    assert statistics.snapshot(0).cost == pytest.approx(0.0035)
    statistics.used("llama-3", Usage(1000, 100))
    stats = statistics.snapshot(0)
    assert stats.cost is None
    assert stats.models["gpt-4o"].cost == pytest.approx(0.0035)
    assert stats.models["llama-3"].cost is None
    assert Statistics({"llama-3": Price(0.0)}).snapshot(0).cost == 0.0


def test_names_that_a_provider_makes_up_do_not_fill_the_memory():
    statistics = Statistics({})
    for number in range(500):
        statistics.used(f"model-{number}", Usage(1, 1))
    stats = statistics.snapshot(0)
    assert (len(stats.models), stats.models["others"].answers, stats.input_tokens) == (101, 400, 500)


def test_everything_is_counted_from_several_threads():
    statistics = Statistics({})

    def work():
        for _ in range(500):
            statistics.sent()
            statistics.failed("timeout")
            statistics.lost()
            statistics.used("gpt-4o", Usage(2, 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = statistics.snapshot(7)
    assert (stats.requests, stats.errors, stats.maybe_billed, stats.retries) == (2000, {"timeout": 2000}, 2000, 7)
    assert (stats.input_tokens, stats.output_tokens, stats.models["gpt-4o"].answers) == (4000, 2000, 2000)
