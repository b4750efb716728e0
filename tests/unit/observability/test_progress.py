"""How far work is that is waited for: a bar for a person, lines for a log."""

import pytest

from sengol_api.observability.progress import progress_bar, progress_lines
from sengol_api.resilience.testing import ManualClock
from support.log_output import log_output


def test_the_bar_tells_what_is_loaded_and_how_far_it_is(capsys):
    with progress_bar() as bar:
        bar.advance(1)  # before the work began there is nothing to advance
        bar.begin("incidents", 7)
        bar.advance(3)
        bar.advance(4)
    shown = capsys.readouterr()
    assert "loading incidents" in shown.err
    assert "7/7" in shown.err
    assert shown.out == ""


@pytest.fixture
def output():
    with log_output() as made:
        yield made


def facts(output):
    told = [{name: line.get(name) for name in ("message", "what", "done", "total", "seconds")} for line in output.lines]
    return [tuple(value for value in line.values() if value is not None) for line in told]


def test_in_a_log_it_is_a_line_at_the_beginning_one_every_ten_seconds_and_one_at_the_end(output, capsys):
    clock = ManualClock()
    with progress_lines(clock.now) as lines:
        lines.advance(1)  # before the work began there is nothing to advance
        lines.begin("incidents", 7)
        for _ in range(7):
            clock.advance(4.0)
            lines.advance(1)
    assert facts(output) == [
        ("loading", "incidents", 0, 7),
        ("loading", "incidents", 3, 7),
        ("loading", "incidents", 6, 7),
        ("loaded", "incidents", 7, 28.0),
    ]
    assert capsys.readouterr().err == ""


def test_of_several_pieces_of_work_each_has_its_end_and_one_that_breaks_off_has_none(output):
    def load() -> None:
        with progress_lines(ManualClock().now) as lines:
            lines.begin("first", 2)
            lines.advance(2)
            lines.begin("empty", 0)
            lines.begin("second", 5)
            lines.advance(4)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        load()
    assert [line[:2] for line in facts(output)] == [
        ("loading", "first"), ("loaded", "first"), ("loading", "empty"), ("loaded", "empty"), ("loading", "second"),
    ]  # fmt: skip


def test_where_nothing_is_loaded_nothing_is_told(output):
    with progress_lines():
        pass
    assert output.lines == []
