"""Answers of the main job as bytes. One is some hundred KB, and takes milliseconds: beside the loop, and once."""

import asyncio
import threading
from collections import OrderedDict
from typing import Final

import msgspec

from sengol_api.api import present, wire
from sengol_api.api.wire.base import Out
from sengol_api.review.generated import Generated

PARTS: Final = ("risk_questions", "compliance_questions", "scoring_formula", "incident_summary")
KEPT: Final = 32
"""So many: about 12 MB."""

Parts = tuple[msgspec.Raw, ...]


class Rendered(Out):
    """``wire.GeneratedOut`` with its large parts encoded already."""

    risk_questions: msgspec.Raw
    compliance_questions: msgspec.Raw
    scoring_formula: msgspec.Raw
    incident_summary: msgspec.Raw
    generation_metadata: wire.GenerationMetadataOut


class Renderings:
    """The bytes of the answers that were given last, by the very answer: to compare two would take longer than to encode one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Generated, Parts]] = OrderedDict()  # with the answer, or its id could become another's

    def find(self, result: Generated) -> Parts | None:
        """What is kept of an answer."""
        with self._lock:
            found = self._kept.get(id(result))
            if found is None:
                return None
            self._kept.move_to_end(id(result))
            return found[1]

    def make(self, result: Generated) -> Parts:
        """Those of an answer. Of several who ask for the same in one thread, the first encodes it."""
        parts = self.find(result)
        if parts is None:
            content = present.content(result)
            parts = tuple(msgspec.Raw(msgspec.json.encode(content[part])) for part in PARTS)
            with self._lock:
                self._kept[id(result)] = result, parts
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return parts


_renderings: Final = Renderings()


async def rendered(result: Generated, how: wire.GenerationMetadataOut) -> Rendered:
    """An answer, to be encoded with how it was made this time. If its bytes are at hand it does not wait for who computes."""
    parts = _renderings.find(result)
    if parts is None:
        parts = await asyncio.to_thread(_renderings.make, result)
    return Rendered(**dict(zip(PARTS, parts, strict=True)), generation_metadata=how)
