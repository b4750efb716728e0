"""The page of the metrics against the catalogue, and the catalogue against the conventions of Prometheus."""

import importlib.util
import re
from pathlib import Path

import pytest

import sengol_api.observability.telemetry  # noqa: F401 - fills the catalogue
from sengol_api.observability.metrics.model import CATALOGUE

ROOT = Path(__file__).parents[4]

spec = importlib.util.spec_from_file_location("metrics_page", ROOT / "tools" / "metrics.py")
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)
TEXT = page.PAGE.read_text(encoding="utf-8")
SUFFIXES = ("_bucket", "_sum", "_count")


def test_the_tables_are_those_of_the_code():
    assert page.written(TEXT) == TEXT, "run make docs"


def test_every_metric_has_a_row_and_every_row_a_metric():
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(rows) == sorted(CATALOGUE)


def test_a_changed_meaning_shows():
    drifted = TEXT.replace("Requests that are being answered.", "Something else.")
    assert drifted != TEXT
    assert page.written(drifted) == TEXT


def test_every_metric_that_the_page_speaks_of_is_there():
    for name in set(re.findall(r"\b(?!sengol_api\b)(?:sengol|process)_[a-z0-9_]+", TEXT)):
        assert next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name) in CATALOGUE, name


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=lambda family: family.name)
def test_names_follow_the_conventions(family):
    assert re.fullmatch(r"(sengol|process)_[a-z][a-z0-9_]*", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|percent|kb|mb|ratio_percent)\b", family.name)
    if family.kind == "histogram":
        assert family.name.endswith("_seconds")
        assert list(family.buckets) == sorted(set(family.buckets))
    assert family.help.endswith(".")
    assert "le" not in family.labels
    assert len(set(family.labels)) == len(family.labels) <= 3
