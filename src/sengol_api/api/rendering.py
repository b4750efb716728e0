"""Answers of the main job as bytes. One is some hundred KB; for an answer that is given again they are at hand."""

from functools import lru_cache
from typing import Final

import msgspec

from sengol_api.api import present, wire
from sengol_api.api.wire.base import Out
from sengol_api.review.generated import Generated

PARTS: Final = ("risk_questions", "compliance_questions", "scoring_formula", "incident_summary")
KEPT: Final = 32
"""So many: about 12 MB."""


class Rendered(Out):
    """``wire.GeneratedOut`` with its large parts encoded already."""

    risk_questions: msgspec.Raw
    compliance_questions: msgspec.Raw
    scoring_formula: msgspec.Raw
    incident_summary: msgspec.Raw
    generation_metadata: wire.GenerationMetadataOut


class _Same:
    """The very object: to compare two answers by their content would take longer than to encode them."""

    __slots__ = ("value",)

    def __init__(self, value: Generated) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


def rendered(result: Generated, how: wire.GenerationMetadataOut) -> Rendered:
    """An answer, to be encoded with how it was made this time."""
    return Rendered(**dict(zip(PARTS, _parts(_Same(result)), strict=True)), generation_metadata=how)


@lru_cache(maxsize=KEPT)
def _parts(same: _Same) -> tuple[msgspec.Raw, ...]:
    content = present.content(same.value)
    return tuple(msgspec.Raw(msgspec.json.encode(content[part])) for part in PARTS)
