"""The page of the client against its code."""

import ast
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sengol_api.adapters.openai as face
from sengol_api.adapters.openai import ModelError, OpenAIOptions, Provider
from support.openai_faults import openai_faults

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "clients" / "openai.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", [OpenAIOptions, Provider])
def test_the_table_of_options_is_that_of_the_code(kind):
    start = PAGE.index(f"`{kind.__name__}`", PAGE.index("## Options"))
    written = PAGE[PAGE.index("| option", start) :].split("\n\n")[0].splitlines()
    rows = list(reference().options_table(kind))
    assert written == rows, "rows as they should be:\n" + "\n".join(rows)


def leaves():
    return {each.__name__: each for each in vars(face).values() if isinstance(each, type) and issubclass(each, ModelError)}


def rows_of_errors():
    table = PAGE[PAGE.index("| error | reason") :].split("\n\n")[0].splitlines()[2:]
    return {cells[0].strip("`"): cells[1:] for cells in ([cell.strip() for cell in row.strip("|").split("|")] for row in table)}


def test_every_error_is_in_the_table_with_its_rules():
    rows = rows_of_errors()
    assert rows.keys() == leaves().keys() - {"ModelError"}
    for name, (reason, _, again, counts, elsewhere, what) in rows.items():
        kind = leaves()[name]
        assert reason.strip("`") == kind.reason
        assert what
        for word, value in ((again, kind.retryable), (counts, kind.counts_as_failure), (elsewhere, kind.elsewhere)):
            assert word.split(",")[0].split(";")[0] not in ({"no"} if value else {"yes"}), (name, word)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_of_the_page_is_python(block):
    compile(block, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_names_that_the_page_imports_are_there():
    for block in BLOCKS:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sengol_api"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_first_example_runs():
    with openai_faults() as server:
        environment = {**os.environ, "OPENAI_API_KEY": "key", "OPENAI_BASE_URL": server.base_url}
        done = subprocess.run(
            [sys.executable, "-c", BLOCKS[0]], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
    first, second, third = done.stdout.splitlines()
    assert first == "You asked: Name one risk of a public bucket. gpt-4o fresh 1"
    assert second == "3 (1536,)"
    assert float(third) > 0


def test_every_option_of_the_page_of_changes_exists():
    fields = {field.name for kind in (OpenAIOptions, Provider) for field in dataclasses.fields(kind)}
    for block in BLOCKS:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"OpenAIOptions", "Provider"}:
                assert {keyword.arg for keyword in node.keywords} <= fields
