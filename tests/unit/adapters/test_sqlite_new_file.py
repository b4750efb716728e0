"""A new file that several processes open at once."""

import sqlite3

import pytest

from sengol_api.adapters.sql import sqlite
from sengol_api.adapters.sql.sqlite import write_ahead


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(sqlite.time, "sleep", lambda seconds: None)


class Cursor:
    """Fails as SQLite does, as often as it is told, and then does it."""

    def __init__(self, times, code=sqlite3.SQLITE_BUSY):
        self.asked, self._times = 0, times
        self._error = sqlite3.OperationalError("database is locked")
        self._error.sqlite_errorcode = code

    def execute(self, statement):
        assert statement == "PRAGMA journal_mode=WAL"
        self.asked += 1
        if self.asked <= self._times:
            raise self._error


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY])
def test_who_comes_second_waits_until_the_first_has_turned_the_file(code):
    write_ahead(cursor := Cursor(2, code))
    assert cursor.asked == 3


def test_the_wait_has_an_end():
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(Cursor(1_000_000), seconds=0.0)


def test_what_no_wait_mends_is_told_at_once():
    cursor = Cursor(1, sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(cursor)
    assert cursor.asked == 1
