"""The settings as they are documented, and names in an environment that look like misspelt ones."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sengol_api.settings.model import Settings


class Variable(msgspec.Struct, frozen=True):
    """A setting as it is documented."""

    name: str
    field: str
    default: Any
    unit: str
    about: str
    secret: bool
    takes: str


def variables() -> list[Variable]:
    """Every setting, in the order of the class, for documentation and for ``sengol-api check``."""
    found = []
    for field in msgspec.structs.fields(Settings):
        described = next(m for m in reversed(field.type.__metadata__) if m.extra)
        extra = described.extra
        found.append(
            Variable(
                field.encode_name,
                field.name,
                field.default,
                extra["unit"],
                described.description or "",
                extra["secret"],
                _takes(field.type),
            ),
        )
    return found


def _takes(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    schema = msgspec.json.schema(annotation)
    if "enum" in schema:
        return " / ".join(map(str, schema["enum"]))
    if "pattern" in schema:
        return next(str(item.extra["says"]) for item in annotation.__metadata__ if item.pattern)
    if schema["type"] == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        return f"whole number from {low}" + (f" to {high}" if high is not None else "")
    return {"boolean": "true / false", "string": "text"}[schema["type"]]


_OURS: Final = re.compile(
    r"^(OPENAI|DVECDB|D_VECDB|CACHE|CIRCUIT_?BREAKER|JWT|VECTOR|RATE_LIMIT|REQUEST|SHUTDOWN|SLOW|DATA|DATABASE|REDIS|READINESS|"
    r"TRUSTED|ALLOWED|ADAPTIVE|ENVIRON|LOG)[A-Z_]*$",
)


def suspects(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like misspelt settings of ours, each with the nearest right name."""
    names = [variable.name for variable in variables()]
    found = []
    for name in sorted(environment):
        if name in names or not (_OURS.match(name) or name.upper() in names):
            continue
        near = [name.upper()] if name.upper() in names else difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        if near:
            found.append((name, near[0]))
    return found
