"""Schemas that a model is held to."""

import pytest

from sengol_api.adapters.openai.schema import MOST_PROBLEMS, AnswerSchema
from sengol_api.resilience import OptionsError


def obj(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


COUNT = {"type": "integer", "minimum": 3}
LIST = obj(items={"type": "array", "items": obj(count=COUNT, note={"type": ["string", "null"], "maxLength": 20})})


def test_a_value_of_the_schema_has_no_problems():
    schema = AnswerSchema("items", LIST)
    assert schema.problems('{"items": [{"count": 3, "note": null}, {"count": 4, "note": "x"}]}') == []
    assert schema.response_format("json_schema")["json_schema"] == {"name": "items", "strict": True, "schema": LIST}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not one JSON text"),
        ("Sure! Here is the JSON:\n```json\n{}\n```", "not one JSON text"),
        ('{"items": []} and more', "not one JSON text"),
        ('{"items": [NaN]}', "not one JSON text"),
        ("[" * 100_000, "not one JSON text"),
        ("[]", "the answer: "),
        ("{}", 'the answer: "items" is a required property'),
        ('{"items": 5}', "items: "),
        ('{"items": [{"count": 1, "note": null}]}', "items[0].count: the value is less than the minimum of 3"),
        ('{"items": [{"count": 3.5, "note": null}]}', "items[0].count: "),
        ('{"items": [{"count": 3, "note": null, "MADE UP": 1}]}', "items[0]: has properties that the schema does not know"),
    ],
)
def test_each_problem_is_told_with_its_place(text, problem):
    problems = AnswerSchema("items", LIST).problems(text)
    assert any(each.startswith(problem) or problem in each for each in problems)


def test_what_the_model_wrote_is_not_in_the_problems():
    text = '{"items": [{"count": "CANARY", "note": "CANARY that is longer than allowed", "CANARY": "CANARY"}], "CANARY": 1}'
    assert "CANARY" not in " ".join(AnswerSchema("items", LIST).problems(text))


def test_a_list_of_problems_ends():
    text = '{"items": [' + ",".join('{"count": 0, "note": 5}' for _ in range(500)) + "]}"
    assert len(AnswerSchema("items", LIST).problems(text)) == MOST_PROBLEMS


def test_huge_numbers_are_looked_at_like_others():
    schema = AnswerSchema("count", obj(count=COUNT))
    assert schema.problems('{"count": 123456789012345678901234567890}') == []
    assert schema.problems('{"count": 1e400}') != []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, "a not required"),
        ({"type": "object", "properties": {}, "required": []}, "additionalProperties is not false"),
        (obj(a={"type": "object", "properties": {}}), "properties.a: additionalProperties is not false"),
        (obj(a={"type": "array", "items": {"type": "object"}}), "properties.a.items: additionalProperties"),
        (obj(a={"anyOf": [{"type": "null"}, {"properties": {"b": {}}}]}), "properties.a.anyOf[1]: b not required"),
        ({**obj(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"type": ["object", "null"]}}}, "$defs.x: additionalProperties"),
        ({"type": "array", "items": {}}, "not one of an object"),
        ({"type": "object", "properties": 5}, "the schema is none"),
        ({**obj(), "properties": {"a": {"pattern": "("}}, "required": ["a"]}, "the schema is none"),
        (obj(a={"$ref": "http://example.com/schema"}), "the schema is none"),
        (obj(a={"$ref": "#/$defs/none"}), "the schema is none"),
    ],
)
def test_a_schema_that_strict_answers_cannot_have_is_refused_before_a_request_is_made(schema, text):
    with pytest.raises(OptionsError) as caught:
        AnswerSchema("x", schema)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 65, "a/b", "--"])
def test_a_name_is_checked_like_the_vendor_does(name):
    with pytest.raises(OptionsError, match="name="):
        AnswerSchema(name, obj())
