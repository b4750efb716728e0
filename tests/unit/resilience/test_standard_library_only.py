"""The toolkit stands alone: it needs nothing but Python, and knows nothing of the service."""

import ast
import sys
from pathlib import Path

import pytest

import sengol_api.resilience

ROOT = Path(sengol_api.resilience.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def imported(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_the_standard_library_and_the_toolkit_only(file):
    foreign = [
        module
        for module in imported(file)
        if module.split(".")[0] not in sys.stdlib_module_names and not f"{module}.".startswith("sengol_api.resilience.")
    ]
    assert foreign == []


@pytest.mark.parametrize("file", [file for file in FILES if "testing" not in file.parts], ids=lambda file: file.name)
def test_no_policy_needs_what_is_made_for_tests(file):
    assert not [module for module in imported(file) if module.startswith("sengol_api.resilience.testing")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_policies_never_log(file):
    assert "logging" not in set(imported(file))


def test_a_type_checker_of_those_who_use_it_sees_its_types():
    assert (Path(sengol_api.__file__).parent / "py.typed").is_file()
