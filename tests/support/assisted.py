"""A review of the real catalogue over made incidents, ready for a model's help, and models that follow a script."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.review import selection
from sengol_api.review.area import DOMAINS, Domain
from sengol_api.review.assist.assist import WORDED
from sengol_api.review.assist.places import Places, places, spare
from sengol_api.review.facts import ReviewRequest, SystemFacts, normalise
from sengol_api.review.ports import ModelAnswer
from sengol_api.review.question import Question, build
from sengol_api.review.retrieval import Match, distribute
from support.builders import TODAY, make_incident

DESCRIPTION = (
    "A chatbot answers patients of a hospital group from their medical records and books appointments. It uses a large language "
    "model with retrieval over clinical guidelines, and stores 2,000 conversations a day in PostgreSQL on AWS."
)
REQUEST = ReviewRequest(
    description=DESCRIPTION,
    domains=frozenset(DOMAINS),
    jurisdictions=frozenset({"Germany"}),
    industry="healthcare",
    max_questions=100,
)


@cache
def embedder() -> WordLlamaEmbedder:
    """The local embedder."""
    return WordLlamaEmbedder()


@dataclass(frozen=True)
class Reviewed:
    """What evidence made of a request, and what a model may add."""

    asked: tuple[Question, ...]
    places: Mapping[Domain, Places]
    facts: SystemFacts

    def of(self, domain: Domain) -> list[Question]:
        """The asked questions of a domain."""
        return [question for question in self.asked if question.domain == domain]


def reviewed(request: ReviewRequest = REQUEST, *, text: str | None = None, title: str | None = None) -> Reviewed:
    """Answer a request from made incidents: three per area, whose titles and texts may be given."""
    catalogue, vocabulary = load_catalogue(), load_vocabulary()
    facts = normalise(request, vocabulary)
    regimes = selection.applicable(catalogue, facts)
    words = selection.words_of(facts.description)
    candidates = selection.candidates(catalogue, facts, regimes)
    rated = [(area, selection.fit(area, facts, words, 0.0)) for area in candidates]
    available = Counter(area.domain for area, _ in rated)
    quota = selection.quotas(available, total=request.max_questions, per_domain=request.questions_per_domain)
    chosen = selection.select(rated, quota)

    def weigh(pairs: Sequence[tuple]) -> list[tuple[Question, list[Match]]]:
        made = []
        for area, fit in pairs:
            found = _matches(area.id, text, title)
            question = build(area, fit, facts, found, industry=0.5, regimes=regimes, vocabulary=vocabulary, as_of=TODAY)
            made.append((question, found))
        made.sort(key=lambda pair: (-pair[0].final_weight, pair[0].id))
        return made

    asked, spares = weigh(chosen), weigh(spare(rated, chosen))
    shown = distribute([found for _, found in asked])
    shown_by_spares = distribute([found for _, found in spares], beside=shown)
    questions = [replace(question, related=tuple(own)) for (question, _), own in zip(asked, shown, strict=True)]
    offers = [replace(question, related=tuple(own)) for (question, _), own in zip(spares, shown_by_spares, strict=True)]
    fits = {area.id: fit.score for area, fit in chosen}
    return Reviewed(tuple(questions), places(questions, offers, fits, quota), facts)


def _matches(area: str, text: str | None, title: str | None) -> list[Match]:
    made = []
    for number in range(3):
        told = {"text": text} if text is not None else {}
        if title is not None:
            told["title"] = f"{title} {number}"
        incident = make_incident(
            f"{area}-{number}", organization="Example Clinic", severity="high", date=f"{2020 + number}-05", **told
        )
        made.append(Match(incident, 0.6, 1.0, ("because",)))
    return made


class ScriptedModel:
    """The ``LanguageModel`` that answers each task by a function of its data, and asks the check once, as a real one does."""

    name = "scripted"

    def __init__(self, script: Callable[[dict], object], served: str = "fresh") -> None:
        self.script = script
        self.served = served
        self.tasks = []
        self.complaints = []
        self.reason_away = ""
        self.subjects = []

    async def away(self, subject) -> str:
        """See the port."""
        self.subjects.append(subject)
        return self.reason_away

    async def answer(self, task, *, check) -> ModelAnswer:
        """See the port."""
        self.tasks.append(task)
        value = self.script(json.loads(task.data))
        found = tuple(await check(value))
        self.complaints.append(found)
        reason = "" if self.served == "fresh" else "the provider does not answer"
        return ModelAnswer(value, self.name, self.served, reason, 1, found)


def good_item(entry: Mapping) -> dict:
    """An item as an obedient model would write it for an entry of the data."""
    question = entry["question"]
    first = entry["incidents"][:1]
    return {
        "area": entry["area"],
        "question": f"For this chatbot and its patients, {question[0].lower()}{question[1:]}",
        "importance": f"Patients of the hospital group meet this in a chatbot: {entry['label'].lower()} in conversations.",
        "cites": [incident["id"] for incident in first],
        "mitigations": [1, 0],
    }


def good_answer(data: Mapping, add: Sequence[str] = ()) -> dict:
    """A whole answer of that kind."""
    entries = [*data["reword"], *(entry for entry in data["offered"] if entry["area"] in add)]
    order = [entry["area"] for entry in (*data["reword"], *data["rank"])]
    return {"order": order, "add": list(add), "items": [good_item(entry) for entry in entries]}


def helpful(ask: Mapping) -> str:
    """What a good model says to a task of the review: the ``reply`` of a server of the OpenAI protocol."""
    return json.dumps(good_answer(json.loads(ask["messages"][-1]["content"])))


def split(questions: Sequence[Question]) -> tuple[Sequence[Question], Sequence[Question]]:
    """Those that the model may word, and those that it puts in order only."""
    return questions[:WORDED], questions[WORDED:]


WORDS_ONLY = ("text", "importance", "mitigations", "cited", "generated_from")


def counted(question: Question) -> Question:
    """A question without what a model may change."""
    return replace(
        question,
        text=question.catalogue_text,
        importance="",
        mitigations=tuple(sorted(question.mitigations)),
        cited=(),
        generated_from="evidence",
    )
