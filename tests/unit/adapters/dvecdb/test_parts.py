"""The small parts: names, keys, vectors, records, journal, pace, options."""

import asyncio
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.dvecdb import DvecdbOptions, InMemoryRecords, InvalidVector, Item, key_of
from sengol_api.adapters.dvecdb.http import Http
from sengol_api.adapters.dvecdb.journal import Edit, Journal, merged
from sengol_api.adapters.dvecdb.keys import KeyTable, read_keys
from sengol_api.adapters.dvecdb.names import Names
from sengol_api.adapters.dvecdb.options import NAME
from sengol_api.adapters.dvecdb.pace import Pace
from sengol_api.adapters.dvecdb.protocol import most_per_insert
from sengol_api.adapters.dvecdb.vectors import unit_rows
from sengol_api.resilience import OptionsError
from support.dvecdb.clients import EMBEDDER, ids_of, records_of, unit

# Names -------------------------------------------------------------------------------------------------------------------


@given(st.text("abcXYZ019_-", min_size=1, max_size=64), st.text(), st.text(), st.floats(0, 4e9))
def test_every_name_is_one_that_is_safe_in_a_path_and_is_known_again(base, embedder, version, wall):
    names = Names(base, embedder, 256)
    name = names.new(version, wall)
    assert NAME.fullmatch(str(name))
    assert NAME.fullmatch(name.mark)
    assert names.ours([str(name), name.mark, "another", f"{name}0"]) == ([name], {name})
    assert name.fingerprint == names.fingerprint(version)
    assert names.new(version, wall) != name


@pytest.mark.parametrize(
    "other",
    [Names("incidents", "other", 8), Names("incidents", EMBEDDER, 9), Names("incident", EMBEDDER, 8)],
    ids=["embedder", "dimension", "collection"],
)
def test_another_embedder_dimension_or_index_has_other_collections(other):
    names = Names("incidents", EMBEDDER, 8)
    assert other.fingerprint("1") != names.fingerprint("1")
    assert other.ours([str(names.new("1", 0))]) == ([], set())


def test_two_long_names_that_begin_alike_do_not_share_their_collections():
    one, other = Names("a" * 63 + "1", EMBEDDER, 8), Names("a" * 63 + "2", EMBEDDER, 8)
    assert other.ours([str(one.new("1", 0))]) == ([], set())


def test_later_builds_have_greater_serials():
    names = Names("incidents", EMBEDDER, 8)
    assert min(names.new("1", 2000), names.new("1", 1000)).serial.startswith(f"{1000:08x}")


# Connections -------------------------------------------------------------------------------------------------------------


def test_the_connections_of_event_loops_that_are_gone_are_forgotten():
    http = Http("localhost", 8080, connections=2)

    async def connect():
        assert http._pool() is http._pool()

    for _ in range(3):
        asyncio.run(connect())
    assert len(http._pools) == 1


# Keys --------------------------------------------------------------------------------------------------------------------


FEW = st.sets(st.text(max_size=12), max_size=8)


@given(st.sets(st.text(max_size=12), max_size=60), FEW, FEW)
async def test_a_table_of_keys_gives_every_id_back_and_nothing_else(ids, added, others):
    table = KeyTable(sorted(ids))
    keys = [str(key_of(each)) for each in sorted(ids | others)]
    assert await table.ids(keys) == [each if each in ids else None for each in sorted(ids | others)]
    removed = set(sorted(ids)[::3])
    changed = table.changed(added, removed)
    left = (ids - removed) | added
    assert await changed.ids(keys) == [each if each in left else None for each in sorted(ids | others)]
    assert await table.ids(keys) == [each if each in ids else None for each in sorted(ids | others)]
    again = changed.changed(removed, added - removed)
    left = (left | removed) - (added - removed)
    assert await again.ids(keys) == [each if each in left else None for each in sorted(ids | others)]


@pytest.mark.parametrize("key", ["", "x", "00000000-0000-0000-0000-000000000000", "zz" * 16, "a" * 200])
async def test_what_is_no_key_of_ours_has_no_id(key):
    assert await KeyTable(["a", "b"]).ids([key]) == [None]
    assert await KeyTable([]).ids([key]) == [None]


def test_the_key_of_an_id_is_the_same_in_every_process():
    assert str(key_of("inc-0001")) == "0636239e-ee90-5141-862b-e082da09dcba"


async def test_records_that_find_their_keys_themselves_are_asked_and_no_table_is_made():
    class Resolving(InMemoryRecords):
        async def resolve(self, keys):
            known = {key_of(each): each for each in self._rows}
            return {key: known[key] for key in keys if key in known}

        def batches(self, size):
            raise AssertionError("nobody reads them all")

    records = Resolving(ids_of(3), unit(3), embedder=EMBEDDER)
    book = await read_keys(records)
    keys = [str(key_of("inc-0001")), "no key", str(uuid.uuid4())]
    assert await book.ids(keys) == ["inc-0001", None, None]
    await records.remove(["inc-0001"])
    assert await book.changed([], ["inc-0001"]).ids(keys) == [None, None, None]


# Vectors -----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=3))
def test_every_finite_vector_becomes_one_of_length_one_or_stays_nought(values):
    (row,) = unit_rows([values], 3)
    assert row.dtype == np.float32
    length = float(np.linalg.norm(row.astype(np.float64)))
    assert length == pytest.approx(1, abs=1e-6) or (length == 0 and max(map(abs, values)) <= 1e-300)


def test_no_vectors_are_no_rows():
    assert unit_rows(np.zeros((0, 3)), 3).shape == (0, 3)


# Records -----------------------------------------------------------------------------------------------------------------


async def test_records_in_memory_tell_their_contents():
    records = records_of(5)
    assert (await records.count(), records.embedder) == (5, EMBEDDER)
    batches = [batch async for batch in records.batches(2)]
    assert [list(batch.ids) for batch in batches] == [ids_of(5)[:2], ids_of(5)[2:4], ids_of(5)[4:]]
    assert np.allclose(np.concatenate([batch.vectors for batch in batches]), unit(5), atol=1e-6)
    assert await records.metadata(["inc-0003", "unknown"]) == {"inc-0003": {"group": 3, "tags": ["odd", "all"]}}


async def test_the_version_follows_the_contents():
    assert await records_of(5).version() == await records_of(5).version()
    others = [records_of(6), records_of(5, metadata={}), InMemoryRecords(ids_of(5), unit(5, seed=8), embedder=EMBEDDER)]
    assert len({await each.version() for each in [records_of(5), *others]}) == 4
    assert await records_of(5, version="mine").version() == "mine"
    records = records_of(5)
    before = await records.version()
    change = await records.put([Item("inc-0001", unit(1)[0], {"group": 1})])
    assert (change.before, change.after) == (before, await records.version())
    assert change.after != before
    assert (await records.remove(["inc-0001"])).before == change.after


@pytest.mark.parametrize(
    ("ids", "vectors", "kind"),
    [
        (["a"], unit(2), ValueError),
        (["a", "a"], unit(2), ValueError),
        (["a"], [[float("nan")] * 8], InvalidVector),
        (["a"], unit(1)[0], InvalidVector),
    ],
    ids=str,
)
def test_records_that_make_no_sense_are_refused(ids, vectors, kind):
    with pytest.raises(kind):
        InMemoryRecords(ids, vectors, embedder=EMBEDDER)


# Journal -----------------------------------------------------------------------------------------------------------------


def edit(before, after, put=(), removed=()):
    return Edit(before, after, {key: unit(1)[0] for key in put}, removed)


def test_edits_that_follow_each_other_lead_from_one_version_to_another():
    journal = Journal()
    one, two, three = edit("1", "2"), edit("2", "3"), edit("3", "4")
    for each in (one, two, three):
        journal.add(each)
    assert journal.between("1", "1") == []
    assert journal.between("1", "3") == [one, two]
    assert journal.between("2", "4") == [two, three]
    assert journal.between("1", "5") is None
    assert journal.between("0", "1") is None
    journal.settle("3")
    assert [each.indexed.done() for each in (one, two, three)] == [True, True, False]
    assert journal.between("3", "4") == [three]


def test_a_change_by_others_between_two_edits_breaks_the_chain_and_voids_what_was_before():
    journal = Journal()
    old, new = edit("1", "2"), edit("5", "6")
    journal.add(old)
    journal.add(new)
    assert journal.between("1", "6") is None
    journal.settle("5")
    assert (old.indexed.result(0), new.indexed.done()) == (False, False)
    assert journal.between("5", "6") == [new]


def test_who_waits_is_told_when_there_is_no_hope_and_the_edits_stay():
    journal = Journal()
    one = edit("1", "2")
    journal.add(one)
    journal.give_up()
    journal.give_up()
    assert one.indexed.result(0) is False
    assert journal.between("1", "2") == [one]
    journal.settle("2")
    assert journal.between("1", "2") is None


def test_of_several_edits_the_last_word_on_each_id_counts():
    first = [edit("1", "2", put="ab"), edit("2", "3", removed="b")]
    put, removed = merged([*first, edit("3", "4", removed="c"), edit("4", "5", put="c")])
    assert (set(put), removed) == ({"a", "c"}, {"b"})


# Pace --------------------------------------------------------------------------------------------------------------------


def test_batches_grow_while_inserts_are_quick_and_shrink_when_they_are_slow():
    pace = Pace(50, 0.25, 2.0)
    sizes = [pace.size]
    for _ in range(4):
        assert pace.took(0.01) == 0.02
        sizes.append(pace.size)
    assert sizes == [10, 20, 40, 50, 50]
    assert pace.took(1.0) == 2.0
    assert pace.size == 12
    pace.took(10.0)
    assert pace.size == 10
    pace.took(0.0)
    assert pace.size == 20


def test_a_body_holds_as_many_wide_vectors_as_fit():
    assert most_per_insert(256) > 50
    assert most_per_insert(3072) == 26
    assert most_per_insert(65_536) == 1


# Options -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"host": "http://localhost"},
        {"host": "a/b"},
        {"host": "a b"},
        {"host": "user@host"},
        {"port": 0},
        {"port": 70_000},
        {"collection": "a/b"},
        {"collection": "../x"},
        {"collection": "a" * 65},
        {"collection": ""},
        {"collection": "a\n"},
        {"dimension": 0},
        {"timeout": 0},
        {"max_retries": -1},
        {"insert_batch": 51},
        {"breaker": None},
        {"check_interval": float("nan")},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_with_what_is_allowed(wrong):
    (name,) = wrong
    with pytest.raises(OptionsError, match=f"{name}=.*it takes"):
        DvecdbOptions(**{"dimension": 8, **wrong})


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "::1", "d-vecdb.internal", "vectors_1", "fe80::1"])
def test_hosts_are_names_and_addresses(host):
    assert DvecdbOptions(dimension=8, host=host).host == host
