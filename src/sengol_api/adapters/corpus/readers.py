"""Files of incidents: JSONL, CSV, VERIS (VCDB) JSON and ATLAS YAML. A bad record is reported and the rest is read."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from sengol_api.adapters.corpus.atlas import atlas_record, atlas_studies
from sengol_api.adapters.corpus.records import BadRecordError, incident_from_record
from sengol_api.adapters.corpus.veris import veris_entries, veris_record
from sengol_api.review.incident import Incident
from sengol_api.review.vocabulary import Vocabulary

Format = Literal["jsonl", "csv", "veris", "atlas"]
LARGEST: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that was left out: where it stands and what is wrong with it."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it stands in a file, or why there is none at that line."""

    line: int
    record: Mapping[str, Any] | None
    fault: str = ""


def guess_format(path: Path) -> Format | None:
    """The format by the file's ending: .jsonl, .csv, .json (VERIS), .yaml (ATLAS)."""
    endings: dict[str, Format] = {
        ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".json": "veris", ".yaml": "atlas", ".yml": "atlas",
    }  # fmt: skip
    return endings.get(path.suffix.lower())


def read_file(path: Path, kind: Format, *, vocabulary: Vocabulary, today: dt.date) -> Iterator[Incident | Bad]:
    """Every record of a file, in order.

    Args:
        path: the file, UTF-8, at most 512 MiB.
        kind: its format.
        vocabulary: to turn a source's names of industries into ours.
        today: dates after it are refused.
    """
    name = str(path)
    try:
        if path.stat().st_size > LARGEST:
            yield Bad(name, 0, "the file is larger than 512 MiB: split it")
            return
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        yield Bad(name, 0, f"cannot be read: {error.strerror}")
        return
    except UnicodeDecodeError as error:
        yield Bad(name, 0, f"is not UTF-8: byte {error.start} of the file")
        return
    records: dict[Format, Callable[[str], Iterator[Raw]]] = {
        "jsonl": _jsonl,
        "csv": _csv,
        "veris": lambda content: _document(content, _parse_json, veris_entries, veris_record),
        "atlas": lambda content: _document(content, _parse_yaml, atlas_studies, atlas_record),
    }
    for raw in records[kind](text):
        if raw.record is None:
            yield Bad(name, raw.line, raw.fault)
            continue
        try:
            yield _in_our_words(incident_from_record(raw.record, today=today), vocabulary)
        except BadRecordError as error:
            yield Bad(name, raw.line, str(error))


def _in_our_words(incident: Incident, vocabulary: Vocabulary) -> Incident:
    """With the code of its industry, where we know it by another name: «Health care» is ``healthcare``."""
    industry = vocabulary.resolve("industries", incident.industry) if incident.industry else None
    return replace(incident, industry=industry.code) if industry else incident


def _jsonl(text: str) -> Iterator[Raw]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Raw(number, None, f"is not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield Raw(number, record)
        else:
            yield Raw(number, None, f"takes an object, got {type(record).__name__}")


def _csv(text: str) -> Iterator[Raw]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=None, strict=True)
    try:
        if reader.fieldnames is None:
            return
        for row in reader:
            if None in row:
                yield Raw(reader.line_num, None, f"has more columns than the header's {len(reader.fieldnames)}")
            else:
                yield Raw(reader.line_num, row)
    except csv.Error as error:
        yield Raw(reader.line_num, None, f"is not CSV from here on: {error}")


def _document(
    text: str,
    parse: Callable[[str], Any],
    entries: Callable[[Any], list[Any]],
    record: Callable[[Any], Mapping[str, Any]],
) -> Iterator[Raw]:
    """A file that is one document; "line" is then the number of the record in it."""
    try:
        document = parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        yield Raw(0, None, f"cannot be parsed: {' '.join(str(error).split())}")
        return
    try:
        found = entries(document)
    except ValueError as error:
        yield Raw(0, None, str(error))
        return
    for number, entry in enumerate(found, start=1):
        try:
            raw = Raw(number, record(entry))
        except ValueError as error:
            raw = Raw(number, None, str(error))
        yield raw


def _parse_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(text)


def _parse_yaml(text: str) -> Any:  # noqa: ANN401 - any YAML
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - the safe loader, in C
