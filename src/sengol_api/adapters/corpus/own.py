"""The package's own incidents of cyber, cloud and compliance: facts with a source each, costs turned into US dollars."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from sengol_api.adapters.corpus.records import incident_from_record
from sengol_api.review.incident import Incident

ORIGIN: Final = "sengol"
RULES: Final = "1"
FILES: Final = tuple(f"incidents/{domain}.jsonl" for domain in ("cyber", "cloud", "compliance"))


def _lines() -> Iterator[bytes]:
    folder = files("sengol_api.data")
    for name in FILES:
        yield from folder.joinpath(name).read_bytes().splitlines()


def corpus_version() -> str:
    """Changes with the files and with our reading of them."""
    return hashlib.sha256(b"\n".join([RULES.encode(), *_lines()])).hexdigest()[:16]


def read_own() -> Iterator[Incident]:
    """Every incident of the package's files."""
    for line in _lines():
        yield incident_from_record(json.loads(line), today=dt.date.max)
