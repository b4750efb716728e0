"""Processes of the package, as a user starts them."""

import os
from pathlib import Path


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without any setting of ours; compiled modules are kept, or each start would compile all."""
    from sengol_api.settings import variables

    left_out = {"PYTHONDONTWRITEBYTECODE", *(variable.name for variable in variables())}
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **changes}


def children(pid: int) -> list[int]:
    """The processes that the first thread of a process has started and that have not ended."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
