"""The corpus of AI incidents as we read it."""

import sys
from types import ModuleType

import pytest

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.adapters.corpus.genai import PACKAGE, clean, convert, read_genai, story

ENTRY = {
    "id": "INC-1",
    "title": "Assistant leaks mail",
    "description": "Assistant leaks mail. A crafted message made an assistant send out its user's mail.",
    "tier": "feed",
    "corpus": "ai-security",
    "tags": ["email"],
    "attack_vector": "prompt-injection",
    "severity": "High",
    "date": "2025-06-01",
    "affected": "Acme Assistant",
    "primary_reference": "https://www.example.com/report",
    "owasp_llm": ["LLM01"],
    "owasp_asi": ["ASI01"],
    "mitre_atlas": ["AML.T0051"],
}


@pytest.fixture
def package(monkeypatch):
    """Stands in for the package of the corpus."""
    module = ModuleType(PACKAGE)
    module.load_incidents = lambda: [
        ENTRY,
        {**ENTRY, "id": "INC-2", "status": "retracted"},
        {**ENTRY, "id": "INC-3", "status": "disputed"},
    ]
    monkeypatch.setitem(sys.modules, PACKAGE, module)


@pytest.mark.usefixtures("package")
def test_retracted_entries_are_left_out_and_disputed_ones_stay():
    assert [(i.id, i.tags) for i in read_genai(load_vocabulary())] == [("INC-1", ()), ("INC-3", ("disputed",))]


@pytest.mark.usefixtures("package")
def test_what_the_package_keeps_in_memory_is_given_back():
    list(read_genai(load_vocabulary()))
    assert PACKAGE not in sys.modules


def read(**fields):
    return convert({**ENTRY, **fields}, load_vocabulary())


def test_an_entry_becomes_an_incident():
    incident = read()
    assert (incident.id, incident.kind, incident.severity, incident.date) == ("INC-1", "incident", "high", "2025-06-01")
    assert incident.text == "A crafted message made an assistant send out its user's mail."
    assert incident.labels == ("AML.T0051", "ASI01", "LLM01")
    assert (incident.attack_type, incident.organization) == ("prompt-injection", "Acme Assistant")
    assert (incident.source, incident.source_url) == ("example.com", "https://www.example.com/report")


def test_whom_it_hit_is_told_apart_from_how_far_it_went():
    incident = read(affected="Acme Assistant — 25 million users; 300 million messages")
    assert incident.organization == "Acme Assistant"
    assert incident.text.endswith("its user's mail. Affected: 25 million users; 300 million messages")
    assert read(affected="").organization is None


def test_an_advisory_of_the_feed_is_a_vulnerability_of_its_products():
    incident = read(tags=["cve"], affected="npm/@acme/portal-kit, org.acme:Server")
    assert (incident.kind, incident.incident_type) == ("vulnerability", "vulnerability")
    assert incident.products == ("portal-kit", "server")


def test_a_landmark_stays_an_incident_whatever_its_tags():
    incident = read(tier="landmark", tags=["cve"])
    assert (incident.kind, incident.products) == ("incident", ())


@pytest.mark.parametrize(
    "sign", [{"primary_reference": "https://arxiv.org/abs/2310.06987"}, {"tags": ["benchmark"]}, {"tags": ["paper"]}]
)
def test_what_a_paper_shows_is_a_study(sign):
    assert (read(**sign).kind, read(**sign).incident_type) == ("study", "study")
    assert read(**{**sign, "tier": "landmark"}).kind == "study"


def test_harm_is_told_apart_from_attacks():
    assert read(corpus="ai-harm").incident_type == "ai-harm"
    assert read().incident_type == "ai-incident"


@pytest.mark.parametrize(
    ("tags", "industry", "derived"),
    [
        (["sector-healthcare"], "healthcare", ()),
        (["sector-media/entertainment"], "entertainment", ()),
        (["sector-unheard"], None, ()),
    ],
)
def test_an_industry_is_what_the_source_says(tags, industry, derived):
    assert (read(tags=tags).industry, read(tags=tags).derived) == (industry, derived)


def test_an_industry_that_was_read_out_of_the_title_is_marked_as_derived():
    incident = read(title="Hospital bot gives wrong doses")
    assert (incident.industry, incident.derived) == ("healthcare", ("industry",))


def test_a_title_that_speaks_of_two_industries_gives_none():
    assert read(title="Hospital and bank bots fail").industry is None


@pytest.mark.parametrize(
    ("tags", "country"),
    [
        (["juris-germany"], "DE"),
        (["juris-united-states"], "US"),
        (["juris-united-kingdom"], "GB"),
        (["juris-germany", "juris-france"], None),
        (["juris-global"], None),
        (["juris-europe"], None),
        (["juris-atlantis"], None),
        ([], None),
    ],
)
def test_a_country_is_known_when_there_is_one(tags, country):
    assert read(tags=tags).country == country


def test_a_kind_of_attack_called_other_is_unknown():
    assert read(attack_vector="other").attack_type is None


@pytest.mark.parametrize(("vector", "kind"), [("rce", None), ("data-exfiltration", None), ("deepfake", "deepfake")])
def test_of_a_tracker_of_news_only_kinds_of_harm_are_believed_and_no_label(vector, kind):
    incident = read(attack_vector=vector, primary_reference="https://oecd.ai/en/incidents/1")
    assert (incident.attack_type, incident.labels) == (kind, ())
    assert read(attack_vector=vector).attack_type == vector


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ("https://incidentdatabase.ai/cite/1", "AI Incident Database"),
        ("https://oecd.ai/en/incidents/1", "OECD AI Incidents Monitor"),
        ("https://notoecd.ai/x", "notoecd.ai"),
        ("https://nvd.nist.gov/vuln/detail/CVE-2024-1", "CVE Program"),
        ("https://example.com/incidentdatabase.ai", "example.com"),
    ],
)
def test_the_source_is_told_by_its_host(reference, source):
    assert read(primary_reference=reference).source == source


def test_a_disputed_entry_says_so():
    assert read(status="disputed").tags == ("disputed",)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a <b>bold</b> # `claim`"])
def test_no_markup_is_kept(hostile):
    assert not set("<>#`") & set(clean(hostile))


def test_a_link_keeps_its_words():
    assert clean("See [the  report](https://example.com/x) **now**") == "See the report now"


def test_sentences_that_every_entry_repeats_are_left_out():
    text = (
        "Tracked by the OECD AI Incidents and Hazards Monitor (AIM) as 2024-1, dated 2024-01-02. Something happened. "
        "See the AIM incident page for more."
    )
    assert story("Title", text) == "Something happened."
    assert story("Title", "Title. Something happened.") == "Something happened."
    entry = "AI Incident Database (AIID) entry #7: Title. Alleged deployer/developer: Acme. See the linked AIID entry for full…"
    assert story("Title", entry) == ""


def test_upstream_data_is_not_changed():
    before = {key: list(value) if isinstance(value, list) else value for key, value in ENTRY.items()}
    read()
    assert before == ENTRY
