"""Is what the model wrote grounded in the data? Part by part; a part that is not is left out, and the rest stands.

The thresholds come from ``eval/assist.py``, which holds them against true rewordings and against steered ones (decision 13).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sengol_api.review.assist import wording
from sengol_api.review.assist.cleaning import clean
from sengol_api.review.assist.orders import gives_orders
from sengol_api.review.assist.places import Places
from sengol_api.review.assist.prompt import INSTRUCTIONS, LONGEST_DESCRIPTION, sent
from sengol_api.review.assist.schema import Item, Suggestions, parse
from sengol_api.review.assist.told import Told, content, denials, names, numbers, of_area, of_incident, ordinary
from sengol_api.review.facts import SystemFacts
from sengol_api.review.ports import Vectors
from sengol_api.review.question import Question

Embed = Callable[[Sequence[str]], Vectors]
"""One unit vector per text, at once and locally: it runs in the midst of a call."""

QUESTION_COSINE: Final = 0.5
QUESTION_KEPT: Final = 0.35
QUESTION_SUPPORT: Final = 0.7
IMPORTANCE_COSINE: Final = 0.2
IMPORTANCE_SUPPORT: Final = 0.5
IMPORTANCE_OWN: Final = 0.1
PHRASE: Final = 6
COPY: Final = 8
MOST_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Rewording:
    """What passed of an item; None and empty for what did not, or was not there."""

    question: str | None = None
    importance: str | None = None
    cites: tuple[str, ...] = ()
    mitigations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What passed of an answer.

    Attributes:
        order: ids of asked areas, the most important first, each once.
        add: ids of offered areas, each once; not more than there are places.
        rewordings: by area id.
        problems: a sentence for each part that did not pass.
        parts: how many texts and additions the answer held.
        unreadable: the answer as a whole has a wrong form.
    """

    order: tuple[str, ...]
    add: tuple[str, ...]
    rewordings: Mapping[str, Rewording]
    problems: tuple[str, ...]
    parts: int
    unreadable: bool

    @property
    def passed(self) -> int:
        """How many of the parts passed."""
        texts = sum((r.question is not None) + (r.importance is not None) for r in self.rewordings.values())
        return texts + len(self.add)


class Grounding:
    """Checks the answers of one domain for one system. It is made once per call, and remembers what it made of the last answer.

    Args:
        reword: the questions that the model may word.
        rank: the questions that it only puts in order.
        places: what it may add.
        facts: the system.
        embed: for closeness in meaning.
    """

    def __init__(
        self, reword: Sequence[Question], rank: Sequence[Question], places: Places, facts: SystemFacts, embed: Embed
    ) -> None:
        self._offered = {question.id for question in places.offered}
        self._limit = places.limit
        self._asked = {question.id for question in (*reword, *rank)}
        self._questions = {question.id: question for question in (*reword, *places.offered)}
        self._embed = embed
        self._rows = {area: row for row, area in enumerate(self._questions)}
        known = list(self._questions.values())
        codes = (facts.industry or "", *sorted(facts.jurisdictions | facts.tech | facts.all_data))
        self._system = " ".join((clean(facts.description, LONGEST_DESCRIPTION), *codes))
        system = Told.by(self._system)
        self._told = {question.id: Told.by(of_area(question)) | system for question in known}
        self._originals = embed([question.text for question in known]) if known else None
        self._subjects = subjects(known, self._system, embed) if known else None
        texts = [of_incident(match.incident) for question in known for match in sent(question)]
        self._ordinary = ordinary([self._system, *texts, *(of_area(question) for question in (*known, *rank))])
        self._phrases = _phrases(INSTRUCTIONS)
        self._copied = _phrases(self._system, COPY)
        self.ordered = gives_orders(facts.description) or any(
            gives_orders(f"{match.incident.title}\n{match.incident.text}") for question in known for match in sent(question)
        )
        """Whether a text that the model reads gives orders. Then nothing is added on its word."""
        self._last: tuple[tuple[Suggestions, Sequence[str]], Examined] | None = None

    def check(self, value: Any) -> Sequence[str]:  # noqa: ANN401 - decoded JSON
        """What is worth a second call: an answer of a wrong form, or one of which more than half does not pass."""
        examined = self.examine(value)
        worth = examined.unreadable or 2 * examined.passed < examined.parts
        return examined.problems[:MOST_PROBLEMS] if worth else ()

    def examine(self, value: object) -> Examined:
        """Look at every part of an answer, whatever it is. It is asked for twice: will it do, and what is to be taken of it."""
        parsed = parse(value)  # bounded, and of exact types: the value itself may be of any size and depth
        if self._last is None or self._last[0] != parsed:
            self._last = parsed, self._examined(*parsed)
        return self._last[1]

    def _examined(self, suggested: Suggestions, form: Sequence[str]) -> Examined:
        problems = list(form)
        order = tuple(dict.fromkeys(area for area in suggested.order if area in self._asked))
        if len(order) < len(suggested.order):
            problems.append("order names an area twice, or one that is not in reword or rank.")
        add = self._additions(suggested.add, problems)
        counts = Counter(item.area for item in suggested.items)
        items = []
        for place, item in enumerate(suggested.items):
            if item.area not in self._questions:
                problems.append(f"items[{place}] names an area that is not in reword or offered.")
            elif counts[item.area] > 1:
                problems.append(f"items[{place}]: {item.area} occurs {counts[item.area]} times; it must occur once.")
            else:
                items.append(item)
        rewordings = dict(zip((item.area for item in items), self._texts(items, problems), strict=True))
        parts = 2 * len(suggested.items) + len(suggested.add)
        return Examined(order, add, rewordings, tuple(problems), parts, bool(form))

    def _additions(self, suggested: Sequence[str], problems: list[str]) -> tuple[str, ...]:
        add = tuple(dict.fromkeys(area for area in suggested if area in self._offered))
        if len(add) < len(suggested):
            problems.append("add names an area twice, or one that is not in offered.")
        if add and self.ordered:
            problems.append("add must be empty: a text of the document gives orders.")
            return ()
        if len(add) > self._limit:
            problems.append(f"add names more than {self._limit} areas.")
        return add[: self._limit]

    def _texts(self, items: Sequence[Item], problems: list[str]) -> list[Rewording]:
        """What passes of items whose area is known and occurs once; texts that pass by themselves are embedded together."""
        complaints: dict[tuple[int, wording.Kind], list[str]] = {}
        for place, item in enumerate(items):
            complaints[place, "question"] = list(self._about_question(item))
            complaints[place, "importance"] = list(self._about_importance(item))
        good = [key for key, found in complaints.items() if not found]
        texts = {key: (items[key[0]].question if key[1] == "question" else items[key[0]].importance) or "" for key in good}
        if good:
            for key, vector in zip(good, self._embed([texts[key] for key in good]), strict=True):
                complaints[key] += self._about_meaning(items[key[0]].area, key[1], vector)
        for (place, kind), found in complaints.items():
            problems += [f"{items[place].area}: the {kind} {complaint}." for complaint in found]
        return [self._rewording(item, place, texts, complaints) for place, item in enumerate(items)]

    def _rewording(
        self,
        item: Item,
        place: int,
        texts: Mapping[tuple[int, wording.Kind], str],
        complaints: Mapping[tuple[int, wording.Kind], list[str]],
    ) -> Rewording:
        question = None if complaints[place, "question"] else texts[place, "question"]
        importance = None if complaints[place, "importance"] else texts[place, "importance"]
        every = range(len(self._questions[item.area].mitigations))
        positions = tuple(dict.fromkeys(position for position in item.mitigations if position in every))
        return Rewording(question, importance, tuple(dict.fromkeys(item.cites)) if importance else (), positions)

    def _about_question(self, item: Item) -> Iterator[str]:
        area = self._questions[item.area]
        if item.question is None:
            yield "must be a text"
            return
        yield from wording.complaints(item.question, area.text, "question")
        denied, was = denials(item.question), denials(area.text)
        if bool(denied) != bool(was) or any(all(one.isdisjoint(other) for other in was) for one in denied):
            yield "must deny what the area's own question denies, and nothing else"
        yield from self._about_facts(item.question, self._told[area.id], QUESTION_SUPPORT, of_area(area))
        own = content(area.text)
        if len(own & content(item.question)) < QUESTION_KEPT * len(own):
            yield "must keep more of the words of the area's own question"
        if _phrases(item.question, COPY) & self._copied:
            yield "must not copy a sentence of the description"

    def _about_importance(self, item: Item) -> Iterator[str]:
        area = self._questions[item.area]
        if item.importance is None:
            yield "must be a text"
            return
        seen = {match.incident.id: match.incident for match in sent(area)}
        if not seen.keys() >= set(item.cites):
            yield "cites an incident that is not listed under the area"
            return
        yield from wording.complaints(item.importance, of_area(area), "importance")
        cited = " ".join(of_incident(seen[key]) for key in item.cites)
        clauses = " ".join(f"{regulation.name} {regulation.clause}" for regulation in area.regulations)
        told = self._told[area.id] | Told.by(cited, clauses)
        yield from self._about_facts(item.importance, told, IMPORTANCE_SUPPORT, of_area(area))
        said = content(item.importance)
        if len(said & content(f"{of_area(area)} {cited}")) < IMPORTANCE_OWN * len(said):
            yield "must speak of the area as well as of the system"
        if _phrases(item.importance, COPY) & (self._copied | _phrases(cited, COPY)):
            yield "must not copy a sentence of the description or of an incident"

    def _about_facts(self, text: str, told: Told, support: float, catalogue: str) -> Iterator[str]:
        if numbers(text) - told.numbers:
            yield "has a number that neither the description nor the entry of the area has"
        if names(text, self._ordinary) - told.names:
            yield "has a name that neither the description nor the entry of the area has"
        own = content(text)
        if len(own & told.content) < support * len(own):
            yield "must use more of the words of the description and of the entry of the area"
        if _phrases(text) & self._phrases - _phrases(catalogue):
            yield "must not repeat the instructions"

    def _about_meaning(self, area: str, kind: wording.Kind, vector: Vectors) -> list[str]:
        row = self._rows[area]
        if self._originals is None or self._subjects is None:
            return []
        if kind == "importance":
            return [] if self._subjects[row] @ vector >= IMPORTANCE_COSINE else ["must be about the area in this system"]
        likeness = self._originals @ vector
        if likeness[row] < QUESTION_COSINE or int(np.argmax(likeness)) != row:
            return ["must stay closer in meaning to the area's own question"]
        return []


def _phrases(text: str, length: int = PHRASE) -> frozenset[tuple[str, ...]]:
    """All runs of so many words."""
    found = wording.words(text.lower())
    return frozenset(tuple(found[start : start + length]) for start in range(len(found) - length + 1))


def subjects(questions: Sequence[Question], system: str, embed: Embed) -> Vectors:
    """What a reason is about: half the area, half the system, however long the description; unit vectors, one per question."""
    areas = embed([f"{question.label}. {question.text} {question.description} {question.good}" for question in questions])
    mixed = areas + embed([system])
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    found: Vectors = (mixed / np.where(norms > 0, norms, 1)).astype(np.float32)
    return found
