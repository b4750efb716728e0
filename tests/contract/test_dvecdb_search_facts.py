"""What d-vecDB does and our client relies on or works around: search, blocking work, and loss.

Each fact holds for the real server and for the fake. Raw requests, no client of ours: were one of these tests to fail with another
version of the server, the client is to be looked at.
"""

import uuid
from contextlib import suppress

import httpx2
import numpy as np
import pytest

from support.dvecdb.fake import fake_dvecdb
from support.dvecdb.raw import INDEX, Collection, client_of, posted, refused, vectors

pytest_plugins = ["support.fixtures"]


@pytest.fixture
def http(dvecdb):
    """A client of the real server, or of the fake."""
    with client_of(dvecdb) as client:
        yield client


@pytest.fixture
def collection(http):
    """One of three dimensions."""
    return Collection(http)


def test_the_farthest_of_the_candidates_are_answered_farthest_first(http):
    collection = Collection(http, 2)
    angles = np.linspace(0, np.pi / 2, 20)
    ids = collection.insert_all(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found = collection.search([1, 0], limit=5, ef_search=15)
    assert [identity for identity, _ in found] == ids[14:9:-1]
    assert [distance for _, distance in found] == pytest.approx([1 - np.cos(angle) for angle in angles[14:9:-1]], abs=1e-6)


def test_as_many_candidates_as_answers_give_the_nearest(http):
    collection = Collection(http, 2)
    angles = np.linspace(0, np.pi / 2, 20)
    ids = collection.insert_all(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    for options in ({"limit": 5, "ef_search": 5}, {"limit": 5, "ef_search": 1}, {"limit": 5}):
        assert [identity for identity, _ in collection.search([1, 0], **options)] == ids[4::-1], options


def test_defaults_find_none_of_the_nearest(http):
    collection = Collection(http, 16, index_config={**INDEX, "ef_search": 50})
    rows = vectors(300, 16)
    ids = collection.insert_all(rows)
    nearest = np.argsort(-(rows @ rows[7]) / np.linalg.norm(rows, axis=1))[:10]
    assert not {ids[row] for row in nearest} & {identity for identity, _ in collection.search(rows[7])}


def test_wide_sorted_and_cut_a_search_finds_the_nearest(http):
    collection = Collection(http, 32)
    rows, queries = vectors(400, 32), vectors(40, 32, seed=2)
    ids = collection.insert_all(rows)
    hits = 0
    for query in queries:
        nearest = np.argsort(-(rows @ query) / np.linalg.norm(rows, axis=1))[:10]
        found = sorted(collection.search(query, limit=50, ef_search=50), key=lambda hit: hit[1])[:10]
        hits += len({ids[row] for row in nearest} & {identity for identity, _ in found})
    assert hits / 400 >= 0.9


@pytest.mark.dvecdb
def test_a_vector_with_too_many_links_loses_them_all_so_that_an_answer_can_be_short(real_dvecdb):
    with client_of(real_dvecdb) as http:
        collection = Collection(http, 16, index_config={**INDEX, "max_connections": 2, "ef_construction": 2})
        collection.insert_all(vectors(200, 16))
        assert collection.count == 200
        assert len(collection.search(vectors(1, 16, seed=2)[0], limit=500, ef_search=500)) < 150


def test_the_fake_can_give_short_answers_and_overlook_vectors():
    with fake_dvecdb(short_answers=0.5, overlooked=0.1) as fake, client_of(fake) as http:
        collection = Collection(http, 16)
        collection.insert_all(vectors(200, 16))
        lengths = [len(collection.search(query, limit=200)) for query in vectors(60, 16, seed=2)]
    whole = max(lengths)
    assert set(lengths) == {1, whole}
    assert 10 < lengths.count(1) < 50
    assert 160 < whole < 195


def test_the_fake_can_lose_a_part_of_what_it_holds():
    with fake_dvecdb() as fake, client_of(fake) as http:
        collection = Collection(http)
        collection.insert_all(vectors(10, 3))
        fake.lose(collection.name, 0.3)
        assert collection.count == 7


def test_more_answers_than_vectors_are_all_vectors(collection):
    ids = {collection.insert(row) for row in np.eye(3)}
    assert {identity for identity, _ in collection.search([1, 0, 0], limit=1_000_000, ef_search=1_000_000)} == ids
    assert len(collection.search([1, 0, 0])) == 3
    assert collection.search([1, 0, 0], limit=0) == []


def test_an_empty_collection_answers_nothing(collection):
    assert collection.search([1, 0, 0], limit=5, ef_search=5) == []


def test_a_filter_is_ignored(collection):
    one = collection.insert([1, 0, 0])
    assert collection.search([1, 0, 0], limit=5, ef_search=5, filter={"severity": "high"})[0][0] == one


def test_there_is_no_search_for_several_vectors(http, collection):
    assert http.post(f"{collection.path}/search/batch", json={"vectors": [[1, 0, 0]]}).status_code == 404
    assert http.post(f"{collection.path}/search", json={"vector": [[1, 0, 0], [0, 1, 0]]}).status_code == 422


def test_cosine_distances_reach_from_nought_to_two_and_a_little_below_nought(http):
    collection = Collection(http, 64)
    rows = vectors(150, 64)
    collection.insert_all(rows)
    nearest = [min(distance for _, distance in collection.search(row, limit=5, ef_search=5)) for row in rows]
    assert -1e-6 < min(nearest) < 0
    farthest = collection.search(-rows[0], limit=1, ef_search=500)
    assert farthest[0][1] == pytest.approx(2, abs=1e-5)


def test_a_vector_of_noughts_is_at_distance_one_of_all(collection):
    collection.insert([1, 0, 0])
    assert [distance for _, distance in collection.search([0, 0, 0], limit=5, ef_search=5)] == [1.0]


def test_a_number_beyond_single_precision_makes_every_distance_null(collection):
    collection.insert([1, 0, 0])
    collection.insert([0, 1, 0])
    assert [distance for _, distance in collection.search([1e39, 0, 0], limit=5, ef_search=5)] == [None, None]


def test_a_stored_vector_beyond_single_precision_is_found_without_a_distance(collection):
    fine, huge = collection.insert([1, 0, 0]), collection.insert([1e39, 0, 0])
    assert dict(collection.search([1, 0, 0], limit=5, ef_search=5)) == {fine: 0.0, huge: None}


def test_a_vector_whose_length_is_beyond_single_precision_is_at_distance_one_of_all(collection):
    collection.insert([1, 0, 0])
    assert [distance for _, distance in collection.search([1e30, 0, 0], limit=5, ef_search=5)] == [1.0]


def test_a_batch_is_seen_whole_or_not_at_all(http, dvecdb):
    collection = Collection(http, 32)
    body = {"vectors": [{"id": str(uuid.uuid4()), "data": row.tolist()} for row in vectors(200, 32)]}
    with posted(dvecdb, f"{collection.path}/vectors/batch", body) as line:
        seen = {collection.count}
        while 200 not in seen:
            seen.add(collection.count)
        assert b" 200 OK" in line.recv(4096)
    assert seen <= {0, 200}


def test_a_batch_goes_on_after_its_client_has_left(http, dvecdb):
    for _ in range(5):  # one that left too early was never begun
        collection = Collection(http, 32)
        body = {"vectors": [{"id": str(uuid.uuid4()), "data": row.tolist()} for row in vectors(250, 32)]}
        with posted(dvecdb, f"{collection.path}/vectors/batch", body) as line:
            line.settimeout(0.1)
            with suppress(TimeoutError):  # the client's patience ends, the server's work does not
                line.recv(1)
        if (count := collection.count) == 250:
            return
        assert count == 0
    pytest.fail("none of five batches went on")


def test_nothing_survives_a_restart(own_dvecdb):
    with client_of(own_dvecdb) as http:
        collection = Collection(http)
        collection.insert([1, 0, 0])
    own_dvecdb.restart()
    with client_of(own_dvecdb) as http:
        assert http.get("/collections").json()["data"] == []
        assert (
            refused(http.post(f"{collection.path}/search", json={"vector": [1, 0, 0]}))
            == f"Collection not found: {collection.name}"
        )
        assert http.post("/collections", json=collection.made).json()["success"]
        assert http.get(collection.path).json()["data"][1]["vector_count"] == 0


def test_a_vector_with_metadata_keeps_the_server_from_starting_again(own_dvecdb):
    with client_of(own_dvecdb) as http:
        collection = Collection(http)
        one = collection.insert([1, 0, 0], metadata={"severity": "high"})
        hit = http.post(f"{collection.path}/search", json={"vector": [1, 0, 0]}).json()["data"][0]
        assert (hit["id"], hit["metadata"]) == (one, {"severity": "high"})
    with pytest.raises(RuntimeError):
        own_dvecdb.restart()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{own_dvecdb.url}/health")
