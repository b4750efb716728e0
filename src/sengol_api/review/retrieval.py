"""Finding each question's own incidents: rankings joined, structured facts added, the same few not shown everywhere."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Final

from sengol_api.review.area import Area
from sengol_api.review.corpus import Corpus
from sengol_api.review.facts import SystemFacts
from sengol_api.review.incident import Incident
from sengol_api.review.ports import Hit
from sengol_api.review.space import Nearness

_WORD: Final = re.compile(r"[^\W_]{3,}")
_FILLERS: Final = frozenset("and for from has its over the that their via was with".split())
RRF_K: Final = 60
SHOWN: Final = 5
SHOWN_TIMES: Final = 2
MATCHES: Final = 40
_TOP: Final = 1 / (RRF_K + 1)
LABEL_BONUS: Final = 0.5 * _TOP
ATTACK_BONUS: Final = 0.5 * _TOP
INDUSTRY_BONUS: Final = 0.1 * _TOP
UNTOLD_PENALTY: Final = 0.25 * _TOP
UNTOLD_BELOW: Final = 60
STUDY_PENALTY: Final = 0.5 * _TOP
SAME_WORDS: Final = 3
SAME_SHARE: Final = 0.4
MEASURED: Final = Nearness(strong=0.45, weak=0.25)
"""For the local embedder: decision 0004 has the measurement."""


@dataclass(frozen=True, slots=True)
class Match:
    """An incident that a question stands on, its cosine similarity (0-1), and why it was matched."""

    incident: Incident
    similarity: float
    score: float
    reasons: tuple[str, ...]


def fuse(rankings: Iterable[tuple[Sequence[Hit], float]]) -> dict[str, float]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009) of weighted rankings.

    Scores of different searches cannot be compared, ranks can: an incident gets ``weight / (60 + rank)`` of each.
    """
    scores: dict[str, float] = {}
    for ranking, weight in rankings:
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + weight / (RRF_K + rank)
    return scores


def _spoken(area: Area, label: str) -> str:
    """A label in words: "prompt injection (LLM01)", "no mfa"."""
    name = area.label_names.get(label)
    return f"{name} ({label})" if name else label.replace("-", " ")


def _tie(area: Area, incident: Incident) -> tuple[float, tuple[str, ...]]:
    """What people said of the incident that ties it to the area, and how much that counts.

    The words are interned: a thousand kept answers share them.
    """
    reasons = []
    bonus = 0.0
    if common := sorted({label for label in area.labels if label in incident.labels or label in incident.tags}):
        bonus += LABEL_BONUS
        reasons.append(intern("labelled " + ", ".join(_spoken(area, label) for label in common[:2])))
    if incident.attack_type and incident.attack_type in area.attack_types:
        bonus += ATTACK_BONUS
        reasons.append(intern("same kind of attack: " + incident.attack_type.replace("-", " ")))
    return bonus, tuple(reasons)


def _standing(facts: SystemFacts, incident: Incident) -> tuple[float, tuple[str, ...]]:
    """What decides among incidents that are equally to the point."""
    bonus = 0.0
    reasons: tuple[str, ...] = ()
    if facts.industry is not None and incident.industry == facts.industry:
        bonus += INDUSTRY_BONUS
        reasons = (f"same industry: {facts.industry}",)
    if not incident.organization and len(incident.text) < UNTOLD_BELOW:
        bonus -= UNTOLD_PENALTY  # a headline without a story teaches less than a told one
    if incident.kind == "study":
        bonus -= STUDY_PENALTY
        reasons += ("shown by a study, not by an event",)
    return bonus, reasons


def match(
    area: Area,
    facts: SystemFacts,
    corpus: Corpus,
    semantic: Sequence[Hit],
    lexical: Sequence[Hit],
    similarity: Sequence[float],
    nearness: Nearness = MEASURED,
) -> list[Match]:
    """The incidents that an area stands on for a system, best first.

    Two signs must agree. The incident is among the first 40 by the area's words, and either its text is close in meaning
    (a strong cosine), or it is fairly close (a weak one) and shares a label or a kind of attack with the area. Decision
    0004 has the measurement: of the matches by one sign a third were to the point, of those by two about two thirds.

    Args:
        area: the area.
        facts: the system; its industry speaks for an incident.
        corpus: where the ids of the hits are looked up.
        semantic: ranking by vectors.
        lexical: ranking by words.
        similarity: cosine of the question with each incident of the ranking by words.
        nearness: which cosines are strong and weak in the space that they were taken in.
    """
    fused = fuse([(semantic, 1.0), (lexical, 1.0)])
    found = []
    for (key, _), cosine in zip(lexical[:MATCHES], similarity[:MATCHES], strict=True):
        incident = corpus.get(key) if cosine >= nearness.weak else None
        if incident is None:
            continue
        close = min(1.0, max(0.0, cosine))
        tie, ties = _tie(area, incident)
        if not ties and close < nearness.strong:
            continue
        standing, also = _standing(facts, incident)
        near = ("its text is close to this risk",) if close >= nearness.strong else ()
        found.append(Match(incident, close, fused[key] + tie + standing, (*ties, *also, *near)))
    found.sort(key=lambda m: (-m.score, m.incident.id))
    return found


def same_event(one: Incident, other: Incident) -> bool:
    """Whether two entries seem to tell of one event: trackers of news list many events twice, in slightly other words.

    They do when their titles are the same, or have at least three telling words and two of five in common, and the years agree.
    """
    if one.title.casefold() == other.title.casefold():
        return True
    if one.year != other.year and one.year is not None and other.year is not None:
        return False
    words, others = _telling_words(one.title), _telling_words(other.title)
    common = len(words & others)
    return common >= SAME_WORDS and common >= SAME_SHARE * len(words | others)


@lru_cache(maxsize=2_000)  # about 1 kB each
def _telling_words(title: str) -> frozenset[str]:
    return frozenset(word for word in _WORD.findall(title.casefold()) if word not in _FILLERS)


def distribute(matches: Sequence[Sequence[Match]], beside: Sequence[Sequence[Match]] = ()) -> list[list[Match]]:
    """Choose what each question shows: its best, but none in more than two questions and no event twice in one.

    Questions take turns, one incident a turn, so that no question takes all the good ones.

    Args:
        matches: of each question, best first.
        beside: what other questions show already; it counts, and stays as it is.
    """
    shown: list[list[Match]] = [[] for _ in matches]
    used = Counter(match.incident.id for shown_there in beside for match in shown_there)
    cursors = [iter(found) for found in matches]
    for _ in range(SHOWN):
        for own, cursor in zip(shown, cursors, strict=True):
            for candidate in cursor:
                known = any(same_event(candidate.incident, match.incident) for match in own)
                if used[candidate.incident.id] < SHOWN_TIMES and not known:
                    used[candidate.incident.id] += 1
                    own.append(candidate)
                    break
    return shown


def mean_jaccard(sets: Sequence[frozenset[str]]) -> float:
    """Mean overlap of all pairs of sets: 0 when no two questions share an incident, 1 when all show the same."""
    pairs = [(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :] if a | b]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs) if pairs else 0.0
