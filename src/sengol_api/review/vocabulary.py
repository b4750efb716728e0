"""The words by which people name industries, data, technology and places, and the code that each stands for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Group = Literal["industries", "dataTypes", "tech", "jurisdictions"]

_NO_WORD = re.compile(r"[^\w]+")
_LIST = re.compile(r"[,;]")
_SEPARATORS = re.compile(r"[\s_\-/]+")


_DENIED = re.compile(
    r"(?:\b(?:no|not|never|without|neither|nor)|n['’]t)\s+(?!only\b)[\w'’/-]+(?:\s+(?!(?:and|but|that|which|who)\b)[\w'’/-]+){0,3}",
    re.IGNORECASE,
)


def affirmed(prose: str) -> str:
    """A text without what it denies: a "no", "not" or "without" takes the next four words of its clause along.

    "It stores no card numbers" must not bring questions, or a law, on card numbers. Taking a word too many away costs less: what
    matters is declared.
    """
    return _DENIED.sub(";", prose)


def fold(text: str) -> str:
    """Lower case, one space for every run of separators: ``Health-Care`` and ``health care`` are the same word."""
    return _SEPARATORS.sub(" ", text).strip().casefold()


def iso_country(code: str) -> str:
    """The ISO 3166 code of a jurisdiction that is a country; ours is the same but for the United Kingdom's."""
    return "GB" if code == "UK" else code


def says(prose: str, phrase: str) -> bool:
    """Whether a text holds a phrase as whole words."""
    return f" {fold(phrase)} " in f" {_NO_WORD.sub(' ', fold(prose))} "


@dataclass(frozen=True, slots=True)
class Term:
    """A code with the names that people use for it; ``phrase`` is how it stands in a sentence, where the label would not do."""

    code: str
    label: str
    aliases: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    phrase: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Terms by group.

    ``aliases`` are understood wherever they stand; ``ambiguous`` ones (``it``, ``us``) only as a value of their own,
    never inside prose. ``within`` names the wider codes that a code belongs to (Germany is within the EU).
    """

    terms: Mapping[Group, tuple[Term, ...]]
    _codes: dict[tuple[str, str], Term] = field(init=False, repr=False, default_factory=dict)
    _patterns: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for group, terms in self.terms.items():
            patterns = []
            for term in terms:
                names = {fold(n) for n in (term.code, term.label, *term.aliases)}
                for name in names | {fold(n) for n in term.ambiguous}:
                    self._codes[group, name] = term
                in_prose = sorted(names - {fold(n) for n in term.ambiguous}, key=lambda n: (-len(n), n))
                alternatives = "|".join(re.escape(name).replace(r"\ ", r"[\s_\-/]+") for name in in_prose)
                patterns.append((re.compile(rf"(?<!\w)(?:{alternatives})s?(?!\w)", re.IGNORECASE), term.code))
            self._patterns[group] = tuple(patterns)

    def resolve(self, group: Group, name: str) -> Term | None:
        """The term that a value names, by code, label or alias; None when we do not know it."""
        return self._codes.get((group, fold(name)))

    def resolve_all(self, group: Group, names: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        """Codes of the values, wider codes included, and the values that mean nothing to us, sorted.

        A value that we do not know as it is may be several with commas between: "US, EU".
        """
        codes: set[str] = set()
        unknown: set[str] = set()
        for name in names:
            for part in [name] if self.resolve(group, name) else filter(None, map(str.strip, _LIST.split(name))):
                if term := self.resolve(group, part):
                    codes.update((term.code, *term.within))
                else:
                    unknown.add(part)
        return frozenset(codes), tuple(sorted(unknown))

    def mentioned(self, group: Group, prose: str) -> frozenset[str]:
        """Codes whose names stand in a text as whole words: "ai" is not found inside "email"."""
        return frozenset(code for pattern, code in self._patterns[group] if pattern.search(prose))

    def label(self, group: Group, code: str) -> str:
        """The name to show for a code."""
        term = self._codes.get((group, fold(code)))
        return term.label if term else code

    def phrase(self, group: Group, code: str) -> str:
        """The words for a code inside a sentence."""
        term = self._codes.get((group, fold(code)))
        return (term.phrase or term.label) if term else code
