"""The package's data, read once, as it is written and as the service reads it."""

import json
from importlib.resources import files

import pytest
import yaml

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.corpus import own

DATA = files("sengol_api.data")


@pytest.fixture(scope="session")
def catalogue():
    """All areas and regimes."""
    return load_catalogue()


@pytest.fixture(scope="session")
def codes():
    """The codes of the vocabulary by group."""
    return {group: {term.code for term in terms} for group, terms in load_vocabulary().terms.items()}


@pytest.fixture(scope="session")
def regime_entries():
    """The regimes as they stand in their file."""
    return yaml.safe_load(DATA.joinpath("regimes.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def incident_lines():
    """The package's own incidents as they stand in their files, by domain."""
    return {
        domain: [json.loads(line) for line in DATA.joinpath(f"incidents/{domain}.jsonl").read_text(encoding="utf-8").splitlines()]
        for domain in ("cyber", "cloud", "compliance")
    }


@pytest.fixture(scope="session")
def own_incidents():
    """The package's own incidents as the service reads them."""
    return list(own.read_own())
