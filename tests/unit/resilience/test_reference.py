"""The pages of the toolkit against its code."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs" / "resilience").glob("*.md"))
POLICIES = {page for page in PAGES if "<!-- options:" in page.read_text()}

spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tables_of_a_page_are_those_of_the_code(page):
    assert page.read_text() == reference.written(page.read_text()), "run make docs"


def test_every_option_and_event_has_a_table():
    assert reference.missing("".join(page.read_text() for page in PAGES)) == []


def test_a_changed_default_shows():
    page = next(page for page in PAGES if page.stem == "retry").read_text()
    drifted = page.replace("| `max_retries` | `3` |", "| `max_retries` | `4` |")
    assert drifted != page
    assert reference.written(drifted) == page


def test_every_event_says_what_it_carries():
    for name, kind in reference.classes().items():
        if issubclass(kind, reference.Event) and kind is not reference.Event:
            fields = set(kind.__dataclass_fields__) - set(reference.Event.__dataclass_fields__)
            assert set(reference.attributes(kind)) == fields, name


def test_every_snapshot_says_what_its_fields_mean():
    for name, kind in reference.classes().items():
        if name.endswith("Snapshot"):
            assert set(reference.attributes(kind)) == set(kind.__dataclass_fields__), name


@pytest.mark.parametrize("page", sorted(POLICIES), ids=lambda page: page.stem)
def test_the_page_of_a_policy_has_all_its_parts(page):
    text = page.read_text()
    for part in ("```python", "```mermaid", "## Options", "<!-- events:", "<!-- snapshot:", "## How not to"):
        assert part in text, part


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_names_that_a_page_uses_are_exported(page):
    import sengol_api.resilience
    import sengol_api.resilience.testing

    known = {*sengol_api.resilience.__all__, *sengol_api.resilience.testing.__all__}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    calls = [node.func for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    ours = {name for name in called if name in reference.classes()}
    assert ours <= known
