"""Domain objects with everything filled in, so that a test names only what it is about."""

import datetime as dt

from sengol_api.review.area import Area, ClauseRef, Relevance
from sengol_api.review.facts import SystemFacts
from sengol_api.review.incident import Incident
from sengol_api.review.regime import Clause, Regime
from sengol_api.review.vocabulary import Term, Vocabulary

TODAY = dt.date(2026, 11, 24)


def make_incident(identity="inc-1", **fields) -> Incident:
    """An incident with a story of its own."""
    told = {
        "title": f"Title of {identity}",
        "text": f"What happened in {identity}, told at a length that a reader can learn something from it.",
        "severity": "medium",
        "source": "Example",
        "source_url": f"https://example.com/{identity}",
    }
    return Incident(id=identity, **{**told, **fields})


def make_area(identity="ai.injection", **fields) -> Area:
    """An area of the catalogue."""
    told = {
        "label": "Prompt injection",
        "category": "Input",
        "base": 0.8,
        "question": "Is text from outside kept apart from instructions?",
        "description": "A model cannot tell text from orders.",
        "good": "Text from outside never reaches a model that can act.",
        "examples": ("A page told an assistant what to do.",),
        "mitigations": ("Ask before acting.",),
        "clauses": (ClauseRef("gdpr", "Art. 32"),),
        "search": "hidden instructions in a document made an assistant act",
        "relevance": Relevance(),
    }
    return Area(id=identity, **{**told, **fields})


def make_facts(**fields) -> SystemFacts:
    """Facts of a system."""
    told = {"description": "A web portal of a clinic.", "domains": frozenset({"ai"})}
    return SystemFacts(**{**told, **fields})


def make_regime(identity="gdpr", **fields) -> Regime:
    """A regime that applies in the EU."""
    told = {
        "name": identity.upper(),
        "full_name": f"Full name of {identity}",
        "version": "1",
        "kind": "law",
        "role": "controller",
        "source_url": f"https://example.com/{identity}",
        "as_of": TODAY,
        "effective_from": dt.date(2018, 5, 25),
        "jurisdictions": ("EU",),
        "clauses": (Clause(id="Art. 32", title="Security"),),
    }
    return Regime(id=identity, **{**told, **fields})


def make_vocabulary() -> Vocabulary:
    """A few words of each group."""
    return Vocabulary(
        {
            "industries": (Term("healthcare", "Healthcare", ("hospital",)), Term("technology", "Technology", (), (), ("it",))),
            "dataTypes": (Term("phi", "health data", ("medical records",)), Term("pii", "personal data")),
            "tech": (
                Term("llm", "large language model", ("gpt-4",), phrase="a large language model"),
                Term("ml-model", "machine-learning model", ("machine learning",), (), ("ai",)),
                Term("object-storage", "object storage", ("s3",)),
            ),
            "jurisdictions": (
                Term("EU", "European Union", ("europe",), (), ("eu",)),
                Term("DE", "Germany", ("deutschland",), ("EU",), ("de",)),
                Term("US", "United States", ("usa",), (), ("us",)),
            ),
        },
    )
