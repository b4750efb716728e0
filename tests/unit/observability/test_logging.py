"""What the logs look like, and what never stands in them."""

import asyncio
import gc
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.observability import trace_context
from sengol_api.observability.logging import ConsoleFormatter, JsonFormatter, configure, for_people, loop_fault, request_id
from sengol_api.resilience.events import report
from support.log_output import log_output


def record(message="request", *arguments, name="sengol_api.test", **extra):
    return logging.getLogger("test").makeRecord(
        name, logging.WARNING, __file__, 1, message, arguments, extra.pop("exc_info", None), extra=extra or None
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
        "logger": "sengol_api.test",
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


def test_the_least_level_holds_and_logs_go_to_standard_error():
    with log_output("warning") as output:
        logging.getLogger("sengol_api.test").info("not this")
        logging.getLogger("sengol_api.test").warning("but this")
        assert output.messages == ["but this"]


def test_a_terminal_gets_lines_for_people():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for style, console in (("auto", True), ("console", True), ("json", False)):
        with log_output("info", style, Terminal()) as output:
            logging.getLogger("sengol_api.test").info("hello")
            assert output.text.startswith("{") is not console


def test_without_a_standard_error_nothing_is_written_and_nothing_fails(monkeypatch):
    with log_output() as output:
        monkeypatch.setattr(sys, "stderr", None)
        configure("info", "auto")
        logging.getLogger("sengol_api.test").critical("unheard")
        assert output.text == ""


def test_other_libraries_are_heard_from_warnings_on_whatever_the_level():
    """Below that they write of requests: the SDK of a model logs every prompt at debug."""
    with log_output("debug") as output:
        logging.getLogger("sengol_api.test").debug("ours")
        logging.getLogger("openai").debug("a prompt")
        logging.getLogger("httpx2").info("an address")
        logging.getLogger("elsewhere").warning("trouble")
        assert output.messages == ["ours", "trouble"]


def test_the_last_word_of_a_process_is_a_line_like_all_others_and_waits_for_nobody():
    script = (
        "from sengol_api.observability.logging import configure, last_word\n"
        "import logging; configure('info', '{style}', threaded=False)\n"
        "logging.getLogger().handlers[0]._writing.acquire()  # as a signal finds it that comes while a line is written\n"
        "last_word('a second signal')"
    )
    told = subprocess.run([sys.executable, "-c", script.format(style="json")], capture_output=True, check=True, timeout=60).stderr
    line = json.loads(told)
    assert (line["level"], line["message"], line["logger"]) == ("critical", "a second signal", "sengol_api")
    told = subprocess.run(
        [sys.executable, "-c", script.format(style="console")], capture_output=True, check=True, timeout=60
    ).stderr
    assert told.endswith(b" critical a second signal\n")


@pytest.mark.parametrize(("style", "said"), [("json", False), ("console", True), ("auto", False)])
def test_whether_lines_are_for_people_is_the_setting_or_the_terminal(style, said):
    assert for_people(style) is said


def test_what_the_server_logs_comes_in_the_same_shape_and_place():
    server = logging.getLogger("_granian")
    server.addHandler(logging.StreamHandler(io.StringIO()))
    server.propagate = False
    with log_output() as output:
        server.error("Application callable raised an exception\nRuntimeError: canary")
        assert output.messages == ["Application callable raised an exception"]


@pytest.fixture
def output():
    with log_output() as made:
        yield made


def test_an_error_that_nobody_can_catch_is_a_line(output):
    report(RuntimeError(f"a {'canary'}"), "a listener raised", None)

    class Broken:
        def __del__(self):
            raise ValueError("on the way out")

    Broken()
    gc.collect()

    def fail():
        raise KeyError(f"a {'canary'}")

    thread = threading.Thread(target=fail, name="helper")
    thread.start()
    thread.join()
    sys.excepthook(OSError, OSError(f"a {'canary'}"), None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    warnings.showwarning("old", DeprecationWarning, __file__, 1)
    told = output.lines
    assert [(line["level"], line["message"]) for line in told] == [
        ("error", "fault in the background"),
        ("error", "fault in the background"),
        ("error", "a thread ended by an error"),
        ("critical", "the process ends by an error"),
        ("warning", told[-1]["message"]),
    ]
    assert told[0]["what"] == "a listener raised"
    assert told[1]["exception"].endswith("ValueError: on the way out")
    assert told[2]["who"] == "helper"
    assert "canary" not in str(told)


async def test_what_an_event_loop_reports_is_a_line_without_arguments_and_texts(output):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_fault)

    def fail(prompt):
        raise ValueError(f"cannot use {prompt}")

    async def fail_later():
        raise ValueError(f"a {'canary'}")

    loop.call_soon(fail, "canary")
    task = loop.create_task(fail_later())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    told = output.lines
    assert [line["what"] for line in told] == ["a callback failed", "a task failed and nobody asked for its result"]
    assert all(line["exception"].endswith("ValueError: (text withheld)") for line in told)
    assert "canary" not in str(told)


def test_a_line_in_a_trace_bears_its_ids():
    token = trace_context.current.set(trace_context.TraceContext("a" * 32, "b" * 16, 1))
    try:
        line = as_json()
    finally:
        trace_context.current.reset(token)
    assert (line["traceId"], line["spanId"]) == ("a" * 32, "b" * 16)


def test_facts_cannot_take_the_place_of_what_every_line_has():
    line = as_json(time="never", level="debug", logger="forged", pid=1)
    assert (line["level"], line["logger"], line["pid"]) == ("warning", "sengol_api.test", os.getpid())
    assert line["time"] != "never"


@given(text=st.text(), key=st.text(st.characters(categories=["L"]), min_size=1))
def test_whatever_is_logged_is_one_line_of_printable_ascii(text, key):
    line = JsonFormatter().format(record("told %s", text, **{f"fact_{key}": text}))
    assert re.fullmatch(r"[\x20-\x7e]+", line)
    assert json.loads(line)["message"] == f"told {text}".encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_logged_for_people_moves_no_cursor(text):
    line = ConsoleFormatter().format(record("told %s", text, fact=text))
    assert not set(line) & {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u2028\u2029\u202e\u2066\ufeff"}
    assert len(line.splitlines()) == 1


def deep(levels):
    if levels == 0:
        raise RuntimeError("at the bottom")
    deep(levels - 1)


@pytest.mark.parametrize("facts", [{}, {"long": "x" * 10_000}, {f"fact{n}": "é" * 1000 for n in range(100)}, {"x" * 5000: 1}])
def test_a_line_is_never_longer_than_a_pipe_takes_as_a_whole(facts):
    """Else the lines of several workers would mix."""
    with pytest.raises(RuntimeError) as failure:
        deep(60)
    error = failure.value
    for _ in range(4):
        wrapped = ValueError("around it")
        wrapped.__cause__, wrapped.__traceback__ = error, failure.tb
        error = wrapped
    line = JsonFormatter().format(record(exc_info=(type(error), error, error.__traceback__), **facts))
    assert len(line) < 4096
    shown = json.loads(line)
    assert shown["message"] == "request"
    assert shown["shortened"] is True
    if not facts:
        assert shown["exception"].endswith("\nValueError: (text withheld)")
