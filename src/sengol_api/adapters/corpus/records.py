"""One record of a table or a JSON line to an incident; every fault of the record is found, not only the first."""

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from sengol_api.adapters.corpus.currency import to_usd
from sengol_api.review.incident import CostKind, Incident, Kind, Severity

_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
MOST: Final = 1e15  # more dollars than there are; an integer above 2**63 could not be stored
_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
KNOWN_FIELDS: Final = frozenset(
    """
    id title text incidentType attackType organization industry country severity severityBasis date cost currency costKind
    recordsAffected downtimeHours hadMfa hadBackups hadIrPlan tags labels products source sourceUrl licence kind
    """.split(),
)


class BadRecordError(ValueError):
    """A record that cannot be an incident; the message names every field that is wrong and what it takes."""


class _Reader:
    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record
        self.faults: list[str] = []

    def get(self, name: str, convert: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - the type is the converter's
        value = self._record.get(name)
        if value is None or value == "":
            return None
        try:
            return convert(value)
        except ValueError as error:
            self.faults.append(f"{name}: {error}")
            return None

    def need(self, name: str, convert: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - the type is the converter's
        faults = len(self.faults)
        value = self.get(name, convert)
        if (value is None or value == "") and len(self.faults) == faults:
            self.faults.append(f"{name}: is missing")
        return value


def _text(limit: int) -> Callable[[Any], str]:
    def convert(value: Any) -> str:  # noqa: ANN401 - untrusted input
        if not isinstance(value, str):
            raise ValueError(f"takes text, got {type(value).__name__}")  # noqa: TRY004 - collected as a fault
        if _CONTROL.search(value):
            raise ValueError("holds a control character or half of a surrogate pair")
        text = " ".join(value.split())
        if len(text) > limit:
            raise ValueError(f"takes at most {limit} characters, got {len(text)}")
        return text

    return convert


def _one_of(allowed: Iterable[str]) -> Callable[[Any], str]:
    known = tuple(allowed)

    def convert(value: Any) -> str:  # noqa: ANN401 - untrusted input
        text = str(value).strip().lower()
        if text not in known:
            raise ValueError(f"takes one of {', '.join(known)}, got {str(value)[:40]!r}")
        return text

    return convert


def _number(value: Any) -> float:  # noqa: ANN401 - untrusted input
    if isinstance(value, bool):
        raise ValueError("takes a number, got a truth value")  # noqa: TRY004 - collected as a fault
    try:
        number = float(value.replace(",", "") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"takes a number, got {str(value)[:40]!r}") from None
    if not 0 <= number <= MOST:
        raise ValueError(f"takes a number from 0 to {MOST:g}, got {str(value)[:40]!r}")
    return number


def _count(value: Any) -> int:  # noqa: ANN401 - untrusted input
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"takes a whole number, got {str(value)[:40]!r}")
    return int(number)


def _truth(value: Any) -> bool:  # noqa: ANN401 - untrusted input
    found = _TRUTH.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"takes true or false, got {str(value)[:40]!r}")
    return found


def _words(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - untrusted input
    items = value.split(";") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("takes a list, or words with ';' between them")  # noqa: TRY004 - collected as a fault
    if len(items) > 50:
        raise ValueError(f"takes at most 50 entries, got {len(items)}")
    return tuple(sorted({text for item in items if (text := _text(80)(item))}))


def _url(value: Any) -> str:  # noqa: ANN401 - untrusted input
    text = _text(500)(value)
    if urlsplit(text).scheme not in {"http", "https"}:
        raise ValueError(f"takes an http(s) address, got {text[:40]!r}")
    return text


def _country(value: Any) -> str:  # noqa: ANN401 - untrusted input
    text = str(value).strip()
    if not _COUNTRY.fullmatch(text):
        raise ValueError(f"takes the two letters of a country (ISO 3166), got {text[:40]!r}")
    return text.upper()


def _date_before(today: dt.date) -> Callable[[Any], str]:
    def convert(value: Any) -> str:  # noqa: ANN401 - untrusted input
        text = str(value).strip()
        if not _DATE.fullmatch(text):
            raise ValueError(f"takes YYYY, YYYY-MM or YYYY-MM-DD, got {text[:40]!r}")
        try:
            earliest = dt.date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
        except ValueError:
            raise ValueError(f"is no day of the calendar: {text!r}") from None
        if earliest > today:
            raise ValueError(f"lies in the future: {text}")
        return text

    return convert


def _id(value: Any) -> str:  # noqa: ANN401 - untrusted input
    text = str(value).strip()
    if not _ID.fullmatch(text):
        raise ValueError(f"takes up to 128 letters, digits and . _ : - , got {text[:40]!r}")
    return text


def incident_from_record(record: Mapping[str, Any], *, today: dt.date) -> Incident:
    """Read a record with the field names of our own files.

    Args:
        record: by field; ``title`` and ``text`` must be there.
        today: dates after it are refused.

    Raises:
        BadRecordError: with everything that is wrong.
    """
    read = _Reader(record)
    title = read.need("title", _text(300))
    text = read.need("text", _text(5000))
    identity = read.get("id", _id)
    date = read.get("date", _date_before(today))
    cost = read.get("cost", _number)
    currency = read.get("currency", _text(3)) or "USD"
    cost_kind = read.get("costKind", _one_of(get_args(CostKind)))
    if cost is not None and cost_kind is None:
        read.faults.append("costKind: is missing; a cost must say whether it was a loss, a fine or a ransom")
    year = int(date[:4]) if date else today.year
    fields = {
        "kind": read.get("kind", _one_of(get_args(Kind))) or "incident",
        "incident_type": read.get("incidentType", _text(60)),
        "attack_type": read.get("attackType", _text(60)),
        "organization": read.get("organization", _text(200)),
        "industry": read.get("industry", _text(60)),
        "country": read.get("country", _country),
        "severity": read.get("severity", _one_of(get_args(Severity))) or "unknown",
        "severity_basis": read.get("severityBasis", _text(120)) or "source",
        "records_affected": read.get("recordsAffected", _count),
        "downtime_hours": read.get("downtimeHours", _number),
        "had_mfa": read.get("hadMfa", _truth),
        "had_backups": read.get("hadBackups", _truth),
        "had_ir_plan": read.get("hadIrPlan", _truth),
        "tags": read.get("tags", _words) or (),
        "labels": read.get("labels", _words) or (),
        "products": read.get("products", _words) or (),
        "source": read.get("source", _text(120)) or "",
        "source_url": read.get("sourceUrl", _url) or "",
        "licence": read.get("licence", _text(60)) or "",
    }
    if strange := sorted(map(str, record.keys() - KNOWN_FIELDS)):
        read.faults.append(f"{', '.join(strange)[:200]}: unknown; known are {', '.join(sorted(KNOWN_FIELDS))}")
    try:
        cost = None if cost is None else to_usd(cost, currency, year)
    except ValueError as error:
        read.faults.append(f"currency: {error}")
    if read.faults:
        raise BadRecordError("; ".join(read.faults))
    return Incident(
        id=identity or identity_of(title, date, fields["organization"]),
        title=title,
        text=text,
        date=date,
        cost=cost,
        cost_kind=cost_kind,
        **fields,
    )


def identity_of(*parts: str | None) -> str:
    """A stable id for a record that brings none: the same content has the same id."""
    joined = "\x1f".join(part or "" for part in parts)
    return "in-" + hashlib.sha256(joined.casefold().encode()).hexdigest()[:20]
