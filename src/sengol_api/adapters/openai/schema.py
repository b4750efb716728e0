"""JSON Schemas that a model is held to: whether one can be asked for strictly, and what is wrong with an answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from sengol_api.adapters.openai.validation import UNREADABLE
from sengol_api.resilience import OptionsError, cache_key

MOST_SCHEMAS: Final = 64
MOST_PROBLEMS: Final = 20
"""More would not help a model to correct its answer."""

_SILENT: Final = frozenset({"additionalProperties", "unevaluatedProperties", "propertyNames"})
_HOLDERS: Final = ("properties", "$defs", "definitions", "patternProperties")
_LISTS: Final = ("anyOf", "allOf", "oneOf", "prefixItems")


class AnswerSchema:
    """A schema that answers are held against.

    Args:
        name: of what is asked for; letters, digits, ``_`` and ``-``, at most 64.
        schema: JSON Schema of an object as strict structured output takes it: every property required, and no others allowed.

    Raises:
        OptionsError: it cannot be asked for like that; each reason is listed.
    """

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        import jsonschema_rs

        problems = list(_not_strict(schema, ""))
        if not name or len(name) > 64 or not name.isascii() or not name.replace("_", "").replace("-", "").isalnum():
            problems.append(f"name={name!r} is not allowed, it takes up to 64 letters, digits, _ and -")
        if schema.get("type") != "object":
            problems.append("the schema is not one of an object: strict answers are objects, put a list into a property")
        try:
            self._validator = jsonschema_rs.validator_for(dict(schema), mask="the value", offline=True)
        except ValueError as error:
            problems.append(f"the schema is none: {str(error).splitlines()[0]}")
        if problems:
            raise OptionsError(f"schema {name!r}", problems)
        self.name = name
        self.schema = schema

    def response_format(self, form: str) -> dict[str, Any] | None:
        """What a request asks for.

        Args:
            form: ``json_schema`` as OpenAI has it; ``json_object`` with the schema beside, as llama-cpp-python has it; ``words``
                for a server that knows neither.
        """
        if form == "json_schema":
            return {"type": "json_schema", "json_schema": {"name": self.name, "strict": True, "schema": self.schema}}
        return {"type": "json_object", "schema": self.schema} if form == "json_object" else None

    @property
    def in_words(self) -> str:
        """The same for a model whose server does not tell it."""
        schema = msgspec.json.encode(self.schema).decode()
        return f"Answer with one JSON value of this JSON Schema, and nothing else:\n{schema}"

    def problems(self, text: str) -> list[str]:
        """What keeps a text from being a value of the schema; nothing does when the list is empty.

        The places and the rules are named, not what the model wrote there.
        """
        try:
            value = msgspec.json.decode(text)
        except UNREADABLE:
            return ["the answer is not one JSON text and nothing else"]
        found = []
        for error in self._validator.iter_errors(value):
            found.append(f"{_path(error.instance_path)}: {_said(error)}")
            if len(found) == MOST_PROBLEMS:
                break
        return found


def _path(steps: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".") or "the answer"


def _said(error: Any) -> str:  # noqa: ANN401 - an error of the validator
    rules = [step for step in error.schema_path if isinstance(step, str)]
    if rules and rules[-1] in _SILENT:  # its words would show names that the model has made up
        return "has properties that the schema does not know"
    return str(error.message)[:300]


class Schemas:
    """Schemas that are made once: that takes longer than to look one up."""

    def __init__(self) -> None:
        self._made: dict[str, AnswerSchema] = {}

    def of(self, name: str, schema: Mapping[str, Any]) -> AnswerSchema:
        """The one for a name and a schema, with the errors of :class:`AnswerSchema`."""
        key = cache_key(name, schema)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= MOST_SCHEMAS:
                self._made.clear()
            made = self._made[key] = AnswerSchema(name, schema)
        return made


def _not_strict(schema: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - any part of a schema
    """Objects in a schema that strict structured output does not take."""
    if not isinstance(schema, Mapping):
        return
    properties = schema.get("properties")
    kind = schema.get("type")
    if isinstance(properties, Mapping) or kind == "object" or (isinstance(kind, list) and "object" in kind):
        names = set(properties) if isinstance(properties, Mapping) else set()
        optional = sorted(names - set(schema.get("required", ())))
        if optional:
            yield f"{path or 'the schema'}: {', '.join(optional)} not required; an optional one is required and may be null"
        if schema.get("additionalProperties") is not False:
            yield f"{path or 'the schema'}: additionalProperties is not false"
    for holder in _HOLDERS:
        inner = schema.get(holder)
        if isinstance(inner, Mapping):
            for name, each in inner.items():
                yield from _not_strict(each, f"{path}.{holder}.{name}".removeprefix("."))
    for holder in _LISTS:
        for position, each in enumerate(schema.get(holder) or ()):
            yield from _not_strict(each, f"{path}.{holder}[{position}]".removeprefix("."))
    yield from _not_strict(schema.get("items"), f"{path}.items".removeprefix("."))
