"""The package's own incidents: facts with a source each."""

import datetime as dt
import re
from collections import Counter

import pytest

from sengol_api.adapters.corpus.own import corpus_version, read_own

INCIDENT_TYPES = set(
    """
    data-breach data-exposure ransomware outage data-loss fraud sabotage espionage privacy-violation regulatory-action
    disclosure-failure safety
    """.split()
)
ATTACK_TYPES = set(
    """
    phishing stolen-credentials credential-stuffing ransomware supply-chain vulnerability-exploit zero-day sql-injection insider
    misconfiguration ddos social-engineering malware wiper lost-device business-email-compromise api-abuse scraping extortion
    skimming physical bgp-hijack software-defect config-change operator-error capacity hardware-failure power-failure
    dependency-failure natural-disaster certificate-expiry unlawful-processing unlawful-tracking unlawful-transfer
    disclosure-failure control-failure discrimination deception none
    """.split()
)
BASES = {
    "critical": {"records>=10M", "cost>=100M", "downtime>=24h of a critical service", "safety of life"},
    "high": {"records>=1M", "cost>=10M", "downtime>=4h, many customers", "national impact"},
    "medium": {"records>=10k", "cost>=1M", "downtime>=1h"},
    "low": {"below the other thresholds"},
}
JUDGED = "judged from the reported impact"
TAGS_WITHOUT_AN_AREA: set[str] = set()


@pytest.fixture(scope="session")
def lines(incident_lines):
    return [line for group in incident_lines.values() for line in group]


def found(lines, test):
    """Ids of the incidents that fail a test, so that one run shows them all."""
    return [line["id"] for line in lines if not test(line)]


def test_there_are_enough_and_all_of_them_are_read(incident_lines, own_incidents):
    assert sum(map(len, incident_lines.values())) == len(own_incidents) >= 150
    assert all(len(group) >= 50 for group in incident_lines.values())


def test_ids_and_events_are_unique(incident_lines, lines):
    for field in ("id", "title", "text"):
        assert [text for text, count in Counter(line[field].casefold() for line in lines).items() if count > 1] == []
    for domain, group in incident_lines.items():
        assert found(group, lambda x, domain=domain: re.fullmatch(rf"{domain}-(19|20)\d\d-[a-z0-9-]+", x["id"])) == []


def test_the_year_of_an_id_is_about_the_year_of_the_incident(lines):
    assert found(lines, lambda x: abs(int(x["id"].split("-")[1]) - int(x["date"][:4])) <= 1) == []


def test_every_key_is_there_in_one_order(lines):
    assert len({tuple(line) for line in lines}) == 1


def test_dates_are_of_the_calendar_and_past(lines):
    assert found(lines, lambda x: re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", x["date"])) == []
    assert found(lines, lambda x: "1980" < x["date"] <= dt.date(2026, 11, 24).isoformat()) == []


def test_texts_tell_a_story(lines):
    assert found(lines, lambda x: 30 <= len(x["text"].split()) <= 110) == []
    assert found(lines, lambda x: x["text"].endswith((".", "”"))) == []
    assert found(lines, lambda x: 4 <= len(x["title"].split()) <= 20) == []


def test_sources_are_web_addresses_over_https(lines):
    assert found(lines, lambda x: re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]{2,}/\S*", x["sourceUrl"])) == []
    assert found(lines, lambda x: x["source"]) == []
    assert found(lines, lambda x: x["licence"] == "facts") == []


def test_codes_are_of_the_controlled_vocabularies(lines, codes):
    assert found(lines, lambda x: x["incidentType"] in INCIDENT_TYPES) == []
    assert found(lines, lambda x: x["attackType"] in ATTACK_TYPES) == []
    assert found(lines, lambda x: x["industry"] in codes["industries"]) == []
    assert found(lines, lambda x: x["country"] is None or re.fullmatch(r"(?!EU|UK)[A-Z]{2}", x["country"])) == []
    assert found(lines, lambda x: all(re.fullmatch(r"T\d{4}(\.\d{3})?|CWE-\d+", label) for label in x["labels"])) == []


def test_a_severity_rests_on_a_rule_for_it(lines):
    assert found(lines, lambda x: x["severityBasis"] in BASES[x["severity"]] | {JUDGED}) == []


def test_a_basis_in_numbers_is_true(own_incidents):
    least = {"k": 1e3, "M": 1e6}
    wrong = []
    for incident in own_incidents:
        if match := re.fullmatch(r"(records|cost)>=(\d+)([kM])", incident.severity_basis):
            value = incident.records_affected if match[1] == "records" else incident.cost
            if value is not None and value < 0.95 * float(match[2]) * least[match[3]]:
                wrong.append((incident.id, incident.severity_basis, value))
    assert wrong == []


def test_a_cost_has_a_kind_and_a_currency_and_none_stands_without_a_cost(lines):
    assert found(lines, lambda x: (x["cost"] is None) == (x["costKind"] is None) == (x["currency"] is None)) == []
    assert found(lines, lambda x: x["cost"] is None or x["cost"] > 0) == []
    assert found(lines, lambda x: x["costKind"] in {None, "loss", "fine", "ransom"}) == []


def test_numbers_are_numbers_or_unknown(lines):
    assert (
        found(
            lines,
            lambda x: all(x[k] is None or (x[k] > 0 and not isinstance(x[k], bool)) for k in ("recordsAffected", "downtimeHours")),
        )
        == []
    )
    assert found(lines, lambda x: all(x[k] in (None, True, False) for k in ("hadMfa", "hadBackups", "hadIrPlan"))) == []


def test_every_incident_has_a_root_cause_and_every_root_cause_an_area_that_asks_about_it(lines, catalogue):
    assert found(lines, lambda x: 1 <= len(x["tags"]) <= 5 and len(set(x["tags"])) == len(x["tags"])) == []
    labels = {label for area in catalogue.areas for label in area.labels}
    assert {tag for line in lines for tag in line["tags"]} - labels == TAGS_WITHOUT_AN_AREA


def test_the_kinds_of_attack_are_known_to_areas(lines, catalogue):
    asked = {kind for area in catalogue.areas for kind in area.attack_types}
    counts = Counter(line["attackType"] for line in lines if line["attackType"] not in asked)
    assert set(counts) <= {"none"}


def test_the_version_is_that_of_the_content():
    assert corpus_version() == corpus_version()
    assert re.fullmatch(r"[0-9a-f]{16}", corpus_version())
    assert [i.id for i in read_own()] == [i.id for i in read_own()]
