"""The OpenAPI document, derived from the operations: what is declared is what is checked is what is documented."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sengol_api import __version__
from sengol_api.api.errors import STATUS
from sengol_api.api.examples import ERRORS
from sengol_api.api.operations import Operation
from sengol_api.api.wire import ErrorOut

_REFERENCE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_DESCRIPTION: Final = """\
A reviewer describes a system; the service finds past incidents like it and asks the risk and compliance questions that \
those incidents teach, each with its evidence.

**First steps.** `POST /api/auth/register` gives a token; send it as `Authorization: Bearer TOKEN`. `POST /api/review` makes a \
review; `POST /api/review/{id}/generate-questions` asks the questions; `PUT .../save-questions`, `PUT .../answers` and \
`GET .../score` take it from there.

**Errors** have one shape: `{error, code, statusCode, metadata, requestId}`. A wrong request is told all of its problems at once, \
in `metadata.errors`. A wait is told as `Retry-After` and as `metadata.retryAfter`, in seconds.

**Time.** `X-Request-Timeout-Ms` shortens the time that a request may take. **Ids.** `X-Request-Id` is taken over, or given, and \
stands in the log."""


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    known = list(operations)
    kinds = [kind for o in known for kind in (o.body, o.answer, o.query) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorOut], ref_template=_REFERENCE)
    schema_of = dict(zip(map(_key, kinds), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for operation in known:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of, components)
    for name in {_name_of(operation, schema_of) for operation in known if operation.query is not None}:
        del components[name]  # its fields are parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sengol API",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in known)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {code: _error(code) for code in STATUS},
        },
    }


def _key(kind: Any) -> str:  # noqa: ANN401 - any annotation
    return repr(kind)


def _operation(operation: Operation, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "application/json": {
            "schema": schema_of[_key(operation.answer)],
            "example": msgspec.to_builtins(operation.example.answer),
        },
    }
    if operation.streams:
        answer["text/event-stream"] = {"schema": {"type": "string"}, "example": "event: progress\ndata: {...}\n\n"}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "security": [{"token": []}] if operation.authenticated else [],
        "parameters": _parameters(operation, schema_of, components),
        "responses": {
            str(operation.status): {"description": "Success", "content": answer},
            **_errors(operation),
            **{str(status): _also(operation, text, example, schema_of) for status, (text, example) in operation.also.items()},
        },
    }
    if operation.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schema_of[_key(operation.body)],
                    "example": _lean(msgspec.to_builtins(operation.example.body), operation.body),
                },
            },
        }
    return found


def _also(operation: Operation, text: str, example: Any, schema_of: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any answer
    content = {"schema": schema_of[_key(operation.answer)], "example": msgspec.to_builtins(example)}
    return {"description": text, "content": {"application/json": content}}


def _lean(example: dict[str, Any], kind: Any) -> dict[str, Any]:  # noqa: ANN401 - any annotation
    """A request as a person would write it: without what is left out by default."""
    fields = msgspec.structs.fields(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()
    optional = {field.encode_name for field in fields if not field.required}
    return {key: value for key, value in example.items() if key not in optional or (value is not None and value != [])}


def _name_of(operation: Operation, schema_of: dict[str, Any]) -> str:
    """The component that the operation's query is."""
    return str(schema_of[_key(operation.query)]["$ref"].rpartition("/")[2])


def _parameters(operation: Operation, schema_of: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **({"format": "uuid"} if name == "id" else {})}}
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        name = _name_of(operation, schema_of)
        found += [
            {"name": key, "in": "query", "required": False, "schema": _not_null(schema)}
            for key, schema in components[name]["properties"].items()
        ]
    found += [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: a parameter is there or it is not."""
    rest = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    return rest[0] if len(rest) == 1 else {key: value for key, value in schema.items() if key != "default" or value}


def _errors(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in operation.all_errors:
        by_status.setdefault(STATUS[code][0], []).append(code)
    answers: dict[str, Any] = {}
    for status, codes in sorted(by_status.items()):
        if len(codes) == 1:
            answers[str(status)] = {"$ref": f"#/components/responses/{codes[0]}"}
        else:
            answers[str(status)] = {
                "description": " ".join(f"{code}: {STATUS[code][1]}" for code in codes),
                "content": {
                    "application/json": {
                        "schema": {"$ref": _REFERENCE.format(name="ErrorOut")},
                        "examples": {code: {"value": msgspec.to_builtins(ERRORS[code])} for code in codes},
                    },
                },
            }
    return answers


def _error(code: str) -> dict[str, Any]:
    return {
        "description": STATUS[code][1],
        "content": {
            "application/json": {
                "schema": {"$ref": _REFERENCE.format(name="ErrorOut")},
                "example": msgspec.to_builtins(ERRORS[code]),
            },
        },
    }
