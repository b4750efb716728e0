"""Laws, contracts, standards and frameworks: which apply to a system, and whether they bind as of a date."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sengol_api.review.facts import SystemFacts
from sengol_api.review.vocabulary import affirmed, says

RegimeKind = Literal["law", "contract", "standard", "framework"]
Status = Literal["binding", "upcoming", "voluntary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A clause, in our own short paraphrase; with ``mentions`` it concerns only who the description says is meant by it."""

    id: str
    title: str
    effective_from: dt.date | None = None
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A regime as data. An empty list of a condition means that the condition does not narrow it.

    ``mentions`` are phrases of which the description must hold one: what kind of company it is has no field of its own.
    """

    id: str
    name: str
    full_name: str
    version: str
    kind: RegimeKind
    role: str
    source_url: str
    as_of: dt.date
    effective_from: dt.date | None = None
    jurisdictions: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    data_types: tuple[str, ...] = ()
    tech: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    clauses: tuple[Clause, ...] = ()
    note: str = ""

    @property
    def binds(self) -> bool:
        """Whether it is law or contract, not a voluntary standard."""
        return self.kind in {"law", "contract"}

    def clause(self, clause_id: str) -> Clause | None:
        """The clause of that id."""
        return next((clause for clause in self.clauses if clause.id == clause_id), None)

    def status(self, as_of: dt.date, clause: Clause | None = None) -> Status:
        """Binding, upcoming or voluntary as of a date; a clause may begin later than its regime."""
        if not self.binds:
            return "voluntary"
        begins = (clause.effective_from if clause else None) or self.effective_from
        return "upcoming" if begins is not None and begins > as_of else "binding"


def mentioned(phrases: Iterable[str], facts: SystemFacts) -> bool:
    """Whether the description holds one of the phrases and does not deny it; no phrase asks for nothing."""
    wanted = list(phrases)
    told = affirmed(facts.description) if wanted else ""
    return not wanted or any(says(told, phrase) for phrase in wanted)


def applies(regime: Regime, facts: SystemFacts) -> bool:
    """Whether a regime concerns a system.

    Place, industry and data must each fit where the regime names them. Its technology and its domain are two ways of
    saying the same thing (an AI law concerns a system built with AI, and a review that asks about AI), so one of the
    two is enough.
    """
    if regime.jurisdictions and facts.jurisdictions.isdisjoint(regime.jurisdictions):
        return False
    if regime.industries and facts.industry not in regime.industries:
        return False
    if regime.data_types and facts.data_types.isdisjoint(regime.data_types):
        return False
    if not mentioned(regime.mentions, facts):
        return False
    if regime.tech or regime.domains:
        return not (facts.tech.isdisjoint(regime.tech) and facts.domains.isdisjoint(regime.domains))
    return True
