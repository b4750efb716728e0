"""Options of an adaptive limit, at the start and at run time."""

import pytest

from sengol_api.resilience import OptionsError, RateLimited
from sengol_api.resilience.adaptive.follower import is_overload
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.adaptive.vegas import Vegas
from sengol_api.resilience.testing import after, run_virtual
from support.toolkit.adaptive_limits import limited, state, use


def test_options_can_be_changed_at_run_time_and_the_limit_goes_on_from_where_it_was():
    async def main(loop):
        pipeline, told = limited(loop), []
        pipeline.subscribe(told.append, LimitChanged)
        await use(pipeline, after(0.1), times=8)
        pipeline["adaptive_limit"].update(algorithm="gradient2")
        assert state(pipeline).limit == 5
        pipeline["adaptive_limit"].update(min_limit=8, initial=8)
        assert state(pipeline).limit == 8
        assert [(event.previous, event.limit) for event in told] == [(4, 5), (5, 8)]

    run_virtual(main)


@pytest.mark.parametrize(
    "options",
    [
        {"initial": 0},
        {"min_limit": 0},
        {"min_limit": 30, "max_limit": 20},
        {"initial": 5, "min_limit": 10},
        {"initial": 2000},
        {"algorithm": "newton"},
        {"algorithm": Vegas},
        {"algorithm": 3},
        {"window": float("nan")},
        {"window": 0},
        {"min_samples": 0},
        {"dropped_share": 1.0},
        {"batch_share": 0.95},
        {"interactive_share": 0},
        {"dropped_on": "timeouts"},
    ],
    ids=str,
)
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionsError):
        AdaptiveLimit(**options)


@pytest.mark.parametrize(("error", "says"), [(TimeoutError(), True), (RateLimited("a", "b", 1.0), True), (OSError(), False)])
def test_timeouts_and_requests_to_wait_speak_of_overload(error, says):
    assert is_overload(error) is says
