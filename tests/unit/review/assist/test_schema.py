"""The form of the answer: strict for the model, patient with what comes."""

import json

import pytest

from sengol_api.review.assist.schema import LONGEST_TEXT, MOST_ITEMS, MOST_NAMES, SCHEMA, Item, Suggestions, parse

ITEM = {"area": "ai.x", "question": " Is it? ", "importance": "It is.", "cites": ["a"], "mitigations": [1, 0]}
WHOLE = {"order": ["ai.x"], "add": [], "items": [ITEM]}


def objects(schema):
    """All parts of a schema."""
    yield schema
    for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from objects(part)


def test_the_schema_keeps_to_what_strict_mode_takes():
    for part in objects(SCHEMA):
        assert part.keys() <= {"type", "properties", "required", "additionalProperties", "items"}
        if part["type"] == "object":
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
    json.dumps(SCHEMA)


def test_an_answer_in_the_form_is_read():
    assert parse(WHOLE) == (Suggestions(("ai.x",), (), (Item("ai.x", "Is it?", "It is.", ("a",), (1, 0)),)), ())


@pytest.mark.parametrize("value", [None, True, 3, 1.5, float("nan"), "text", b"bytes", [], [WHOLE], (), set(), object()])
def test_what_is_no_object_is_told_and_holds_nothing(value):
    found, problems = parse(value)
    assert found == Suggestions()
    assert len(problems) == 1


def test_each_wrong_part_is_told_and_left_out():
    found, problems = parse(
        {"order": "ai.x", "items": [None, {"area": 3}, {"area": "ai.x", "question": 5, "mitigations": "1"}, ITEM]}
    )
    assert found.items[0] == Item("ai.x", None, None, (), ())
    assert found.items[1].question == "Is it?"
    assert sorted(problems) == [
        "add must be a list.",
        "items[0] must be an object that names an area.",
        "items[1] must be an object that names an area.",
        "order must be a list.",
    ]


def test_only_texts_are_ids_and_only_whole_numbers_are_positions():
    item = {**ITEM, "cites": ["a", 3, None, ["b"]], "mitigations": [0, True, 1.0, "2", 10**30]}
    [found] = parse({"order": [1, "ai.x"], "add": [{}], "items": [item]})[0].items
    assert (found.cites, found.mitigations) == (("a",), (0, 10**30))


def test_what_is_too_long_is_not_taken():
    long = "x" * (LONGEST_TEXT + 1)
    item = {**ITEM, "question": long, "importance": "y" * 10_000_000}
    found, problems = parse({"order": [long, "ai.x"] * 5_000, "add": [], "items": [item] * 5_000})
    assert found.items[0].question is None
    assert found.items[0].importance is None
    assert len(found.items) == MOST_ITEMS
    assert len(found.order) <= MOST_NAMES
    assert len(problems) == 2


def test_nested_ever_deeper_is_no_burden():
    deep = []
    for _ in range(200_000):
        deep = [deep]
    assert parse({"order": deep, "add": deep, "items": deep})[0] == Suggestions()
    assert parse({"order": [], "add": [], "items": [{**ITEM, "question": deep, "cites": deep}]})[0].items[0].question is None
    while deep:  # taken apart by hand: the interpreter would do it by recursion
        deep = deep[0]
