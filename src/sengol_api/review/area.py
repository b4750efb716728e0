"""A risk area: one control question that past incidents teach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Literal

from sengol_api.review.regime import Regime

Domain = Literal["ai", "cyber", "cloud", "compliance"]
DOMAINS: tuple[Domain, ...] = ("ai", "cyber", "cloud", "compliance")
_DOMAIN: dict[str, Domain] = {domain: domain for domain in DOMAINS}


@dataclass(frozen=True, slots=True)
class ClauseRef:
    """A clause of a regime that asks for the control."""

    regime: str
    clause: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """What makes an area more to the point: codes of the vocabulary, and words of a description."""

    tech: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One entry of the catalogue.

    Attributes:
        base: importance when nothing else is known, 0-1.
        search: words that reports of such incidents use; with the label it is the retrieval query.
        labels: taxonomy labels and root-cause tags that tie incidents to the area.
        only_under: ask only when one of these regimes applies; empty means always.
        only_with: codes of technology or data that the area is about. A system that names technology of that sort (any that an
            area of the domain lists here) and none of these is not asked; one that names none of it is, for lack of knowledge.
        label_names: what the codes among ``labels`` stand for, for the reader.
    """

    id: str
    label: str
    category: str
    base: float
    question: str
    description: str
    good: str
    examples: tuple[str, ...]
    mitigations: tuple[str, ...]
    clauses: tuple[ClauseRef, ...]
    search: str
    labels: tuple[str, ...] = ()
    attack_types: tuple[str, ...] = ()
    relevance: Relevance = Relevance()
    only_under: tuple[str, ...] = ()
    only_with: tuple[str, ...] = ()
    label_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def domain(self) -> Domain:
        """The domain that the id begins with."""
        return _DOMAIN[self.id.partition(".")[0]]

    @property
    def query(self) -> str:
        """The retrieval query of the area on its own."""
        return intern(f"{self.label}. {self.search}")  # every kept answer holds it


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All areas and regimes of one version."""

    areas: tuple[Area, ...]
    regimes: Mapping[str, Regime]
    version: str

    def of(self, domain: Domain) -> tuple[Area, ...]:
        """The areas of a domain, in the order of the file."""
        return tuple(area for area in self.areas if area.domain == domain)
