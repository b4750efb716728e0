"""Writes the table of settings in docs/configuration.md from the code: part of ``make docs``."""

import re
from pathlib import Path

from sengol_api.settings import Variable, variables

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
_TABLE = re.compile(r"(?:^\| `[A-Z].*\n)+", re.MULTILINE)


def row_of(variable: Variable) -> str:
    """The row of a setting."""
    cells = (f"`{variable.name}`", variable.takes, _default_of(variable), variable.unit, variable.about)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default_of(variable: Variable) -> str:
    """A default as it is written in a ``.env`` file."""
    if variable.default == "":
        return "(empty)"
    return str(variable.default).lower() if isinstance(variable.default, bool) else str(variable.default)


def written(page: str) -> str:
    """The page with its table as it should be."""
    return _TABLE.sub(lambda _: "".join(f"{row_of(variable)}\n" for variable in variables()), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
