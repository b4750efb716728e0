"""W3C trace context: what is taken over from a caller, and what is sent on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.observability.trace_context import TraceContext, annotate, current, inject, read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_valid_header_is_taken_over():
    context = read([VALID], ["a=1,b=2"])
    assert (context.trace_id, context.span_id, context.flags, context.state) == (TRACE, SPAN, 1, "a=1,b=2")
    assert context.traceparent == VALID


@pytest.mark.parametrize(
    ("header", "sent_on"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),  # flags that nobody has defined are not sent on
        (f"01-{TRACE}-{SPAN}-01", VALID),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-bring", VALID),
    ],
)
def test_later_versions_are_read_as_far_as_they_are_known(header, sent_on):
    assert read([header]).traceparent == sent_on


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [VALID, VALID],
        [""],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"00-{TRACE}-{SPAN}-1"],
        [f"00-{TRACE}-{SPAN}-0g"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"0-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f" {VALID}"],
        [f"{VALID}\n"],
        [f"cc-{TRACE}-{SPAN}-01.x"],
        [f"00-{TRACE}\u2028-{SPAN}-01"],
    ],
)
def test_what_is_not_valid_begins_no_trace_of_somebody_else(headers):
    assert read(headers) is None


@pytest.mark.parametrize(
    "states", [["a=1\nforged"], ["x" * 513], [",".join(f"k{n}=1" for n in range(33))], ["a=\x1b[2J"], ["\xe9=1"]]
)
def test_a_state_that_is_not_valid_is_left_out_and_the_context_stays(states):
    assert read([VALID], states).state == ""


def test_states_of_several_headers_are_one():
    assert read([VALID], ["a=1", "b=2"]).state == "a=1,b=2"


@given(st.text(max_size=80))
def test_whatever_comes_what_is_sent_on_is_valid(header):
    context = read([header])
    assert context is None or read([context.traceparent]) is not None


def test_what_is_sent_on_is_the_present_place():
    headers = {"accept": "x"}
    inject(headers)
    assert headers == {"accept": "x"}
    token = current.set(TraceContext(TRACE, SPAN, 1))
    try:
        inject(headers)
        assert headers == {"accept": "x", "traceparent": VALID}
        current.set(TraceContext(TRACE, SPAN, 0, "a=1"))
        inject(headers)
        assert headers == {"accept": "x", "traceparent": VALID[:-1] + "0", "tracestate": "a=1"}
    finally:
        current.reset(token)


def test_facts_for_no_span_go_nowhere():
    annotate({"x": 1})
    token = current.set(TraceContext(TRACE, SPAN, 1))
    annotate({"x": 1})
    current.reset(token)
