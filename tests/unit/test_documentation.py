"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest

from sengol_api.review.weights import FORMULAS
from sengol_api.settings import variables

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CONFIGURATION = DOCS / "configuration.md"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


spec = importlib.util.spec_from_file_location("configuration", ROOT / "tools" / "configuration.py")
configuration = importlib.util.module_from_spec(spec)
spec.loader.exec_module(configuration)


def test_the_table_of_settings_is_that_of_the_code():
    page = CONFIGURATION.read_text(encoding="utf-8")
    assert page == configuration.written(page), "run make docs"
    assert page.count("\n| `") == len(variables())


def test_every_variable_that_the_documentation_names_is_a_setting():
    known = {variable.name for variable in variables()}
    text = CONFIGURATION.read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", text))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_test_that_the_threat_model_names_is_there():
    text = (DOCS / "operations" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 30
    for file, function in named:
        assert (ROOT / file).exists(), file
        assert not function or re.search(rf"def {function}\(", (ROOT / file).read_text(encoding="utf-8")), f"{file}::{function}"


def test_decisions_are_numbered_once():
    numbers = [path.name[:4] for path in (DOCS / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in (DOCS / "decisions").glob("*.md"))


def test_the_formulas_are_printed_with_three_weights():
    assert {"riskWeight", "complianceWeight", "evidenceWeight", "industryWeight", "confidence"} == FORMULAS.keys()
