"""Adding a user's own incidents: all good records go in, each bad one is reported, a second time changes nothing."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sengol_api.adapters.corpus.readers import Bad, Format, guess_format, read_file
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.review.incident import Incident
from sengol_api.review.vocabulary import Vocabulary

ORIGIN: Final = "ingested"


class IngestError(Exception):
    """Nothing was read; the message says what to do."""


class Reporter(Protocol):
    """Shows how the loading of incidents goes on."""

    def begin(self, what: str, total: int) -> None:
        """Work on so many incidents begins."""

    def advance(self, count: int) -> None:
        """So many more are done."""


class Silent:
    """Shows nothing."""

    def begin(self, what: str, total: int) -> None:
        """See :class:`Reporter`."""

    def advance(self, count: int) -> None:
        """See :class:`Reporter`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what was left out."""

    change: Change
    bad: tuple[Bad, ...]


async def ingest_files(
    store: SqlIncidentStore,
    files: Sequence[Path],
    kind: Format | None,
    *,
    vocabulary: Vocabulary,
    today: dt.date,
    reporter: Reporter,
) -> Report:
    """Read files and keep their incidents.

    Args:
        store: where they are kept.
        files: what is read.
        kind: the format of all of them; None to go by each file's ending.
        vocabulary: names of industries.
        today: dates after it are refused.
        reporter: is told how the work goes on.

    Raises:
        IngestError: a file's format cannot be told from its ending.
    """
    formats = [kind or guess_format(path) for path in files]
    if unclear := [str(path) for path, found in zip(files, formats, strict=True) if found is None]:
        raise IngestError(
            f"the format of {', '.join(unclear)} cannot be told from the ending: say --format jsonl, csv, veris or atlas"
        )
    good: dict[str, Incident] = {}
    bad: list[Bad] = []
    for path, found in zip(files, formats, strict=True):
        for item in read_file(path, found or "jsonl", vocabulary=vocabulary, today=today):
            if isinstance(item, Bad):
                bad.append(item)
            else:
                good[item.id] = item
    for identity, origin in sorted((await store.foreign(ORIGIN, good.keys())).items()):
        del good[identity]
        bad.append(Bad(identity, 0, f"this id belongs to an incident of {origin}; give yours another"))
    reporter.begin("ingested incidents", len(good))
    change = await store.put(ORIGIN, list(good.values()), on_progress=reporter.advance)
    return Report(change, tuple(bad))
