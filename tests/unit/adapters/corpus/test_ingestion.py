"""Adding a user's own incidents."""

import datetime as dt
import json

import pytest

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.adapters.corpus.ingestion import IngestError, Silent, ingest_files
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.schema import migrate
from support.builders import make_incident
from support.toys import NOON, BagOfWords


@pytest.fixture
async def store(tmp_path):
    """A store of incidents in a file of the test's own."""
    database = Database(f"sqlite:///{tmp_path / 'incidents.sqlite3'}")
    try:
        await migrate(database)
        yield SqlIncidentStore(database, BagOfWords(), now=lambda: NOON)
    finally:
        await database.close()


async def ingest(store, *files, kind=None, reporter=None):
    options = {"vocabulary": load_vocabulary(), "today": dt.date(2026, 11, 24), "reporter": reporter or Silent()}
    return await ingest_files(store, files, kind, **options)


def jsonl(path, *rows):
    path.write_text("\n".join(json.dumps({"title": "A title", "text": "A text.", **row}) for row in rows))
    return path


async def stored_ids(store):
    return [incident.id for incident in (await store.load()).incidents]


async def test_good_rows_go_in_and_bad_ones_are_reported(store, tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"id": "own-1"}, {"id": "own-2", "severity": "awful"}, {"id": "own-3"})
    report = await ingest(store, file)
    assert report.change == Change(added=2, changed=0, removed=0, unchanged=0)
    [bad] = report.bad
    assert (bad.file, bad.line) == (str(file), 2)
    assert "severity" in bad.reason
    assert await stored_ids(store) == ["own-1", "own-3"]


async def test_a_second_time_changes_nothing(store, tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"id": "own-1"}, {})
    await ingest(store, file)
    before = await store.load()
    assert (await ingest(store, file)).change == Change(added=0, changed=0, removed=0, unchanged=2)
    assert (await store.load()).version == before.version


async def test_a_corrected_row_replaces_its_former_self_and_another_file_adds(store, tmp_path):
    await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "own-1"}))
    report = await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "own-1", "title": "Corrected"}))
    assert report.change == Change(added=0, changed=1, removed=0, unchanged=0)
    await ingest(store, jsonl(tmp_path / "b.jsonl", {"id": "own-2"}))
    assert [i.title for i in (await store.load()).incidents] == ["Corrected", "A title"]


async def test_an_id_of_another_origin_is_refused_and_its_incident_stays(store, tmp_path):
    await store.put("sengol", [make_incident("cyber-1")])
    report = await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "cyber-1"}, {"id": "own-1"}))
    assert report.change.added == 1
    assert [bad.reason for bad in report.bad] == ["this id belongs to an incident of sengol; give yours another"]
    assert [i.title for i in (await store.load()).incidents] == ["Title of cyber-1", "A title"]


async def test_numbers_at_the_bounds_can_be_stored(store, tmp_path):
    rows = [{"id": "a", "recordsAffected": 1e15, "cost": 1e15, "costKind": "loss"}, {"id": "b", "recordsAffected": 1e30}]
    report = await ingest(store, jsonl(tmp_path / "a.jsonl", *rows))
    assert (report.change.added, len(report.bad)) == (1, 1)
    assert (await store.load()).incidents[0].records_affected == 10**15


async def test_several_files_of_several_formats_are_read_together(store, tmp_path):
    table = tmp_path / "b.csv"
    table.write_text("id,title,text\nown-2,A title,A text\n")
    report = await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "own-1"}), table)
    assert (report.change.added, report.bad) == (2, ())


async def test_a_format_that_cannot_be_told_stops_before_anything_is_kept(store, tmp_path):
    unclear = tmp_path / "notes.txt"
    unclear.write_text("x")
    with pytest.raises(IngestError, match=r"notes\.txt cannot be told .* --format jsonl, csv, veris or atlas"):
        await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "own-1"}), unclear)
    assert await stored_ids(store) == []
    assert (await ingest(store, jsonl(tmp_path / "rows.txt", {"id": "own-1"}), kind="jsonl")).change.added == 1


async def test_the_work_is_shown(store, tmp_path):
    class Steps:
        total = done = 0

        def begin(self, what, total):
            self.total = total

        def advance(self, count):
            self.done += count

    steps = Steps()
    await ingest(store, jsonl(tmp_path / "a.jsonl", {"id": "a"}, {"id": "b"}), reporter=steps)
    assert (steps.total, steps.done) == (2, 2)
