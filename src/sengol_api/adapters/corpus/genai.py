"""The corpus of AI incidents, from the ``genai-incidents`` package (CC-BY-4.0 data, per-source terms in its NOTICE-DATA)."""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from sengol_api.review.incident import Incident, Kind
from sengol_api.review.vocabulary import Vocabulary, iso_country

ORIGIN: Final = "genai-incidents"
PACKAGE: Final = "genai_incidents"
RULES: Final = "6"  # raise it when a rule below changes, so that stored incidents are made anew
ATTRIBUTION: Final = (
    "AI incidents: genai-incidents, CC BY 4.0, with content of the AI Incident Database, the OECD AI Incidents Monitor, "
    "AIAAIC (CC BY-SA 4.0), MITRE ATLAS (Apache-2.0), the CVE Program, GitHub advisories and AVID (MIT) under their terms"
)

_SOURCES: Final = (
    ("incidentdatabase.ai", "AI Incident Database"),
    ("oecd.ai", "OECD AI Incidents Monitor"),
    ("aiaaic.org", "AIAAIC"),
    ("atlas.mitre.org", "MITRE ATLAS"),
    ("nvd.nist.gov", "CVE Program"),
    ("avidml.org", "AVID"),
    ("github.com", "GitHub"),
)
_TAXONOMIES: Final = ("owasp_llm", "owasp_asi", "mitre_atlas")
_ADVISORY_TAGS: Final = frozenset({"cve", "ghsa", "nvd", "cvelistv5", "osv", "huntr", "cve-entry", "malicious-package"})
PAPERS: Final = "arxiv.org"
_STUDY_TAGS: Final = frozenset({"paper", "arxiv", "benchmark"})
_TRACKERS: Final = frozenset({"AI Incident Database", "OECD AI Incidents Monitor", "AIAAIC"})
_READ_FROM_HEADLINES: Final = frozenset(
    """
    algorithmic-bias csam-generation deepfake hallucination malware misinformation phishing privacy-violation prompt-injection
    unsafe-advice
    """.split(),
)
_BOILERPLATE: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"^AI Incident Database \(AIID\) entry #?\d+: ",
        r"Alleged deployer/developer: .*$",
        r"See (?:the )?(?:linked )?AIID (?:entry )?.*$",
        r"^AIAAIC-tracked incident\. ?",
        r"^Tracked by the OECD AI Incidents and Hazards Monitor \(AIM\) as [^,]+, dated [^.]+\. ?",
        r"Classified attack vector: [^.]+\. ?",
        r"See the AIM incident page .*$",
        r"(?:Sector|Jurisdiction): [^.]*\. ?",
    )
)
_MARKUP: Final = re.compile(r"<[^>]*>|[#*`]+|\[([^\]]*)\]\([^)]*\)")
_SPACE: Final = re.compile(r"\s+")


def corpus_version() -> str:
    """Changes with the package and with our reading of it."""
    return f"{version('genai-incidents')}+{RULES}"


def read_genai(vocabulary: Vocabulary) -> Iterator[Incident]:
    """Every entry but the retracted ones."""
    for entry in import_module(PACKAGE).load_incidents():
        if entry.get("status") != "retracted":
            yield convert(entry, vocabulary)
    # While it is loaded the package keeps all that it has read, which a server would carry for as long as it lives.
    sys.modules.pop(PACKAGE, None)


def convert(entry: Mapping[str, Any], vocabulary: Vocabulary) -> Incident:
    """One entry of the package.

    An advisory (CVE, GHSA and the like) of the bulk feed is a ``vulnerability``: a defect that was found, not something
    that happened to anybody. Nothing of the landmark tier is one. What a paper or a benchmark shows is a ``study``.

    The trackers of news have no kind of attack and no label of their own: upstream reads the one out of the headline and
    derives the other from it. That holds for kinds of harm; of kinds of attack on software most are wrong (of 1,508 pieces
    of news marked ``rce`` hardly any tells of executed code), and so are the labels. Those are left out.
    """
    tags = frozenset(entry["tags"])
    advisory = entry["tier"] == "feed" and not tags.isdisjoint(_ADVISORY_TAGS)
    title = clean(entry["title"])
    text = story(title, entry["description"])
    affected = clean(entry.get("affected") or "")
    organization, _, extent = affected.partition(" — ")
    industry, industry_told = _industry(tags, title, vocabulary)
    source = _source(entry["primary_reference"])
    news = source in _TRACKERS
    study = source == PAPERS or not tags.isdisjoint(_STUDY_TAGS)
    kind: Kind = "vulnerability" if advisory else "study" if study else "incident"
    return Incident(
        id=entry["id"],
        title=title,
        text=f"{text} Affected: {extent}".strip() if extent else text,
        kind=kind,
        incident_type=kind if kind != "incident" else "ai-harm" if entry["corpus"] == "ai-harm" else "ai-incident",
        attack_type=_attack_type(entry["attack_vector"], news=news),
        organization=organization[:200] if organization and organization != title else None,
        industry=industry,
        country=_country(tags, vocabulary),
        severity=entry["severity"].lower(),
        date=entry["date"],
        tags=tuple(sorted({"disputed"} if entry.get("status") == "disputed" else ())),
        labels=() if news else tuple(sorted({label for taxonomy in _TAXONOMIES for label in entry.get(taxonomy, ())})),
        products=_products(affected) if advisory and affected else (),
        source=source,
        source_url=entry["primary_reference"],
        licence=(entry.get("content_license") or {}).get("license", "CC-BY-4.0"),
        derived=() if industry_told or industry is None else ("industry",),
    )


def clean(text: str) -> str:
    """Text without markup, on one line. What upstream sends may hold HTML of an exploit; none of it is kept."""
    return _SPACE.sub(" ", _MARKUP.sub(r"\1", text)).strip()


def story(title: str, description: str) -> str:
    """What a description adds to the title: without the sentences that every entry of a source repeats."""
    text = clean(description)
    for pattern in _BOILERPLATE:
        text = pattern.sub("", text)
    if text.startswith(title):
        text = text[len(title) :].lstrip(". ")
    return text.strip()


def _attack_type(vector: str, *, news: bool) -> str | None:
    if vector == "other" or (news and vector not in _READ_FROM_HEADLINES):
        return None
    return vector


def _industry(tags: frozenset[str], title: str, vocabulary: Vocabulary) -> tuple[str | None, bool]:
    told = {
        term.code
        for tag in tags
        if tag.startswith("sector-")
        for name in tag.removeprefix("sector-").split("/")
        if (term := vocabulary.resolve("industries", name))
    }
    if told:
        return min(told), True
    mentioned = vocabulary.mentioned("industries", title)
    return (next(iter(mentioned)), False) if len(mentioned) == 1 else (None, False)


def _country(tags: frozenset[str], vocabulary: Vocabulary) -> str | None:
    places = [
        term.code
        for tag in sorted(tags)
        if tag.startswith("juris-") and (term := vocabulary.resolve("jurisdictions", tag.removeprefix("juris-")))
    ]
    if len(places) != 1 or places[0] in {"EU", "GLOBAL"}:
        return None
    return iso_country(places[0].partition("-")[0])


def _products(affected: str) -> tuple[str, ...]:
    names = {part.rpartition("/")[2].rpartition(":")[2].strip().casefold() for part in affected.split(",")}
    return tuple(sorted(name for name in names if name))


def _source(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return next((name for part, name in _SOURCES if host == part or host.endswith("." + part)), host.removeprefix("www."))
