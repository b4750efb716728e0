"""How much a call matters."""

import asyncio
import contextvars

import pytest

from sengol_api.resilience.priority import Priority, current_priority, priority


def test_critical_goes_before_interactive_goes_before_batch():
    assert Priority.CRITICAL > Priority.INTERACTIVE > Priority.BATCH


def test_a_call_is_interactive_unless_told():
    assert contextvars.Context().run(current_priority) is Priority.INTERACTIVE


@pytest.mark.parametrize("level", Priority)
def test_the_outermost_one_may_be_any(level):
    with priority(level):
        assert current_priority() is level
    assert current_priority() is Priority.INTERACTIVE


def test_inside_of_another_it_can_only_lower():
    with priority(Priority.INTERACTIVE):
        with priority(Priority.CRITICAL):
            assert current_priority() is Priority.INTERACTIVE
        with priority(Priority.BATCH):
            assert current_priority() is Priority.BATCH
        assert current_priority() is Priority.INTERACTIVE


def test_it_can_raise_when_told():
    with priority(Priority.BATCH), priority(Priority.CRITICAL, may_raise=True):
        assert current_priority() is Priority.CRITICAL


def test_a_task_inherits_it():
    async def level():
        return current_priority()

    async def main():
        with priority(Priority.BATCH):
            task = asyncio.ensure_future(level())
        return await task

    assert asyncio.run(main()) is Priority.BATCH


def test_a_senseless_one_is_refused():
    with pytest.raises(ValueError, match="7 is not a valid Priority"):
        priority(7)
