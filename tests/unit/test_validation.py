"""Every problem of a request at once, and never a crash."""

import json
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from sengol_api.api import wire
from sengol_api.review.errors import ValidationError
from sengol_api.validation import CONTROL_FREE, MOST_PROBLEMS, check, convert, decode


class Inner(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A part."""

    a_number: Annotated[int, Meta(ge=0, le=9)]
    note: str | None = None


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request."""

    user_name: Annotated[str, Meta(min_length=2, max_length=5), CONTROL_FREE]
    colour: Literal["red", "green"] = "red"
    words: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=3)] = []
    inner: list[Inner] = []
    counts: dict[str, int] = {}
    ratio: Annotated[float, Meta(ge=0, le=1)] | None = None
    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "x"


def found(value, kind=Body, **options):
    result, problems = check(value, kind, **options)
    assert (result is None) == bool(problems)
    return {problem.path: (problem.code, problem.message) for problem in problems}


def test_what_is_right_is_converted():
    body = convert({"userName": "Ada", "inner": [{"aNumber": 3}], "ratio": 1}, Body)
    assert (body.user_name, body.inner[0].a_number, body.ratio) == ("Ada", 3, 1.0)


def test_every_problem_is_found_at_once_with_its_path():
    problems = found(
        {
            "userName": "x",
            "colour": "blue",
            "words": ["ok", "", 5],
            "inner": [{"aNumber": 3}, {"aNumber": 10, "nte": 1}, {}],
            "counts": {"a": "1", "b": 2},
            "ratio": 1.5,
            "code": "A1",
            "usrName": 1,
        }
    )
    assert {path: code for path, (code, _) in problems.items()} == {
        "userName": "too_short",
        "colour": "not_a_choice",
        "words[1]": "too_short",
        "words[2]": "wrong_type",
        "inner[1].aNumber": "out_of_range",
        "inner[1].nte": "unknown_field",
        "inner[2].aNumber": "missing",
        "counts.a": "wrong_type",
        "ratio": "out_of_range",
        "code": "pattern",
        "usrName": "unknown_field",
    }


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({}, "userName", "is missing"),
        ({"userName": "x"}, "userName", "takes at least 2 characters, got 1"),
        ({"userName": "xxxxxx"}, "userName", "takes at most 5 characters, got 6"),
        ({"userName": "a\x00b"}, "userName", "holds a control character; only tab and line breaks are allowed"),
        ({"userName": None}, "userName", "takes text, got null"),
        ({"userName": "ok", "words": ["a"] * 4}, "words", "takes at most 3 entries, got 4"),
        ({"userName": "ok", "words": "a"}, "words", "takes a list, got text"),
        ({"userName": "ok", "inner": [1]}, "inner[0]", "takes an object, got a whole number"),
        ({"userName": "ok", "colour": "blue"}, "colour", "takes one of red, green"),
        ({"userName": "ok", "ratio": -0.5}, "ratio", "must be >= 0.0"),
        ({"userName": "ok", "usernam": 1}, "usernam", "is not a field here; did you mean userName?"),
        ([], "", "takes an object, got a list"),
        (None, "", "takes an object, got null"),
        ("text", "", "takes an object, got text"),
    ],
)
def test_messages_say_what_is_allowed(value, path, message):
    assert found(value)[path][1] == message


def test_problems_stand_in_the_order_of_the_request():
    names = [f"zz{n}" for n in range(30)]
    _, problems = check({"userName": "ok", **dict.fromkeys(names, 1)}, Body)
    assert [problem.path for problem in problems] == names


def test_a_rule_on_several_fields_is_told_beside_other_problems():
    problems = found({"yearFrom": 2020, "yearTo": 2010, "kinds": ["nonsense"]}, wire.FilterIn)
    assert problems["kinds[0]"][0] == "not_a_choice"
    assert problems[""][1] == "yearFrom (2020) is after yearTo (2010)"


def test_a_rule_on_several_fields_is_told_on_its_own():
    assert found({"query": "abc", "filter": {"yearFrom": 2020, "yearTo": 2010}}, wire.SearchIn) == {
        "filter": ("invalid", "yearFrom (2020) is after yearTo (2010)")
    }


def test_a_list_that_is_too_long_is_told_beside_its_wrong_entries():
    problems = found({"userName": "ok", "words": ["a", "b", "c", ""]})
    assert problems["words"] == ("too_long", "takes at most 3 entries, got 4")
    assert problems["words[3]"][0] == "too_short"


def test_a_flood_of_unknown_names_is_looked_at_only_so_far(monkeypatch):
    looked_at = []
    monkeypatch.setattr("difflib.get_close_matches", lambda word, *_, **__: looked_at.append(word) or [])
    check({f"z{n}": 1 for n in range(5000)}, Body)
    assert len(looked_at) <= MOST_PROBLEMS + 1


def test_a_flood_of_problems_is_cut():
    _, problems = check({"userName": "ok", "inner": [{}] * 5000}, Body)
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].code == "too_many_problems"


def test_a_long_name_is_cut_in_the_path():
    [path] = found({"userName": "ok", "z" * 10_000: 1})
    assert len(path) == 60


def test_query_strings_are_read_leniently_and_bodies_are_not():
    assert convert({"page": "2"}, wire.PageIn, strict=False).page == 2
    assert found({"page": "2"}, wire.PageIn)["page"][0] == "wrong_type"
    assert set(found({"page": "0", "limit": "x"}, wire.PageIn, strict=False)) == {"page", "limit"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_empty"),
        (b" \n", "json_empty"),
        (b"{", "json_invalid"),
        (b"{'a': 1}", "json_invalid"),
        (b'{"a": NaN}', "json_invalid"),
        (b'{"a": Infinity}', "json_invalid"),
        (b"1e999", "json_invalid"),
        (b'{"a": 1} {}', "json_invalid"),
        (b'"\xff"', "json_invalid"),
        (b'"\x00"', "json_invalid"),
        (b'"\\ud800"', "json_invalid"),
        (b"[" * 100_000, "json_depth"),
        (b'{"a":' * 100_000, "json_depth"),
    ],
)
def test_a_body_that_is_no_json_is_one_problem(body, code):
    with pytest.raises(ValidationError) as caught:
        decode(body)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert caught.value.metadata["errors"][0]["code"] == code


def test_what_is_wrong_with_the_json_is_told_once_in_words():
    with pytest.raises(ValidationError) as caught:
        decode(b'{"a": 1} {}')
    assert caught.value.problems[0].message == "the body is not JSON: trailing characters (byte 10)"


def test_half_of_a_surrogate_pair_is_called_by_its_name():
    with pytest.raises(ValidationError) as caught:
        decode(b'{"a": "\\udc00"}')
    assert "surrogate" in caught.value.problems[0].message


@pytest.mark.parametrize("text", ["😀", "\ufffe", "é", "\u202e", ""])
def test_unusual_but_valid_text_is_read(text):
    assert decode(json.dumps({"a": text}).encode()) == {"a": text}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(
    st.sampled_from(
        ["systemDescription", "selectedDomains", "jurisdictions", "industry", "maxQuestions", "minWeight", "riskQuestions"]
    )
    | st.text(max_size=5),
    json_values,
)


@given(bodies, st.sampled_from([wire.GenerateIn, wire.SaveQuestionsIn, wire.SearchIn, wire.AnswersIn, wire.RegisterIn]))
def test_any_value_is_converted_or_refused_with_problems(value, kind):
    result, problems = check(value, kind)
    assert (result is None) == bool(problems)
    assert all(problem.message and problem.code for problem in problems)
    if result is not None:
        assert msgspec.convert(value, kind) == result


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(body):
    try:
        decode(body)
    except ValidationError as error:
        assert len(error.problems) == 1  # noqa: PT017 - either outcome is right, nothing else is
