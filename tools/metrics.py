"""The tables of docs/operations/metrics.md, made from the catalogue. Run by ``make docs``; a test fails when the page differs.

The page marks where a table of the metrics of some modules stands, and this writes between the marks::

    <!-- metrics: http, work -->
    <!-- end -->
"""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sengol_api.observability.metrics.model import CATALOGUE, Family

PAGE = Path(__file__).parents[1] / "docs" / "operations" / "metrics.md"
SOURCE = Path(__file__).parents[1] / "src" / "sengol_api" / "observability"
_MARKED = re.compile(r"(<!-- metrics: ([\w./, ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ACROSS = {"sum": "", "max": "; of several workers the highest", "min": "; of several workers the lowest"}


def families(modules: Iterable[str]) -> Iterator[Family]:
    """The metrics that stand in some modules, in the order of their text."""
    for module in modules:
        importlib.import_module(f"sengol_api.observability.{module.replace('/', '.')}")
        text = (SOURCE / f"{module}.py").read_text(encoding="utf-8")
        for name in re.findall(r'"((?:sengol|process)_[a-z0-9_]+)"', text):
            if name in CATALOGUE:
                yield CATALOGUE[name]


def table(found: Iterable[Family]) -> Iterator[str]:
    """A row for each metric."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for family in found:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        meaning = family.help.rstrip(".") + _ACROSS[family.across] + "."
        yield f"| `{family.name}` | {family.kind} | {labels} | {meaning} |"


def written(page: str) -> str:
    """The page with its tables made anew."""

    def make(found: re.Match[str]) -> str:
        rows = "\n".join(table(families(found[2].replace(" ", "").split(","))))
        return f"{found[1]}\n{rows}\n\n{found[3]}"

    return _MARKED.sub(make, page)


def main() -> int:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
