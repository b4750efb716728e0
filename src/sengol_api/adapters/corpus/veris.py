"""VERIS incidents as the VERIS Community Database (VCDB) publishes them: one object, or a list of them."""

from collections.abc import Mapping
from typing import Any, Final

# The first two digits of the victim's NAICS code.
_NAICS: Final = {
    "11": "agriculture", "21": "energy", "22": "energy", "23": "real-estate", "31": "manufacturing", "32": "manufacturing",
    "33": "manufacturing", "42": "retail", "44": "retail", "45": "retail", "48": "transport", "49": "transport",
    "51": "technology", "52": "finance", "53": "real-estate", "54": "professional-services", "55": "professional-services",
    "56": "professional-services", "61": "education", "62": "healthcare", "71": "entertainment", "72": "hospitality",
    "81": "nonprofit", "92": "government",
}  # fmt: skip
_NAICS_LONGER: Final = {
    "524": "insurance",
    "517": "telecom",
    "2213": "water",
    "5411": "legal",
    "3254": "pharma",
    "515": "media",
}
_IMPACT: Final = {
    "insignificant": "low", "distracting": "low", "painful": "medium", "damaging": "high", "catastrophic": "critical",
}  # fmt: skip


def veris_entries(document: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """The incidents of a document."""
    return document if isinstance(document, list) else [document]


def veris_record(entry: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A record with our field names.

    Raises:
        ValueError: the entry is no object.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"takes a VERIS object, got {type(entry).__name__}")  # noqa: TRY004 - reported as a bad record
    victim = _object(entry.get("victim"))
    action = _object(entry.get("action"))
    impact = _object(entry.get("impact"))
    summary = entry.get("summary")
    name = victim.get("victim_id")
    kinds = sorted(kind for kind in action if kind != "unknown")
    varieties = sorted({str(v) for kind in action.values() for v in _list(_object(kind).get("variety")) if v != "Unknown"})
    reference = entry.get("reference")
    record = {
        "id": f"veris:{entry['incident_id']}" if entry.get("incident_id") else None,
        "title": _title(name, kinds, varieties),
        "text": summary,
        "incidentType": "data-breach" if _disclosed(entry) else "security-incident",
        "attackType": kinds[0] if kinds else None,
        "organization": name,
        "industry": _industry(victim.get("industry")),
        "country": next((c for c in _list(victim.get("country")) if c != "Unknown"), None),
        "severity": _IMPACT.get(str(impact.get("overall_rating", "")).lower()),
        "severityBasis": "VERIS impact rating" if impact.get("overall_rating") else None,
        "date": _date(_object(_object(entry.get("timeline")).get("incident"))),
        "cost": impact.get("overall_amount"),
        "currency": impact.get("iso_currency_code"),
        "costKind": "loss" if impact.get("overall_amount") is not None else None,
        "recordsAffected": _object(_object(entry.get("attribute")).get("confidentiality")).get("data_total"),
        "tags": [v.lower().replace(" ", "-") for v in varieties],
        "source": "VERIS Community Database",
        "sourceUrl": _first_url(reference),
        "licence": "CC-BY-SA-4.0",
    }
    return {key: value for key, value in record.items() if value is not None}


def _object(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - untrusted input
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - untrusted input
    return value if isinstance(value, list) else [] if value is None else [value]


def _title(name: Any, kinds: list[str], varieties: list[str]) -> str:  # noqa: ANN401 - untrusted input
    what = ", ".join(varieties[:3]) or ", ".join(kinds) or "security incident"
    return f"{name or 'Unnamed organisation'}: {what}"


def _disclosed(entry: Mapping[str, Any]) -> bool:
    confidentiality = _object(_object(entry.get("attribute")).get("confidentiality"))
    return confidentiality.get("data_disclosure") == "Yes"


def _industry(naics: Any) -> str | None:  # noqa: ANN401 - untrusted input
    code = str(naics or "")
    longer = next((name for prefix, name in _NAICS_LONGER.items() if code.startswith(prefix)), None)
    return longer or _NAICS.get(code[:2])


def _date(when: Mapping[str, Any]) -> str | None:
    year, month, day = (when.get(part) for part in ("year", "month", "day"))
    if not isinstance(year, int):
        return None
    if not isinstance(month, int):
        return f"{year:04d}"
    return f"{year:04d}-{month:02d}" + (f"-{day:02d}" if isinstance(day, int) else "")


def _first_url(reference: Any) -> str | None:  # noqa: ANN401 - untrusted input
    parts = str(reference or "").replace(";", " ").replace(",", " ").split()
    return next((part for part in parts if part.startswith(("http://", "https://"))), None)
