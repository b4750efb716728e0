"""What the data say about an area: the numbers, names and words that a text about it may draw on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sengol_api.review.assist.wording import FUNCTION_WORDS, NEGATION, sentences, words
from sengol_api.review.incident import Incident
from sengol_api.review.question import Question

STEM: Final = 6
_NUMBER: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_GROUPING: Final = re.compile(r",(?=[0-9]{3}(?![0-9]))")
_ONES: Final = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_NUMBER_WORDS: Final[dict[str, str]] = {
    **{word: str(number) for number, word in enumerate(_ONES.split(), start=2)},
    **{
        word: str(10 * number)
        for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
    },
    **{word: word for word in "dozen hundred thousand million billion trillion half quarter percent".split()},
}


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text, in digits and in words, in one spelling each: 1,000 and 1000 are the same; "one" is no number here."""
    digits = (_GROUPING.sub("", found).lstrip("0") or "0" for found in _NUMBER.findall(text))
    spelled = (_NUMBER_WORDS.get(_singular(word)) for word in set(words(text.lower())))
    return frozenset([*digits, *(word for word in spelled if word), *(["percent"] if "%" in text else [])])


def names(text: str, known: frozenset[str]) -> frozenset[str]:
    """The names in a text, in lower case: words with a capital letter or with digits among letters.

    The first word of a sentence has a capital anyway: it is a name when it is not among the ``known`` ordinary words.
    """
    found = set()
    for sentence in sentences(text):
        for place, word in enumerate(words(sentence)):
            lower = word.lower()
            inner = word[1:] != lower[1:] or (not word.isdigit() and any(ch.isdigit() for ch in word))
            if inner or (word[0].isupper() and (place > 0 or not known & {lower, _singular(lower)})):
                found.add(_singular(lower))
    return frozenset(found)


def content(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning."""
    return frozenset(_stems(text))


def denials(text: str) -> list[frozenset[str]]:
    """What a text denies: for each "no", "not" or "never", the stems of the two words before it and the four behind it."""
    return [frozenset([*_stems(text[: match.start()])[-2:], *_stems(text[match.end() :])[:4]]) for match in NEGATION.finditer(text)]


def _stems(text: str) -> list[str]:
    return [word[:STEM] for word in words(text.lower()) if len(word) >= 4 and word not in FUNCTION_WORDS]


def ordinary(texts: Iterable[str]) -> frozenset[str]:
    """The words that some text writes in lower case, so that they are no names."""
    return FUNCTION_WORDS | {_singular(word) for word in {word for text in texts for word in words(text)} if word.islower()}


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def of_area(question: Question) -> str:
    """All that the catalogue says on a question."""
    parts = (question.label, question.category, question.text, question.description, question.good)
    return " ".join((*parts, *question.examples, *question.mitigations))


def of_incident(incident: Incident) -> str:
    """What an incident tells, with its figures; of its date the year."""
    figures = (incident.year, incident.cost, incident.records_affected, incident.downtime_hours)
    named = (incident.title, incident.text, incident.organization or "", incident.industry or "", incident.country or "")
    return " ".join((*named, *(f"{figure:.15g}" for figure in figures if figure is not None)))


@dataclass(frozen=True, slots=True)
class Told:
    """What may be drawn on."""

    numbers: frozenset[str]
    names: frozenset[str]
    content: frozenset[str]

    @classmethod
    def by(cls, *texts: str) -> "Told":
        """What texts tell together."""
        joined = " ".join(texts)
        return cls(numbers(joined), frozenset(map(_singular, set(words(joined.lower())))), content(joined))

    def __or__(self, other: "Told") -> "Told":
        """What both tell together."""
        return Told(self.numbers | other.numbers, self.names | other.names, self.content | other.content)
