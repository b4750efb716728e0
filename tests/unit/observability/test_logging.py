"""What the logs look like, and what never stands in them."""

import io
import json
import logging
import sys

import pytest

from sengol_api.observability.logging import ConsoleFormatter, JsonFormatter, configure, request_id


@pytest.fixture
def restored():
    """The logging of pytest, as it was before a test configured its own."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def record(message="request", *arguments, **extra):
    return logging.getLogger("test").makeRecord(
        "test", logging.WARNING, __file__, 1, message, arguments, extra.pop("exc_info", None), extra=extra or None
    )


def as_json(*arguments, **extra):
    line = JsonFormatter().format(record(*arguments, **extra))
    assert "\n" not in line
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_line_is_one_json_object_with_its_facts():
    line = as_json("slow %s", "request", status=200, durationMs=12.5)
    assert line["time"].endswith("+00:00")
    assert {key: line[key] for key in ("level", "logger", "message", "status", "durationMs")} == {
        "level": "warning",
        "logger": "test",
        "message": "slow request",
        "status": 200,
        "durationMs": 12.5,
    }


def test_a_line_names_the_request_that_it_belongs_to():
    assert "requestId" not in as_json()
    token = request_id.set("abc")
    try:
        assert as_json()["requestId"] == "abc"
        assert "requestId=abc" in ConsoleFormatter().format(record())
    finally:
        request_id.reset(token)


@pytest.mark.parametrize("value", ["two\nlines", "\ud800", "\u2028", object(), {"a": {1}}, b"bytes", float("nan"), float("inf")])
def test_any_fact_can_be_logged_on_one_line(value):
    assert "fact" in as_json(fact=value)


@pytest.mark.parametrize("hostile", ["x\nERROR forged", "x\r\nERROR forged", "x\x1b[2Jforged"])
def test_nothing_that_is_logged_forges_a_line_for_people(hostile):
    line = ConsoleFormatter().format(record("told %s", hostile, fact=hostile))
    assert not {"\n", "\r", "\x1b"} & set(line)
    assert "forged" in line


def test_an_exception_is_logged_with_its_traceback():
    with pytest.raises(RuntimeError) as failure:
        raise RuntimeError("what broke")
    caught = failure.type, failure.value, failure.tb
    assert "RuntimeError: what broke" in as_json(exc_info=caught)["exception"]
    assert "RuntimeError: what broke" in ConsoleFormatter().format(record(exc_info=caught))


def test_a_line_for_people_is_short():
    line = ConsoleFormatter().format(record("request", status=200))
    assert line.endswith("warning request status=200")


@pytest.mark.usefixtures("restored")
def test_the_least_level_holds_and_logs_go_to_standard_error(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("warning", "auto")
    logging.getLogger("sengol_api.test").info("not this")
    logging.getLogger("sengol_api.test").warning("but this")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["but this"]


@pytest.mark.usefixtures("restored")
def test_a_terminal_gets_lines_for_people(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for style, console in (("auto", True), ("console", True), ("json", False)):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        configure("info", style)
        logging.getLogger("sengol_api.test").info("hello")
        assert stream.getvalue().startswith("{") is not console
