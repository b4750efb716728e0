"""Processes of the package, as a user starts them."""

import os


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without any setting of ours; compiled modules are kept, or each start would compile all."""
    from sengol_api.settings import variables

    left_out = {"PYTHONDONTWRITEBYTECODE", *(variable.name for variable in variables())}
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **changes}
