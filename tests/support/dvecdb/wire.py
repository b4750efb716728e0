"""How d-vecDB reads a request: what it refuses with a bare status, before it looks at any collection."""

import json
import math
import re
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np

from support.tiny_http import Request

BODY_LIMIT = 2_097_152
DASHED = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UUID = re.compile(rf"(?:urn:uuid:)?{DASHED}|\{{{DASHED}\}}|[0-9a-f]{{32}}", re.IGNORECASE)


class MalformedError(Exception):
    """Refused with a status and a text, or nothing, for a body."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


def unfit(text: str) -> MalformedError:
    """JSON that does not have the shape."""
    return MalformedError(422, f"Failed to deserialize the JSON body into the target type: {text}")


def parse_uuid(text: str | None) -> str:
    """The canonical form; a new one for None."""
    if text is None:
        return str(uuid.uuid4())
    if not UUID.fullmatch(text):
        raise MalformedError(400)
    return str(uuid.UUID(text))


def unsigned(name: str, value: object) -> int:
    """A whole number from 0 to 2⁶⁴ − 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise unfit(f"{name}: invalid value: `{json.dumps(value)[:40]}`, expected usize")
    return value


@dataclass(frozen=True)
class Body:
    """A JSON object, read field by field."""

    values: dict[str, Any]

    def text(self, name: str) -> str:
        """A string that must be there."""
        if not isinstance(value := self._required(name), str):
            raise unfit(f"{name}: invalid type, expected a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, null or nothing."""
        return None if self.values.get(name) is None else self.text(name)

    def size(self, name: str) -> int:
        """A whole number that must be there."""
        return unsigned(name, self._required(name))

    def optional_size(self, name: str) -> int | None:
        """A whole number, null or nothing."""
        return None if self.values.get(name) is None else self.size(name)

    def one_of(self, name: str, *choices: str) -> str:
        """One of some words."""
        if (value := self.text(name)) not in choices:
            raise unfit(f"{name}: unknown variant `{value}`, expected one of {', '.join(f'`{choice}`' for choice in choices)}")
        return value

    def floats(self, name: str) -> np.ndarray:
        """A vector; a number beyond single precision becomes infinite."""
        if not isinstance(values := self._required(name), list):
            raise unfit(f"{name}: invalid type, expected a sequence")
        for position, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise unfit(f"{name}[{position}]: invalid type, expected f32")
        with np.errstate(over="ignore"):
            return np.asarray(values, dtype=np.float64).astype(np.float32)

    def optional_map(self, name: str) -> "Body | None":
        """An object, null or nothing."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise unfit(f"{name}: invalid type, expected a map")
        return None if value is None else Body(value)

    def bodies(self, name: str) -> "list[Body]":
        """A list of objects."""
        values = self._required(name)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise unfit(f"{name}: invalid type, expected a sequence of structs")
        return [Body(value) for value in values]

    def _required(self, name: str) -> object:
        if name not in self.values:
            raise unfit(f"missing field `{name}`")
        return self.values[name]


def read_body(request: Request) -> Body:
    """In the real server's order: type, size, syntax, shape."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise MalformedError(415, "Expected request with `Content-Type: application/json`")
    if len(request.body) > BODY_LIMIT:
        raise MalformedError(413, "Failed to buffer the request body: length limit exceeded")
    try:
        values = json.loads(request.body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MalformedError(400, f"Failed to parse the request body as JSON: {error}") from error
    if not isinstance(values, dict):
        raise unfit("invalid type, expected a map")
    return Body(values)


def _refuse(constant: str) -> float:
    raise ValueError(f"expected value, not {constant}")


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError("number out of range")
    return value
