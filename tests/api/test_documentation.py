"""The OpenAPI document and the page made of it."""

import json
import re

import msgspec
import pytest

from sengol_api.api.app import OPERATIONS, openapi
from sengol_api.api.errors import STATUS
from sengol_api.api.wire import ErrorOut
from sengol_api.validation import check


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_the_document_is_served_as_json_to_everybody(stranger):
    answer = await stranger.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(msgspec.json.encode(openapi()))
    assert answer.json()["openapi"] == "3.1.0"


async def test_every_operation_is_documented_and_answers_no_404_or_405_of_its_own(stranger):
    documented = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}
    assert documented == {(operation.method, operation.path) for operation in OPERATIONS}
    for method, path in documented:
        answer = await stranger.client.request(method, path.replace("{id}", "x"))
        assert answer.status_code in {200, 400, 401, 415}


def test_every_reference_leads_somewhere():
    document = openapi()
    for reference in set(references(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_names_of_operations_are_unique():
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_example_has_the_shape_that_it_documents(operation):
    if operation.body is not None:
        assert check(msgspec.to_builtins(operation.example.body), operation.body)[1] == []
    assert check(json.loads(msgspec.json.encode(operation.example.answer)), operation.answer)[1] == []


def test_every_code_of_an_error_has_an_example_with_its_status():
    for code, response in openapi()["components"]["responses"].items():
        example = response["content"]["application/json"]["example"]
        assert (example["code"], example["statusCode"]) == (code, STATUS[code][0])
        assert check(example, ErrorOut)[1] == []


async def test_the_page_names_every_route_and_needs_nothing_from_elsewhere(stranger):
    answer = await stranger.client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for operation in OPERATIONS:
        assert operation.path in answer.text
    assert "<script" not in answer.text
    assert re.findall(r"""(?:src|@import|url\()\s*=?\s*["']?(?:https?:)?//""", answer.text) == []
