"""Files of incidents in four formats: the bad rows are reported with file, line and reason, the rest is read."""

import datetime as dt
import json
from pathlib import Path

import pytest
import yaml

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.adapters.corpus.readers import Bad, guess_format, read_file
from sengol_api.review.incident import Incident

TODAY = dt.date(2026, 11, 24)


@pytest.fixture
def read(tmp_path):
    def read_text(text, kind):
        file = tmp_path / f"file.{kind}"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = list(read_file(file, kind, vocabulary=load_vocabulary(), today=TODAY))
        assert all(bad.file == str(file) for bad in found if isinstance(bad, Bad))
        good = [item for item in found if isinstance(item, Incident)]
        return good, [(bad.line, bad.reason) for bad in found if isinstance(bad, Bad)]

    return read_text


def line(**fields):
    return json.dumps({"title": "A title", "text": "A text.", **fields})


def test_jsonl_tells_the_line_and_the_reason_of_each_bad_row(read):
    rows = [line(id="a"), "", "not json", "[1]", line(id="b", severity="awful"), line(id="c"), '{"title": "half']
    good, bad = read("\n".join(rows), "jsonl")
    assert [i.id for i in good] == ["a", "c"]
    assert [number for number, _ in bad] == [3, 4, 5, 7]
    assert bad[0][1].startswith("is not JSON")
    assert bad[1][1] == "takes an object, got list"
    assert "severity: takes one of critical, high, medium, low, unknown" in bad[2][1]


def test_jsonl_may_have_a_byte_order_mark_and_windows_line_ends(read):
    good, bad = read(b"\xef\xbb\xbf" + (line(id="a") + "\r\n" + line(id="b") + "\r\n").encode(), "jsonl")
    assert ([i.id for i in good], bad) == (["a", "b"], [])


def test_json_that_no_standard_allows_is_refused_and_not_a_crash(read):
    good, bad = read(
        "\n".join(['{"title": "t", "text": "x", "cost": NaN, "costKind": "loss"}', "[" * 100_000, "9" * 5000]), "jsonl"
    )
    assert good == []
    assert [number for number, _ in bad] == [1, 2, 3]


def test_csv_tells_the_line_and_the_reason_of_each_bad_row(read):
    text = 'id,title,text,severity,tags\na,One,"Two\nlines",high,x;y\nb,One,Text,awful,\nc,One,Text,low,,extra\nd,One,Text\n'
    good, bad = read(text, "csv")
    assert [(i.id, i.tags) for i in good] == [("a", ("x", "y")), ("d", ())]
    assert good[0].text == "Two lines"
    assert [number for number, _ in bad] == [4, 5]
    assert "severity" in bad[0][1]
    assert bad[1][1] == "has more columns than the header's 5"


def test_csv_that_breaks_off_keeps_what_stood_before(read):
    good, bad = read('id,title,text\na,One,Text\nb,"never closed,Text\n', "csv")
    assert [i.id for i in good] == ["a"]
    assert "is not CSV from here on" in bad[0][1]


def test_csv_with_strange_columns_names_them_and_the_known_ones(read):
    good, bad = read("title,text,colour\nA,B,red\n", "csv")
    assert good == []
    assert "colour: unknown; known are attackType, " in bad[0][1]


VERIS = {
    "incident_id": "V-1",
    "summary": "A laptop was stolen from a car.",
    "victim": {"victim_id": "Acme Clinic", "industry": "621111", "country": ["US"]},
    "action": {"physical": {"variety": ["Theft"]}},
    "attribute": {"confidentiality": {"data_disclosure": "Yes", "data_total": 1200}},
    "impact": {"overall_amount": 5000, "iso_currency_code": "USD", "overall_rating": "Painful"},
    "timeline": {"incident": {"year": 2015, "month": 3}},
    "reference": "see https://example.com/a; https://example.com/b",
}


def test_veris_is_read(read):
    good, bad = read(json.dumps(VERIS), "veris")
    assert bad == []
    [incident] = good
    assert (incident.id, incident.title, incident.organization) == ("veris:V-1", "Acme Clinic: Theft", "Acme Clinic")
    assert (incident.industry, incident.country, incident.date, incident.severity) == ("healthcare", "US", "2015-03", "medium")
    assert (incident.cost, incident.cost_kind, incident.records_affected) == (5000.0, "loss", 1200)
    assert (incident.incident_type, incident.attack_type, incident.tags) == ("data-breach", "physical", ("theft",))
    assert incident.source_url == "https://example.com/a"


def test_a_bad_veris_entry_does_not_stop_the_next(read):
    no_summary = {key: value for key, value in VERIS.items() if key != "summary"}
    odd = {**VERIS, "incident_id": "V-2", "action": {"hacking": {"variety": [{"a": 1}, 5]}}, "victim": [], "timeline": 3}
    good, bad = read(json.dumps([no_summary, 5, odd, VERIS]), "veris")
    assert [i.id for i in good] == ["veris:V-2", "veris:V-1"]
    assert bad == [(1, "text: is missing"), (2, "takes a VERIS object, got int")]


@pytest.mark.parametrize(
    ("naics", "industry"),
    [("522110", "finance"), ("524", "insurance"), ("22131", "water"), ("92", "government"), ("", None), ("000", None)],
)
def test_veris_industries_are_told_by_their_naics_code(read, naics, industry):
    [incident], _ = read(json.dumps({**VERIS, "victim": {"industry": naics}}), "veris")
    assert incident.industry == industry


STUDY = {
    "id": "AML.CS0001",
    "name": "Evasion of a scanner",
    "summary": "Researchers passed a scanner.",
    "incident-date": dt.date(2020, 1, 2),
    "target": "Acme scanner",
    "procedure": [{"technique": "AML.T0015"}, {"technique": "AML.T0015"}, {"tactic": "AML.TA0001"}],
}


def test_atlas_is_read_from_a_release_and_from_a_single_study(read):
    for document in ({"id": "ATLAS", "case-studies": [STUDY]}, STUDY):
        good, bad = read(yaml.safe_dump(document), "atlas")
        assert bad == []
        [incident] = good
        assert (incident.id, incident.title, incident.date) == ("atlas:AML.CS0001", "Evasion of a scanner", "2020-01-02")
        assert (incident.labels, incident.organization) == (("AML.T0015",), "Acme scanner")
        assert incident.source_url == "https://atlas.mitre.org/studies/AML.CS0001"


def test_a_bad_atlas_study_does_not_stop_the_next(read):
    good, bad = read(yaml.safe_dump({"case-studies": ["text", {"id": "x", "name": "No summary"}, STUDY]}), "atlas")
    assert [i.id for i in good] == ["atlas:AML.CS0001"]
    assert bad == [(1, "takes a case study as an object, got str"), (2, "text: is missing")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{", "veris"), ("", "veris"), ("[" * 100_000, "veris"), ("a: [", "atlas"), ("- 1", "atlas"), ("", "atlas"),
        ("other: 1", "atlas"), ("case-studies: 5", "atlas"), ("!!python/object/apply:os.system [ls]", "atlas"),
        ("d: 2020-99-99", "atlas"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_one_bad_row(read, text, kind):
    good, bad = read(text, kind)
    assert good == []
    assert len(bad) == 1


@pytest.mark.parametrize("kind", ["jsonl", "csv", "veris", "atlas"])
def test_bytes_that_are_no_text_are_one_bad_row(read, kind):
    assert read(b"title,text\n\xff\xfe", kind) == ([], [(0, "is not UTF-8: byte 11 of the file")])


def test_a_file_that_is_not_there_is_one_bad_row(tmp_path):
    [bad] = read_file(tmp_path / "none.csv", "csv", vocabulary=load_vocabulary(), today=TODAY)
    assert bad == Bad(str(tmp_path / "none.csv"), 0, "cannot be read: No such file or directory")


@pytest.mark.parametrize(("told", "industry"), [("Health care", "healthcare"), ("finance", "finance"), ("Alchemy", "Alchemy")])
def test_an_industry_gets_the_code_that_reviews_use(read, told, industry):
    [incident], _ = read(line(industry=told), "jsonl")
    assert incident.industry == industry


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("a.NDJSON", "jsonl"),
        ("a.csv", "csv"),
        ("a.json", "veris"),
        ("a.yaml", "atlas"),
        ("a.yml", "atlas"),
        ("a.txt", None),
    ],
)
def test_the_format_is_told_by_the_ending(name, kind):
    assert guess_format(Path(name)) == kind
