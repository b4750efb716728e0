"""The page of the client says what the code does, and its first program runs."""

import ast
import contextlib
import importlib.util
import io
import re
import threading
from pathlib import Path

import pytest

import sengol_api.adapters.dvecdb as package
from sengol_api.adapters.dvecdb import DvecdbClient, DvecdbError, DvecdbOptions
from sengol_api.adapters.dvecdb.protocol import INDEX
from support.dvecdb.fake import fake_dvecdb

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "clients" / "dvecdb.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def test_the_table_of_options_is_that_of_the_code():
    rows = list(reference.options_table(DvecdbOptions))
    written = PAGE.partition("<!-- options: DvecdbOptions -->")[2].partition("<!-- end -->")[0]
    assert written.strip().splitlines() == rows, "rows as they should be:\n" + "\n".join(rows)


def test_every_error_has_its_row_and_says_what_its_class_says():
    table = PAGE.partition("## Errors")[2].partition("## ")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| `")]
    rows = {name.strip("`"): (again, counts) for _, name, _, again, counts, _, _ in cells}
    exported = {name: getattr(package, name) for name in package.__all__}
    errors = {name: each for name, each in exported.items() if isinstance(each, type) and issubclass(each, DvecdbError)}
    errors.pop("DvecdbError")
    assert {*errors, "CircuitBreakerError", "TimeoutError"} == rows.keys()
    for name, error in errors.items():
        said = tuple("yes" if flag else "no" for flag in (error.retryable, error.counts_as_failure))
        assert rows[name] == said, name


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_of_the_page_is_python(block):
    ast.parse(f"async def page():\n{''.join(f'    {line}' for line in block.splitlines(keepends=True))}")


def test_the_first_program_runs():
    printed = io.StringIO()
    errors = []

    def run(port):
        try:
            with contextlib.redirect_stdout(printed):
                exec(BLOCKS[0].replace("8080", str(port)), {"__name__": "page"})
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)

    with fake_dvecdb() as fake:
        thread = threading.Thread(target=run, args=(fake.port,))  # it has an event loop of its own
        thread.start()
        thread.join(60)
    assert errors == []
    lines = printed.getvalue().splitlines()
    assert lines[0].startswith("incident-7 1.0 {'severity': 'high'}")
    assert lines[-2:] == ["1.0", "ok"]


def test_every_method_that_the_page_names_is_there():
    table = PAGE.partition("| method | gives |")[2].partition("\n\n")[0]
    for name in re.findall(r"`(\w+)\(", table):
        assert callable(getattr(DvecdbClient, name)), name


def test_the_decision_names_the_numbers_that_are_used():
    decision = (ROOT / "docs" / "decisions" / "0010-an-index-that-may-be-lost.md").read_text(encoding="utf-8")
    assert f"*{INDEX['max_connections']} links at most, {INDEX['ef_construction']} per insert.*" in decision
