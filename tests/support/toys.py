"""A small embedder and a small world for tests of the domain: real implementations, only little ones."""

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sengol_api.adapters.answers import Answers, AnswersOptions
from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.review.area import Catalogue, ClauseRef, Relevance
from sengol_api.review.corpus import Corpus
from sengol_api.review.evidence import Knowledge, prepare
from sengol_api.review.generate import Assistant, GenerateQuestions
from sengol_api.review.retrieval import MEASURED
from sengol_api.review.space import Spaces, make_space
from support.builders import make_area, make_incident, make_regime, make_vocabulary

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


class BagOfWords:
    """The ``Embedder`` as a hashed bag of words: texts with common words are near each other, always in the same way."""

    name = "bag-of-words"
    dimension = 64

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def embed(self, texts: Sequence[str]):
        """See the port."""
        self.calls.append(list(texts))
        return self.embed_now(texts)

    def embed_now(self, texts: Sequence[str]):
        """The same at once."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in set(re.findall(r"[a-z0-9]{3,}", text.lower())):
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % self.dimension] += 1
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms > 0, norms, 1)


_THEMES = {
    "ai.injection": "hidden instructions prompt assistant obey document",
    "ai.bias": "discrimination applicants scoring unfair model ranking",
    "cyber.phishing": "phishing mail credentials stolen employees login",
    "cyber.patching": "unpatched server exploit vulnerability web framework",
    "cloud.storage": "bucket storage exposed public records misconfigured",
    "cloud.outage": "outage region network change capacity cascade",
    "compliance.transfers": "transfer abroad regulator fine personal data",
    "compliance.health": "hospital patients disclosure settlement privacy rule",
}


def toy_catalogue() -> Catalogue:
    """Two areas per domain; one of them only under HIPAA."""
    areas = [
        make_area(
            identity,
            label=theme.split()[0].title(),
            base=0.5 + 0.05 * position,
            search=theme,
            question=f"Is there a control against {theme}?",
            clauses=(ClauseRef("gdpr", "Art. 32"), ClauseRef("hipaa", "§164.312(a)")),
            relevance=Relevance(tech=("llm",) if identity.startswith("ai.") else ()),
            only_under=("hipaa",) if identity == "compliance.health" else (),
        )
        for position, (identity, theme) in enumerate(_THEMES.items())
    ]
    hipaa = make_regime("hipaa", jurisdictions=("US",), data_types=("phi",), clauses=())
    return Catalogue(tuple(areas), {"gdpr": make_regime("gdpr"), "hipaa": hipaa}, "catalogue-1")


def toy_corpus() -> Corpus:
    """Five incidents per area, and a vulnerability of one product."""
    incidents = [
        make_incident(
            f"{identity}-{number}",
            title=f"Case {number} of {theme.split()[number]}",
            text=f"{theme}; reported in case {number} with more words around what happened and to whom it happened.",
            industry="healthcare" if number % 2 else "technology",
            severity=("low", "medium", "high", "critical", "unknown")[number],
            date=f"{2018 + number}-05",
        )
        for identity, theme in _THEMES.items()
        for number in range(5)
    ]
    product = make_incident(
        "vuln-1",
        text="unpatched server exploit vulnerability web framework of the portal",
        kind="vulnerability",
        products=("portalkit",),
    )
    return Corpus([*incidents, product], version="corpus-1")


@dataclass
class ToyWorld:
    """The use case over the toy corpus with all that it stands on."""

    knowledge: Knowledge
    embedder: BagOfWords
    spaces: Spaces
    keywords: Bm25Index

    def use_case(self, now=lambda: NOON, spaces=None, model=None) -> GenerateQuestions:
        """The main job, with the help of a model if one is given."""
        assistant = None if model is None else Assistant(model, self.embedder.embed_now)
        spaces = spaces or self.spaces
        return GenerateQuestions(self.knowledge, spaces=spaces, keywords=self.keywords, assistant=assistant, now=now)

    def answers(self, now=lambda: NOON, **options) -> Answers:
        """The main job under policies."""
        return Answers(self.use_case(now), AnswersOptions(**options))


async def toy_world(corpus: Corpus | None = None) -> ToyWorld:
    """Make it."""
    corpus = corpus or toy_corpus()
    embedder = BagOfWords()
    incidents = list(corpus.all())
    ids = [incident.id for incident in incidents]
    texts = [incident.searchable for incident in incidents]
    index = ExactIndex(ids, await embedder.embed(texts))
    keywords = Bm25Index(ids, texts)
    catalogue = toy_catalogue()
    local = await make_space(catalogue.areas, embedder, index, MEASURED)
    knowledge = await prepare(catalogue, make_vocabulary(), corpus, local)
    embedder.calls.clear()
    return ToyWorld(knowledge, embedder, Spaces(local), keywords)
