"""The OpenAPI document: complete, consistent, and with examples that are true."""

import json
import re

import msgspec
import pytest

from sengol_api.api.app import OPERATIONS, openapi
from sengol_api.api.errors import STATUS
from sengol_api.api.examples import ERRORS, QUESTION, SCORE
from sengol_api.api.wire import ErrorOut
from sengol_api.review import errors, weights

BY_NAME = {operation.name: operation for operation in OPERATIONS}
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=BY_NAME)


def described(operation):
    return openapi()["paths"][operation.path][operation.method.lower()]


def resolve(node):
    while "$ref" in node:
        target = openapi()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


@every_operation
def test_every_answer_has_an_example_of_its_declared_shape(operation):
    content = described(operation)["responses"][str(operation.status)]["content"]["application/json"]
    assert resolve(content["schema"])
    assert msgspec.convert(content["example"], operation.answer) == operation.example.answer


@every_operation
def test_every_body_has_an_example_of_its_declared_shape(operation):
    if operation.body is None:
        assert "requestBody" not in described(operation)
        return
    content = described(operation)["requestBody"]["content"]["application/json"]
    assert resolve(content["schema"])
    assert msgspec.convert(content["example"], operation.body) == operation.example.body


@every_operation
def test_every_error_of_an_operation_has_an_example_of_the_one_shape(operation):
    told = set()
    for status, response in described(operation)["responses"].items():
        if status.startswith("2") or int(status) in operation.also:
            continue
        content = resolve(response)["content"]["application/json"]
        values = [content["example"]] if "example" in content else [entry["value"] for entry in content["examples"].values()]
        for value in values:
            error = msgspec.convert(value, ErrorOut)
            assert str(error.status_code) == status
            told.add(error.code)
    assert told == set(operation.all_errors)


@every_operation
def test_every_further_answer_has_an_example_of_its_declared_shape(operation):
    for status, (text, example) in operation.also.items():
        told = described(operation)["responses"][str(status)]
        assert told["description"] == text
        assert msgspec.convert(told["content"]["application/json"]["example"], operation.answer) == example


@every_operation
def test_every_operation_is_described_in_words(operation):
    found = described(operation)
    assert found["operationId"] == operation.name
    assert found["summary"]
    assert found["description"]
    assert found["tags"][0] in [tag["name"] for tag in openapi()["tags"]]
    assert found["security"] == ([{"token": []}] if operation.authenticated else [])


@every_operation
def test_every_parameter_of_the_path_is_described(operation):
    in_path = [p["name"] for p in described(operation)["parameters"] if p["in"] == "path"]
    assert in_path == re.findall(r"\{(\w+)\}", operation.path)


@every_operation
def test_every_field_of_the_query_is_a_parameter_under_its_name_on_the_wire(operation):
    in_query = [p["name"] for p in described(operation)["parameters"] if p["in"] == "query"]
    due = [f.encode_name for f in msgspec.structs.fields(operation.query)] if operation.query else []
    assert in_query == due


def test_every_code_of_an_error_has_a_status_a_meaning_and_an_example():
    assert ERRORS.keys() == STATUS.keys() == openapi()["components"]["responses"].keys()
    for code, (status, meaning) in STATUS.items():
        assert (ERRORS[code].code, ERRORS[code].status_code) == (code, status)
        assert meaning


def test_every_error_that_the_code_can_raise_has_a_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AppError)]
    assert len(kinds) > 8
    assert {kind.code for kind in kinds} <= STATUS.keys()


def test_a_wait_is_told_in_every_example_that_has_one():
    for code in ("RATE_LIMIT_ERROR", "CIRCUIT_BREAKER_OPEN", "OVERLOADED", "SHUTTING_DOWN"):
        assert ERRORS[code].metadata["retryAfter"] > 0


def test_operations_have_unique_names_and_places():
    assert len(BY_NAME) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_reference_leads_somewhere():
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(openapi())))
    assert references
    for reference in references:
        assert resolve({"$ref": reference})


def test_no_schema_is_left_that_nothing_refers_to():
    text = json.dumps(openapi())
    for name in openapi()["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def test_requests_refuse_unknown_fields_in_the_document_as_in_the_code():
    for operation in OPERATIONS:
        if operation.body is not None and isinstance(operation.body, type):
            schema = resolve(described(operation)["requestBody"]["content"]["application/json"]["schema"])
            assert schema["additionalProperties"] is False


def test_the_numbers_of_the_example_question_recompute():
    evidence = weights.Evidence(QUESTION.evidence.incidents, QUESTION.evidence.similarity, QUESTION.evidence.severity)
    assert QUESTION.evidence_weight == evidence.weight
    assert QUESTION.final_weight == weights.final_weight("risk", QUESTION.base_weight, evidence.weight, QUESTION.industry_weight)
    assert QUESTION.confidence == weights.confidence(evidence, QUESTION.base_weight)
    assert QUESTION.priority == weights.priority(QUESTION.final_weight)
    assert SCORE.risk.total_weight == QUESTION.final_weight
