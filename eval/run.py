"""Quality of the search and of the questions' evidence, against the judgements of this folder.

``queries.jsonl`` holds searches, ``qrels.tsv`` grades of incidents for them (2: what is asked, 1: related and useful, 0: not),
``systems.json`` systems with the questions that were sampled (``judged`` for tuning, ``held_out`` afterwards), ``areas.tsv``
whether an incident is to the point of a question.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import random
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from sengol_api import bootstrap
from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.sql.incidents import SqlIncidentStore, Stored
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.api.services import Services
from sengol_api.observability.progress import progress_bar
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.incident import IncidentFilter
from sengol_api.review.ports import Hit
from sengol_api.review.question import Question
from sengol_api.review.retrieval import SHOWN, fuse, mean_jaccard
from sengol_api.review.search import DEPTH
from sengol_api.settings import Settings, load

FOLDER: Final = Path(__file__).parent
TOP: Final = 10
ENOUGH: Final = 3
RESAMPLES: Final = 5000
SEED: Final = 20261124

Grades = Mapping[str, Mapping[str, int]]
"""By query or question, then by incident."""
Rankings = list[list[str]]
"""One list of incident ids per query, best first."""


def read_grades(name: str) -> Grades:
    """The judgements of a file of three columns."""
    grades: dict[str, dict[str, int]] = {}
    for line in (FOLDER / name).read_text().splitlines():
        key, incident, grade = line.split("\t")
        grades.setdefault(key, {})[incident] = int(grade)
    return grades


def ndcg(ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain of the first ten, gain ``2**grade - 1`` (Burges et al., 2005)."""

    def gain(found: Sequence[int]) -> float:
        return sum((2.0**grade - 1) / math.log2(place + 1) for place, grade in enumerate(found[:TOP], start=1))

    ideal = gain(sorted(grades.values(), reverse=True))
    return gain([grades.get(key, 0) for key in ranking]) / ideal if ideal else 0.0


def recall(ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """The part of the relevant incidents (grade 1 or 2) in the first ten; of more than ten relevant, ten would be all."""
    relevant = {key for key, grade in grades.items() if grade}
    return len(relevant.intersection(ranking[:TOP])) / min(TOP, len(relevant)) if relevant else 0.0


def interval(values: Sequence[float]) -> str:
    """The mean and its 95 % bootstrap interval over queries or questions."""
    if not values:
        return "-"
    drawn = np.random.default_rng(SEED).choice(np.array(values), (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def names(rankings: Sequence[Sequence[Hit]]) -> Rankings:
    """The ids of hits."""
    return [[hit.id for hit in ranking] for ranking in rankings]


def best(scores: Mapping[str, float]) -> list[str]:
    """The ids of the highest scores; ties by id."""
    return sorted(scores, key=lambda key: (-scores[key], key))[:TOP]


async def searches(texts: Sequence[str], services: Services, stored: Stored) -> dict[str, Rankings]:
    """What each way of searching finds."""
    ids = [incident.id for incident in stored.incidents]
    keywords = Bm25Index(ids, [incident.searchable for incident in stored.incidents])
    vectors = await WordLlamaEmbedder().embed(texts)
    semantic = await ExactIndex(ids, stored.vectors).search(vectors, DEPTH)
    lexical = await keywords.search(texts, DEPTH)
    product = await services.search(texts, condition=IncidentFilter(), limit=TOP)
    dice = random.Random(SEED)
    return {
        "random": [dice.sample(ids, TOP) for _ in texts],
        "BM25": names(lexical),
        "vectors": names(semantic),
        "fused": [best(fuse([(near, 1.0), (worded, 1.0)])) for near, worded in zip(semantic, lexical, strict=True)],
        "fused, defects of products behind (the product)": [[hit.incident.id for hit in found] for found in product.answers],
    }


def report_search(queries: Sequence[Mapping[str, str]], found: Mapping[str, Rankings], grades: Grades) -> None:
    """Print the table of the search: all queries, and the half that nothing was tuned on."""
    print(f"\nSearch, {len(queries)} queries. In brackets: 95 % bootstrap interval over queries. An unjudged incident counts as 0.")
    print("| system | nDCG@10 | nDCG@10, even ids (held out) | Recall@10 | unjudged in the top 10 |\n|---|---|---|---|---|")
    for system, rankings in found.items():
        rows = [(query["id"], ranking[:TOP], grades[query["id"]]) for query, ranking in zip(queries, rankings, strict=True)]
        gains = [ndcg(ranking, judged) for _, ranking, judged in rows]
        held = [gain for gain, (key, _, _) in zip(gains, rows, strict=True) if int(key[1:]) % 2 == 0]
        unjudged = np.mean([sum(key not in judged for key in ranking) for _, ranking, judged in rows])
        recalled = interval([recall(ranking, judged) for _, ranking, judged in rows])
        print(f"| {system} | {interval(gains)} | {interval(held)} | {recalled} | {unjudged:.2f} |")


def request_of(system: Mapping[str, Any]) -> ReviewRequest:
    """The request of a described system."""
    fields = {key: value for key, value in system.items() if key not in {"name", "judged", "held_out"}}
    return msgspec.convert(fields, ReviewRequest)


def report_evidence(title: str, chosen: Sequence[Question], grades: Grades) -> None:
    """Print a row on the incidents that questions show."""
    verdicts = [[grades[question.id].get(match.incident.id) for match in question.related] for question in chosen]
    judged = [[verdict for verdict in row if verdict is not None] for row in verdicts]
    enough = interval([float(sum(row) >= ENOUGH) for row in judged])
    precise = interval([sum(row) / len(row) for row in judged if row])
    shown = sum(map(len, verdicts))
    unjudged = shown - sum(map(len, judged))
    print(f"| {title} | {len(chosen)} | {enough} | {precise} | {shown / len(chosen):.2f} | {unjudged} of {shown} |")


def report_questions(systems: Sequence[Mapping[str, Any]], asked: Sequence[Sequence[Question]], grades: Grades) -> None:
    """Print the tables of the questions' evidence."""
    print(
        f"\nQuestions of {len(systems)} systems: are the incidents to the point? An unjudged incident is left out of the precision."
    )
    print(f"| sample | questions | with at least {ENOUGH} to the point | mean precision | shown (at most {SHOWN}) | unjudged |")
    print("|---|---|---|---|---|---|")
    for group in ("judged", "held_out"):
        chosen = [q for system, questions in zip(systems, asked, strict=True) for q in questions if q.id in system[group]]
        report_evidence(group.replace("_", " "), chosen, grades)
    print("\n| system | questions | mean pairwise Jaccard | matching incidents: least, quartiles, most | 20 or more |")
    print("|---|---|---|---|---|")
    for system, questions in zip(systems, asked, strict=True):
        sets = [frozenset(match.incident.id for match in question.related) for question in questions]
        counts = [question.evidence.incidents for question in questions]
        spread = ", ".join(f"{value:.0f}" for value in np.percentile(counts, [0, 25, 50, 75, 100]))
        many = np.mean([count >= 20 for count in counts])
        print(f"| {system['name']} | {len(questions)} | {mean_jaccard(sets):.4f} | {spread} | {many:.0%} |")


def report_machine(corpus: str) -> None:
    """Print what the numbers depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("sengol-api", "wordllama", "genai-incidents", "numpy"))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {packages}")
    print(f"corpus: {corpus}")


async def evaluate(settings: Settings) -> None:
    """Run everything."""
    with progress_bar() as bar:
        await bootstrap.prepare(settings, bar)
    database = bootstrap.open_database(settings)
    stored = await SqlIncidentStore(database, WordLlamaEmbedder(), now=bootstrap.utc_now).load()
    await database.close()
    queries = [json.loads(line) for line in (FOLDER / "queries.jsonl").read_text().splitlines()]
    systems = json.loads((FOLDER / "systems.json").read_text())
    async with bootstrap.open_services(settings) as services:
        found = await searches([query["text"] for query in queries], services, stored)
        asked = [(await services.generate(request_of(system))).generated.questions for system in systems]
    report_search(queries, found, read_grades("qrels.tsv"))
    report_questions(systems, asked, read_grades("areas.tsv"))
    report_machine(stored.version)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the quality of the search and of the questions' evidence.")
    parser.add_argument("--data-dir", help="folder of the database (default: a temporary one, made anew in about 20 seconds)")
    given = parser.parse_args().data_dir
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(evaluate(load({}, data_dir=given or folder)))


if __name__ == "__main__":
    main()
