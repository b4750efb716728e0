"""The form of a text that may stand in a review: a question that can be answered, or a sentence that says why it is asked.

Each complaint completes "the question …" or "the sentence …" and says what would do.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Literal

from sengol_api.review.assist.orders import gives_orders

Kind = Literal["question", "importance"]

SHORTEST: Final = 30
LONGEST: Final = 400
LEAST_FUNCTION_WORDS: Final = 0.2
REMEMBERED: Final = 32
"""Texts whose words are remembered: while an answer is examined, those of each of its texts and areas are asked for many times.

More of them would make it no quicker, and a long text comes with an object for each of its words."""
_PUNCTUATION: Final = frozenset(" .,;:?!'’‘\"“”()-–—/%&+€$£§…")
_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_END: Final = re.compile(r"[.!?…][\"”’')]*\s+(?=\S)")
_FIRST_OR_SECOND_PERSON: Final = re.compile(r"\b(?:i|my|me|mine|myself|you|your|yours|yourself|sorry)\b", re.IGNORECASE)
_MODEL_TALK: Final = re.compile(r"\bas an? (?:ai|assistant|language|large language|helpful)\b", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"\bwww\b|\bhttps?\b|://|\b[\w-]{2,}\.(?!js\b)[a-z]{2,}", re.IGNORECASE)
_EXCUSE: Final = re.compile(
    r"\b(?:acceptable|unnecessary|optional|harmless|negligible|irrelevant|waived?|certified|guaranteed?|trustworthy"
    r"|not (?:needed|necessary|required|applicable|relevant)|need not|no (?:risk|need)"
    r"|already (?:addressed|solved|covered|safe|secure|met)"
    r"|(?:fully|completely|perfectly|entirely) (?:safe|secure|compliant))\b",
    re.IGNORECASE,
)
_REVERSAL: Final = re.compile(r"\b(?:switch\w*|turn\w*) off\b|\b(?:disabl|circumvent|bypass|evad|weaken)\w*", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"\b(?:what|which)\b[^,?]{0,60}\b(?:passwords?|passphrases?|keys?|tokens?|secrets?|pins?)\b", re.IGNORECASE
)
NEGATION: Final = re.compile(r"\b(?:no|not|never|none|nothing|nobody|without|neither|nor|cannot)\b|n['’]t\b", re.IGNORECASE)
_REQUEST: Final = frozenset(
    "tell describe explain list give show please provide write name state imagine consider note say confirm ensure".split()
)
_ASKING: Final = frozenset(
    "is are was were do does did can could will would shall should must may might has have had "
    "what which who whom whose when where why how whether".split()
)
FUNCTION_WORDS: Final = _ASKING | frozenset(
    "a an the of to in on at by for from with without within into out over under between before after during while once if so that "
    "than then as be been being and or but nor not no any all every each there here it its they them their this these those one "
    "other others only also such both same own more most less because since although though".split()
)


@lru_cache(REMEMBERED)
def words(text: str) -> tuple[str, ...]:
    """The words of a text as they stand; apostrophes and hyphens part them."""
    return tuple(_WORD.findall(text))


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part for part in _SENTENCE_END.split(text) if part]


def complaints(text: str, original: str, kind: Kind) -> Iterator[str]:
    """What is wrong with a text as it stands, whatever it is about.

    Args:
        text: what the model wrote.
        original: the catalogue's own words on the same area; what stands there is allowed.
        kind: what it is to be.
    """
    if not SHORTEST <= len(text) <= LONGEST:
        yield f"must have {SHORTEST} to {LONGEST} characters"
        return
    if not all(map(_allowed, set(text))):
        yield "may hold Latin letters, digits and ordinary punctuation only: no markup, code, other script or invisible character"
        return
    if len(sentences(text)) > 2:
        yield "must be one sentence or two"
    yield from _question(text) if kind == "question" else _sentence(text)
    if len([word for word in words(text.lower()) if word in FUNCTION_WORDS]) < LEAST_FUNCTION_WORDS * len(words(text)):
        yield "must be plain English, as the catalogue is"
    for found, complaint in _UNWANTED:
        if found(text) and not found(original):
            yield complaint


def _question(text: str) -> Iterator[str]:
    if not text.endswith("?") or text.count("?") != 1:
        yield "must hold one question mark, at its end"
        return
    first = words(text.lower())[:1]
    *parts, last = re.split(r"[,;:]\s*", sentences(text)[-1].lower())
    if len(words(last)) > 3:  # a mere "are they?" at the end makes no question of a statement
        parts.append(last)
    if not _REQUEST.isdisjoint(first) or not any(_asks(part) for part in parts):
        yield "must be a question that can be answered, beginning with a word such as Is, Does, Can, How or What"


def _asks(part: str) -> bool:
    """Whether a part of a sentence begins to ask, if need be behind "and", "or" and "but"."""
    return next((word for word in words(part) if word not in {"and", "or", "but"}), "") in _ASKING


def _sentence(text: str) -> Iterator[str]:
    if not text.endswith(".") or "?" in text:
        yield "must be a statement that ends with a full stop"


def _allowed(ch: str) -> bool:
    if ch in _PUNCTUATION or "0" <= ch <= "9":
        return True
    return ch.isalpha() and unicodedata.name(ch, "").startswith("LATIN ")


def _code(text: str) -> bool:
    return any(len(word) > 30 or (len(word) >= 12 and _mixed(word)) for word in words(text))


def _mixed(word: str) -> bool:
    return any(ch.isdigit() for ch in word) and any(ch.isalpha() for ch in word)


_UNWANTED: Final[tuple[tuple[Callable[[str], object], str], ...]] = (
    (_ADDRESS.search, "must not hold a link or an address"),
    (_code, "must not hold code or a token"),
    (_FIRST_OR_SECOND_PERSON.search, "must neither address anybody nor speak of its writer"),
    (_MODEL_TALK.search, "must not speak of its writer"),
    (gives_orders, "must not give orders"),
    (_REVERSAL.search, "must not turn the area's own question round"),
    (_SECRET.search, "must not ask for a secret"),
    (_EXCUSE.search, "must not say that something is good, safe or not needed"),
)
