"""What of an error may be told: its kind and place always, its text only where nobody outside can have written it."""

import asyncio
import errno
import json
import logging
import sqlite3
import ssl

import httpx2
import msgspec
import openai
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.valkey.errors import refusal
from sengol_api.observability.withheld import WITHHELD, message_of, summary_of, text_of, trace_of
from sengol_api.resilience import CircuitBreaker, CircuitOpen, Fallback, Pipeline, Retry, TimedOut
from sengol_api.resilience.testing import Script
from sengol_api.review.errors import DatabaseError, LLMError, ValidationError

CANARY = "canary-7f3a"


def raised(raising):
    try:
        raising()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the test asked for
        return error
    raise AssertionError("nothing was raised")


def literal():
    raise RuntimeError("no task is running")


def two_literals():
    raise RuntimeError("no task", "is running")


def put_together():
    raise RuntimeError(f"cannot read {CANARY!s}")


def passed_on(text=CANARY):
    raise ValueError(text)


def test_a_text_that_stands_in_the_code_is_told():
    assert text_of(raised(literal)) == "no task is running"
    assert text_of(raised(two_literals)) == "no task, is running"
    assert text_of(raised(lambda: {}["nobody"])) == "nobody"


@pytest.mark.parametrize("raising", [put_together, passed_on, lambda: {}[CANARY], lambda: int(CANARY), lambda: json.loads(CANARY)])
def test_a_text_that_was_put_together_is_withheld(raising):
    error = raised(raising)
    assert text_of(error) == WITHHELD
    assert summary_of(error).endswith(f": {WITHHELD}")


def test_an_error_that_was_never_raised_or_bears_objects_says_nothing():
    assert text_of(RuntimeError("literal, but where?")) == WITHHELD
    assert text_of(RuntimeError({"prompt": CANARY})) == WITHHELD
    assert text_of(RuntimeError()) == ""
    assert summary_of(RuntimeError()) == "RuntimeError"


class BrokenError(Exception):
    @property
    def args(self):
        raise RuntimeError(CANARY)


class RudeError(OSError):
    @property
    def errno(self):
        raise RuntimeError(CANARY)


@pytest.mark.parametrize("kind", [BrokenError, RudeError])
def test_an_error_whose_own_code_is_broken_is_told_by_its_kind(kind):
    assert text_of(kind("x")) == WITHHELD
    assert f"{kind.__name__}: {WITHHELD}" in trace_of(kind("x"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CircuitOpen("dvecdb", "circuit_breaker", 3.0), "dvecdb: the call was not made: the circuit breaker is open"),
        (TimedOut("dvecdb", "timeout", 5.0), "dvecdb: no answer within 5 s"),
        (DatabaseError("The database could not be read."), "The database could not be read."),
        (LLMError("The model failed."), "The model failed."),
    ],
)
def test_errors_that_vouch_for_their_texts_are_told(error, told):
    assert told in text_of(error)


def test_a_class_can_vouch_for_its_texts_and_an_instance_cannot():
    error = raised(passed_on)
    error.loggable = True
    assert text_of(error) == WITHHELD
    assert text_of(refusal("valkey at host", "GET", "OOM command not allowed")).startswith("valkey at host refused GET with OOM")


def test_what_a_client_did_wrong_is_not_repeated():
    assert text_of(ValidationError([], f"got {CANARY}")) == WITHHELD


def test_an_error_of_the_system_is_told_by_its_code_not_by_its_words():
    error = OSError(errno.ECONNREFUSED, f"Connect call failed {CANARY}", f"/home/{CANARY}")
    assert text_of(error) == "ECONNREFUSED: Connection refused"
    assert text_of(ssl.SSLError(1, f"[SSL] {CANARY}")) == WITHHELD


def test_an_error_of_a_database_is_told_by_its_code():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x TEXT UNIQUE)")
        error = raised(lambda: [connection.execute(sa.text("INSERT INTO t VALUES (:x)"), {"x": CANARY}) for _ in range(2)])
    engine.dispose()
    assert CANARY in str(error)  # SQLAlchemy shows the parameters
    shown = trace_of(error)
    assert "sqlalchemy.exc.IntegrityError: sqlite_errorname SQLITE_CONSTRAINT_UNIQUE" in shown
    assert CANARY not in shown

    class Postgres(sqlite3.Error):
        sqlstate = "23505"

    assert text_of(sa.exc.IntegrityError(f"INSERT {CANARY}", {"x": CANARY}, Postgres(f"Key (x)=({CANARY})"))) == "sqlstate 23505"
    Postgres.sqlstate = f"{CANARY}!"
    assert text_of(Postgres(CANARY)) == WITHHELD


def test_an_error_of_a_vendor_is_told_by_its_status():
    request = httpx2.Request("POST", f"https://{CANARY}/v1?key={CANARY}")
    body = {"error": {"message": CANARY, "code": CANARY}}
    response = httpx2.Response(400, request=request, json=body)
    error = openai.BadRequestError(f"Error code: 400 - {body}", response=response, body=body["error"])
    assert summary_of(error) == "openai.BadRequestError: status 400"
    assert CANARY not in trace_of(error)


class Prompt(msgspec.Struct, tag_field="kind", tag="prompt"):
    text: str


@pytest.mark.parametrize(
    "raising",
    [
        lambda: msgspec.convert({"kind": CANARY}, Prompt),
        lambda: float(CANARY),
        lambda: getattr(object(), CANARY),
        lambda: [].index(CANARY),
        lambda: open(f"/nowhere/{CANARY}"),  # noqa: PTH123, SIM115 - it does not come to that
        lambda: exec(CANARY.partition("-")[0]),
        lambda: __import__(CANARY),
        lambda: httpx2.get(f"{CANARY}://host"),
        lambda: asyncio.run(asyncio.wait_for(asyncio.sleep(0, put_together()), 1)),
    ],
)
def test_no_error_of_the_language_or_a_library_tells_what_it_was_given(raising):
    error = raised(raising)
    assert "canary" in str(error)
    assert "canary" not in trace_of(error)


def test_a_trace_has_the_frames_and_every_error_behind_the_last():
    def outermost():
        try:
            try:
                passed_on()
            except ValueError as error:
                raise KeyError(CANARY) from error
        except KeyError:
            put_together()

    error = raised(outermost)
    error.add_note(CANARY)
    shown = trace_of(error)
    assert CANARY not in shown
    ends = [line for line in shown.split("\n") if not line.startswith((" ", "Traceback"))]
    assert ends == [
        f"ValueError: {WITHHELD}",
        "which caused",
        f"KeyError: {WITHHELD}",
        "and while it was handled",
        f"RuntimeError: {WITHHELD}",
    ]
    assert "in passed_on" in shown
    assert "in put_together" in shown


def test_what_a_cause_hides_stays_hidden_and_a_circle_ends():
    def hidden():
        try:
            passed_on()
        except ValueError:
            raise RuntimeError("instead") from None

    assert "ValueError" not in trace_of(raised(hidden))
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__context__, other.__context__ = other, one
    assert trace_of(one).count("RuntimeError") == 2


def test_a_long_chain_and_a_deep_stack_are_cut():
    def deep(levels):
        return literal() if levels == 0 else deep(levels - 1)

    error = raised(lambda: deep(100))
    shown = trace_of(error)
    assert "more" in shown
    assert "in literal" in shown
    assert len(shown.split("\n")) < 25
    for _ in range(100):
        around = RuntimeError("around")
        around.__cause__ = error
        error = around
    assert trace_of(error).count("which caused") < 10


def test_groups_show_their_members():
    def several():
        raise ExceptionGroup("two failed", [raised(literal), ExceptionGroup(CANARY, [raised(passed_on)])])

    shown = trace_of(raised(several))
    assert "ExceptionGroup" in shown
    assert "RuntimeError: no task is running" in shown
    assert "ValueError" in shown
    assert CANARY not in shown


def test_what_a_retry_and_a_fallback_went_through_is_told():
    pipeline = Pipeline("model", Fallback({"smaller": Script(LLMError("The model failed.")).sync}), Retry(initial_delay=0.0))
    error = raised(lambda: pipeline.call_sync(Script(ConnectionError(CANARY)).sync))
    shown = trace_of(error)
    assert "after 4 attempts: ConnectionError, ConnectionError" in shown
    assert "alternative smaller: sengol_api.review.errors.LLMError: The model failed." in shown
    assert CANARY not in shown


def test_a_rejection_is_told_in_full():
    pipeline = Pipeline("dvecdb", CircuitBreaker())
    pipeline["circuit_breaker"].isolate()
    assert "was isolated by hand" in trace_of(raised(lambda: pipeline.call_sync(str)))


@given(st.text(min_size=4), st.sampled_from([ValueError, KeyError, LookupError, OSError, UnicodeError]))
def test_no_text_from_outside_is_told_whatever_it_is(text, kind):
    def failing():
        raise kind(text)

    around = RuntimeError(text, kind(text))
    around.__cause__ = raised(failing)
    assert trace_of(around).count(WITHHELD) == 2


# --- log lines of other libraries


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(message_of(record))


@pytest.fixture
def elsewhere():
    logger, kept = logging.getLogger("elsewhere"), Kept()
    logger.addHandler(kept)
    logger.propagate = False
    yield logger, kept.messages
    logger.propagate = True
    logger.removeHandler(kept)


def test_of_other_libraries_lines_the_literal_parts_and_the_numbers_are_told(elsewhere):
    logger, messages = elsewhere
    logger.warning("plain words")
    logger.warning("%s failed %d times in %.1f s", CANARY, 3, 0.25)
    logger.warning("%(what)s at %(status)d", {"what": CANARY, "status": 500})
    logger.warning(
        "on several lines %s",
        CANARY,
    )
    assert messages == ["plain words", "… failed 3 times in 0.2 s", "… at 500", "on several lines …"]


def test_a_line_that_does_not_fit_its_arguments_is_told_without_them():
    def misused():
        record = logging.LogRecord("_granian", logging.ERROR, __file__, 1, "%d", (CANARY,), None)
        return message_of(record)

    assert misused() == "%d"


def test_of_lines_that_were_put_together_only_the_place_is_told(elsewhere):
    logger, messages = elsewhere
    logger.warning(f"the prompt was {CANARY}")  # noqa: G004 - as some libraries do it
    logger.warning(CANARY + " %s", 1)  # noqa: G003 - the same
    logger.warning({"prompt": CANARY})
    assert all(message.startswith(f"{WITHHELD} at ") and ":" in message for message in messages)
    assert "test_withheld.py:" in messages[0]
    assert CANARY not in str(messages)
