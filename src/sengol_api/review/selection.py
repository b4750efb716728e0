"""Which areas of the catalogue a system is asked about."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sengol_api.review.area import DOMAINS, Area, Catalogue, Domain
from sengol_api.review.facts import SystemFacts
from sengol_api.review.regime import Regime, applies

_WORD = re.compile(r"[a-z0-9][a-z0-9+#.\-]*[a-z0-9+#]|[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Fit:
    """How well an area fits a system, and what it has in common with it, for the reader."""

    score: float
    tech: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    industry: bool = False
    words: tuple[str, ...] = ()


def words_of(text: str) -> frozenset[str]:
    """The lower-case words of a text, and its phrases of two and three. Words are whole: "email" does not contain "ai"."""
    words = _WORD.findall(text.lower())
    phrases = (" ".join(words[start : start + length]) for length in (2, 3) for start in range(len(words) - length + 1))
    return frozenset([*words, *phrases])


def fit(area: Area, facts: SystemFacts, words: frozenset[str], similarity: float, *, bound: bool = False) -> Fit:
    """Rate an area for a system.

    Args:
        area: the area.
        facts: what is known of the system.
        words: the words of its description.
        similarity: cosine of the area's text and the description.
        bound: a law or contract that applies to the system asks for the control.
    """
    wanted = area.relevance
    tech = tuple(sorted(facts.tech.intersection(wanted.tech)))
    data = tuple(sorted(facts.all_data.intersection(wanted.data)))
    industry = facts.industry is not None and facts.industry in wanted.industries
    found = tuple(sorted(words.intersection(wanted.words)))
    score = (
        area.base
        + 0.20 * min(len(tech), 2)
        + 0.15 * min(len(data), 2)
        + 0.15 * industry
        + 0.08 * min(len(found), 3)
        + 0.50 * max(0.0, similarity)
        + 0.25 * bound
    )
    if wanted.tech and facts.tech and not tech:
        score -= 0.25  # it is about something that this system is not built of
    return Fit(round(score, 6), tech, data, industry, found)


def applicable(catalogue: Catalogue, facts: SystemFacts) -> dict[str, Regime]:
    """The regimes that concern the system, by id."""
    return {key: regime for key, regime in sorted(catalogue.regimes.items()) if applies(regime, facts)}


def candidates(catalogue: Catalogue, facts: SystemFacts, regimes: Mapping[str, Regime]) -> list[Area]:
    """Areas of the selected domains whose regime, where they need one, applies, and that are about what the system is made of."""
    return [
        area
        for domain in DOMAINS
        if domain in facts.domains
        for area in _about(catalogue.of(domain), facts)
        if not area.only_under or not regimes.keys().isdisjoint(area.only_under)
    ]


def _about(areas: Sequence[Area], facts: SystemFacts) -> list[Area]:
    """Leave out what is about other technology: a model that scores payments has no prompt that a user could overrule."""
    sorts = {code for area in areas for code in area.only_with}
    told = facts.tech | facts.all_data
    if facts.tech.isdisjoint(sorts):
        return list(areas)
    return [area for area in areas if not area.only_with or not told.isdisjoint(area.only_with)]


def quotas(available: Mapping[Domain, int], *, total: int, per_domain: int) -> dict[Domain, int]:
    """Split a number of questions evenly among domains; what one cannot use goes to the others, the first of them first.

    Args:
        available: how many areas each domain has for the system.
        total: of all domains together.
        per_domain: at most.
    """
    most = {domain: min(per_domain, available[domain]) for domain in DOMAINS if domain in available}
    quota = dict.fromkeys(most, 0)
    for _ in range(min(total, sum(most.values()))):
        poorest = min((domain for domain in quota if quota[domain] < most[domain]), key=quota.__getitem__)
        quota[poorest] += 1
    return quota


def select(rated: Sequence[tuple[Area, Fit]], quota: Mapping[Domain, int]) -> list[tuple[Area, Fit]]:
    """The best-fitting areas of each domain within its quota, best first; ties by id."""
    chosen: list[tuple[Area, Fit]] = []
    for domain in DOMAINS:
        own = [pair for pair in rated if pair[0].domain == domain]
        own.sort(key=lambda pair: (-pair[1].score, pair[0].id))
        chosen += own[: quota.get(domain, 0)]
    return chosen
