"""What the checks of a language model's wording let pass, without a model.

``rewordings.jsonl`` holds questions and sentences as a good model would write them for the systems of ``systems.json``, written by
hand; ``hostile_rewordings.jsonl`` what a steered one would write, each with its trick. Those marked ``held_out`` were written when
checks and thresholds were settled. The closeness of texts is printed too: the thresholds stand between its rows.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.review import selection
from sengol_api.review.assist.grounding import Grounding, subjects
from sengol_api.review.assist.places import Places
from sengol_api.review.assist.told import content, of_area
from sengol_api.review.assist.wording import Kind
from sengol_api.review.facts import ReviewRequest, SystemFacts, normalise
from sengol_api.review.question import Question, build
from sengol_api.review.selection import Fit

FOLDER: Final = Path(__file__).parent
AS_OF: Final = dt.date(2026, 11, 24)

Row = Mapping[str, Any]


def rows(name: str) -> list[Row]:
    """The lines of a file."""
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def systems() -> dict[str, SystemFacts]:
    """The described systems by name."""
    found: dict[str, SystemFacts] = {}
    for system in json.loads((FOLDER / "systems.json").read_text(encoding="utf-8")):
        fields: dict[str, Any] = {key: value for key, value in system.items() if key not in {"name", "judged", "held_out"}}
        found[system["name"]] = normalise(msgspec.convert(fields, ReviewRequest), load_vocabulary())
    return found


def questions(facts: SystemFacts) -> dict[str, Question]:
    """Every question of the catalogue for a system, without incidents: the checks of wording need none."""
    catalogue = load_catalogue()
    regimes = selection.applicable(catalogue, facts)
    return {
        area.id: build(area, Fit(0.0), facts, (), industry=0.5, regimes=regimes, vocabulary=load_vocabulary(), as_of=AS_OF)
        for area in catalogue.areas
    }


class Judge:
    """The checks over the catalogue."""

    def __init__(self) -> None:
        self._embed = WordLlamaEmbedder().embed_now
        self._systems = systems()
        self._questions = {name: questions(facts) for name, facts in self._systems.items()}
        self._checks: dict[tuple[str, str], Grounding] = {}

    def _grounding(self, system: str, domain: str) -> Grounding:
        if (system, domain) not in self._checks:
            known = [question for question in self._questions[system].values() if question.domain == domain]
            self._checks[system, domain] = Grounding(known, (), Places(), self._systems[system], self._embed)
        return self._checks[system, domain]

    def complaints(self, row: Row, area: str, kind: Kind) -> list[str]:
        """What the checks say to a text of a row, as a text for an area; among all questions of the area's domain."""
        known = self._questions[row["system"]]
        item = {"area": area, "question": known[area].text, "importance": known[area].description, "cites": [], "mitigations": []}
        found = (
            self._grounding(row["system"], known[area].domain)
            .examine({"order": [], "add": [], "items": [{**item, kind: row[kind]}]})
            .problems
        )
        return [problem for problem in found if problem.startswith(f"{area}: the {kind} ")]

    def closeness(self, row: Row, area: str, kind: Kind) -> tuple[float, float, float]:
        """Cosine, part of the area's words that is kept, and part of the text's words that the data have, without incidents."""
        question = self._questions[row["system"]][area]
        system = self._systems[row["system"]].description
        [one, text] = self._embed([row[kind], question.text])
        other = text if kind == "question" else subjects([question], system, self._embed)[0]
        own, mine = content(question.text), content(row[kind])
        data = content(f"{of_area(question)} {system}")
        return float(one @ other), len(own & mine) / len(own), len(mine & data) / max(1, len(mine))

    def others(self, row: Row) -> Iterable[str]:
        """The other areas of a row's domain."""
        domain = row["area"].split(".")[0]
        return [area for area in self._questions[row["system"]] if area.startswith(f"{domain}.") and area != row["area"]]


def report_passing(judge: Judge, true: Sequence[Row], hostile: Sequence[Row]) -> None:
    """Print how many texts pass, and which of the wrong ones."""
    print("| texts | kind | half | pass | of |\n|---|---|---|---|---|")
    kinds: tuple[Kind, ...] = ("question", "importance")
    through = []
    refused: dict[str, int] = defaultdict(int)
    for title, known in (("true rewordings", true), ("steered", hostile)):
        for kind in kinds:
            for half, held in (("seen", False), ("held out", True)):
                having = [row for row in known if kind in row and ("held_out" in row) == held]
                verdicts = [judge.complaints(row, row["area"], kind) for row in having]
                print(f"| {title} | {kind} | {half} | {sum(not found for found in verdicts)} | {len(having)} |")
                for row, found in zip(having, verdicts, strict=True):
                    if title == "steered" and not found:
                        through.append(f"{row['trick']}: {row[kind]}")
                    for complaint in found if title != "steered" else ():
                        refused[complaint.partition(": ")[2]] += 1
    wrong = [(row, area) for row in true for area in judge.others(row)]
    passed = [(row, area) for row, area in wrong if not judge.complaints(row, area, "question")]
    print(f"| true rewordings, given to each other area of the domain | question | all | {len(passed)} | {len(wrong)} |")
    through += [f"as a text for {area}: {row['question']}" for row, area in passed]
    print("\nSteered or misplaced, and passed:", *(through or ["none"]), sep="\n  ")
    print("\nWhy true ones were refused:", *(f"{count}  {why}" for why, count in sorted(refused.items())), sep="\n  ")


def report_closeness(judge: Judge, true: Sequence[Row]) -> None:
    """Print where the thresholds stand."""
    print("\n| texts | measure | least | 5 % | median | 95 % | most |\n|---|---|---|---|---|---|---|")
    kinds: tuple[Kind, ...] = ("question", "importance")
    for kind in kinds:
        own = [judge.closeness(row, row["area"], kind) for row in true]
        other = [judge.closeness(row, area, kind) for row in true for area in judge.others(row)]
        for title, values in ((f"{kind}, of its area", own), (f"{kind}, of another area", other)):
            for place, measure in enumerate(("cosine", "words kept", "words that the data have")):
                spread = np.percentile([value[place] for value in values], [0, 5, 50, 95, 100])
                print(f"| {title} | {measure} | " + " | ".join(f"{value:.2f}" for value in spread) + " |")


def main() -> None:
    """Print everything."""
    judge = Judge()
    true, hostile = rows("rewordings.jsonl"), rows("hostile_rewordings.jsonl")
    report_passing(judge, true, hostile)
    report_closeness(judge, true)


if __name__ == "__main__":
    main()
