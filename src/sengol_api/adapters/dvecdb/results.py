"""What the client answers with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sengol_api.adapters.dvecdb.lines import Found
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.review.ports import Hit


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A record that was found.

    Attributes:
        id: of the record.
        similarity: cosine, -1 to 1; 1 for the same direction.
        distance: 1 - similarity, 0 to 2.
        metadata: its facts; None when the records have none.
    """

    id: str
    similarity: float
    distance: float
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write.

    Attributes:
        count: records that are safe in the store of record.
        indexed: whether the index has them too. If not, nothing is lost: it is being brought up to them.
    """

    count: int
    indexed: bool


def similarity_of(distance: float) -> float:
    """Cosine similarity of a cosine distance, -1 to 1."""
    return min(1.0, max(-1.0, 1.0 - distance))


def hits_of(found: Found) -> list[Hit]:
    """As the domain knows them."""
    return [Hit(key, similarity_of(distance)) for key, distance in found]


async def results_of(found: Found, records: Records) -> list[SearchResult]:
    """With the facts of each."""
    facts = await records.metadata([key for key, _ in found]) if found else {}
    return [SearchResult(key, similarity_of(distance), distance, facts.get(key)) for key, distance in found]
