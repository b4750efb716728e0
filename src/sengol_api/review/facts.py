"""What is known of the system under review, in the codes of the vocabulary."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

from sengol_api.review.vocabulary import Vocabulary, affirmed

Criticality = Literal["low", "medium", "high", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What a reviewer said. Lists are sets: neither their order nor a repetition means anything."""

    description: str
    domains: frozenset[str]
    jurisdictions: frozenset[str] = frozenset()
    industry: str | None = None
    tech: frozenset[str] = frozenset()
    data_types: frozenset[str] = frozenset()
    criticality: Criticality = "medium"
    max_questions: int = 75
    questions_per_domain: int = 25
    min_weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """A request in codes.

    Attributes:
        tech: declared and mentioned technology; it steers which questions are asked, and which rules on technology apply.
        data_types: declared only: a law is not applied on the strength of a word in a text.
        mentioned_data: data that the description speaks of without its being declared; steers questions, not laws.
        products: declared names of technology, as they were written, for entries on single products.
        unrecognised: declared values that we have no code for, by field; they change nothing and are reported.
    """

    description: str
    domains: frozenset[str]
    jurisdictions: frozenset[str] = frozenset()
    industry: str | None = None
    tech: frozenset[str] = frozenset()
    data_types: frozenset[str] = frozenset()
    mentioned_data: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    criticality: Criticality = "medium"
    unrecognised: tuple[tuple[str, str], ...] = ()

    @property
    def all_data(self) -> frozenset[str]:
        """Declared and mentioned data."""
        return self.data_types | self.mentioned_data


def normalise(request: ReviewRequest, vocabulary: Vocabulary, products: Container[str] = frozenset()) -> SystemFacts:
    """Turn what was said into facts; nothing that was said is dropped silently.

    Args:
        request: what the reviewer said.
        vocabulary: the codes.
        products: names, case folded, of the products that the corpus has advisories on.
    """
    told = affirmed(request.description)
    jurisdictions, strange_places = vocabulary.resolve_all("jurisdictions", request.jurisdictions)
    data_types, strange_data = vocabulary.resolve_all("dataTypes", request.data_types)
    tech, strange_tech = vocabulary.resolve_all("tech", request.tech)
    industry = vocabulary.resolve("industries", request.industry) if request.industry else None
    strange_industry = (request.industry,) if request.industry and industry is None else ()
    return SystemFacts(
        description=request.description,
        domains=request.domains,
        jurisdictions=jurisdictions,
        industry=industry.code if industry else None,
        tech=tech | vocabulary.mentioned("tech", told),
        data_types=data_types,
        mentioned_data=vocabulary.mentioned("dataTypes", told) - data_types,
        products=frozenset(name.casefold() for name in (*request.tech, *strange_tech)),
        criticality=request.criticality,
        unrecognised=(
            *(("jurisdictions", value) for value in strange_places),
            *(("dataTypes", value) for value in strange_data),
            *(("industry", value) for value in strange_industry),
            *(("techStack", value) for value in strange_tech if value.casefold() not in products),
        ),
    )


def hints(facts: SystemFacts) -> tuple[str, ...]:
    """What was left out for want of a word from the reviewer, and how to have it in."""
    found = []
    if not facts.jurisdictions:
        found.append("No place is given in jurisdictions, so no law of any place was considered.")
    if facts.mentioned_data:
        named = ", ".join(sorted(facts.mentioned_data))
        found.append(
            f"The description speaks of data that dataTypes does not name ({named}); laws on such data were not considered."
        )
    if facts.industry is None:
        found.append(
            "No known industry is given, so rules of single industries were not considered and every industry weight is 0.5."
        )
    return tuple(found)
