"""What d-vecDB does and our client relies on or works around: answers, collections, vectors.

Each fact holds for the real server and for the fake. Raw requests, no client of ours: were one of these tests to fail with another
version of the server, the client is to be looked at.
"""

import uuid

import pytest

from support.dvecdb.raw import JSON, Collection, client_of, refused

pytest_plugins = ["support.fixtures"]
BODY_LIMIT = 2_097_152


@pytest.fixture
def http(dvecdb):
    """A client of the real server, or of the fake."""
    with client_of(dvecdb) as client:
        yield client


@pytest.fixture
def collection(http):
    """One of three dimensions."""
    return Collection(http)


def test_health_is_an_answer_like_every_other(http):
    answer = http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "data": "OK", "error": None})


@pytest.mark.parametrize("route", ["vectors", "search", "DELETE vector", "GET vector", "DELETE"])
def test_an_unknown_collection_is_an_error_with_status_200(http, route):
    absent, one = f"/collections/absent{uuid.uuid4().hex}", uuid.uuid4()
    answers = {
        "vectors": lambda: http.post(f"{absent}/vectors", json={"id": str(one), "data": [1, 0, 0]}),
        "search": lambda: http.post(f"{absent}/search", json={"vector": [1, 0, 0]}),
        "DELETE vector": lambda: http.delete(f"{absent}/vectors/{one}"),
        "GET vector": lambda: http.get(f"{absent}/vectors/{one}"),
        "DELETE": lambda: http.delete(absent),
    }
    assert refused(answers[route]()) == f"Collection not found: {absent.removeprefix('/collections/')}"


def test_the_description_of_an_unknown_collection_is_an_error_without_its_name(http):
    assert refused(http.get(f"/collections/absent{uuid.uuid4().hex}")) == "Collection not found"


def test_a_batch_of_nothing_succeeds_even_for_an_unknown_collection(http):
    answer = http.post(f"/collections/absent{uuid.uuid4().hex}/vectors/batch", json={"vectors": []})
    assert answer.json() == {"success": True, "data": [], "error": None}


def test_a_wrong_dimension_is_an_error_with_status_200(http, collection):
    said = "Invalid vector dimension: expected 3, got 2"
    assert refused(http.post(f"{collection.path}/vectors", json={"id": str(uuid.uuid4()), "data": [1, 0]})) == said
    assert refused(http.post(f"{collection.path}/search", json={"vector": [1, 0]})) == said


def test_a_batch_with_one_wrong_vector_inserts_none(http, collection):
    batch = [{"id": str(uuid.uuid4()), "data": data} for data in ([1, 0, 0], [1, 0])]
    assert "expected 3, got 2" in refused(http.post(f"{collection.path}/vectors/batch", json={"vectors": batch}))
    assert collection.count == 0


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"vector": [1, 0', JSON, 400),
        (b'{"vector": [NaN, 0, 0]}', JSON, 400),
        (b'{"vector": [Infinity, 0, 0]}', JSON, 400),
        (b'{"vector": [1e400, 0, 0]}', JSON, 400),
        (b'{"vector": [1, 0, 0]}', {}, 415),
        (b'{"vector": [1, 0, 0]}', {"content-type": "text/plain"}, 415),
        (b'{"limit": 1}', JSON, 422),
        (b'{"vector": [null, 0, 0]}', JSON, 422),
        (b'{"vector": ["1", 0, 0]}', JSON, 422),
        (b'{"vector": [1, 0, 0], "limit": -1}', JSON, 422),
        (b'{"vector": [1, 0, 0], "limit": 2.0}', JSON, 422),
        (b'{"vector": [1, 0, 0], "filter": ["a"]}', JSON, 422),
    ],
    ids=str,
)
def test_a_malformed_request_is_refused_with_plain_text(http, collection, content, headers, status):
    answer = http.post(f"{collection.path}/search", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text


def test_unknown_paths_and_methods_are_refused_without_a_body(http, collection):
    for answer, status in (
        (http.get("/nothing"), 404),
        (http.get("/collections/"), 404),
        (http.get(f"{collection.path}/search"), 405),
    ):
        assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize(("length", "status"), [(BODY_LIMIT, 200), (BODY_LIMIT + 1, 413)])
def test_a_body_has_at_most_two_mebibytes(http, collection, length, status):
    content = b'{"vector": [1, 0, 0]}'.ljust(length)
    assert http.post(f"{collection.path}/search", content=content, headers=JSON).status_code == status


def test_a_collection_is_described_by_its_configuration_and_its_counts(collection):
    collection.insert([1, 0, 0])
    configuration, counts = collection.http.get(collection.path).json()["data"]
    assert configuration == collection.made
    assert (counts["name"], counts["vector_count"], counts["dimension"]) == (collection.name, 1, 3)
    assert collection.name in collection.http.get("/collections").json()["data"]


def test_a_collection_that_is_there_is_not_made_again(http, collection):
    collection.insert([1, 0, 0])
    assert refused(http.post("/collections", json=collection.made)) == f"Collection already exists: {collection.name}"
    assert collection.count == 1


def test_all_four_numbers_of_the_index_are_needed_or_none(http):
    told = {"name": f"c{uuid.uuid4().hex}", "dimension": 3, "distance_metric": "Cosine", "vector_type": "Float32"}
    assert http.post("/collections", json={**told, "index_config": {"max_connections": 64}}).status_code == 422
    assert http.post("/collections", json=told).json()["success"]
    index = http.get(f"/collections/{told['name']}").json()["data"][0]["index_config"]
    assert index == {"max_connections": 16, "ef_construction": 200, "ef_search": 50, "max_layer": 16}


def test_a_deleted_collection_takes_its_vectors_along(http, collection):
    collection.insert([1, 0, 0])
    assert http.delete(collection.path).json() == {"success": True, "data": None, "error": None}
    assert http.post("/collections", json=collection.made).json()["success"]
    assert (collection.count, collection.search([1, 0, 0])) == (0, [])


@pytest.mark.parametrize("name", ["a/b", "with space", "über"])
def test_any_name_is_taken_as_it_is(http, name):
    odd = Collection(http, name=f"{name}-{uuid.uuid4().hex}")
    assert odd.made["name"] in http.get("/collections").json()["data"]
    assert http.delete(odd.path).json()["success"]


@pytest.mark.dvecdb
def test_deleting_a_collection_can_remove_a_folder_that_is_not_its_own(real_dvecdb):
    victim = real_dvecdb.data_dir.parent / "victim"
    victim.mkdir()
    (victim / "kept.txt").write_text("precious")
    with client_of(real_dvecdb) as http:
        outside = Collection(http, name="../victim")
        assert http.delete(outside.path).json()["success"]
    assert not victim.exists()


def test_ids_are_uuids_and_others_are_refused_without_a_body(http, collection):
    one = str(uuid.uuid4())
    answers = [
        http.post(f"{collection.path}/vectors", json={"id": "incident-1", "data": [1, 0, 0]}),
        http.post(
            f"{collection.path}/vectors/batch", json={"vectors": [{"id": one, "data": [1, 0, 0]}, {"id": "2", "data": [1, 0, 0]}]}
        ),
        http.get(f"{collection.path}/vectors/incident-1"),
        http.delete(f"{collection.path}/vectors/incident-1"),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(400, b"")}
    assert collection.count == 0


def test_ids_come_back_in_their_canonical_form(http, collection):
    one = uuid.uuid4()
    answer = http.post(f"{collection.path}/vectors", json={"id": one.hex.upper(), "data": [1, 0, 0]})
    assert answer.json()["data"] == str(one)


def test_inserting_an_id_again_replaces_its_vector(collection):
    one = collection.insert([1, 0, 0])
    collection.insert([0, 1, 0], one)
    assert collection.count == 1
    assert collection.search([0, 1, 0], limit=1, ef_search=1) == [(one, pytest.approx(0, abs=1e-6))]


def test_of_an_id_that_a_batch_has_twice_the_last_vector_stays(http, collection):
    one = str(uuid.uuid4())
    batch = [{"id": one, "data": data} for data in ([1, 0, 0], [0, 1, 0])]
    assert http.post(f"{collection.path}/vectors/batch", json={"vectors": batch}).json()["data"] == [one, one]
    assert collection.search([0, 1, 0], limit=5, ef_search=5) == [(one, pytest.approx(0, abs=1e-6))]


def test_a_vector_cannot_be_read_back(http, collection):
    one = collection.insert([1, 0, 0])
    assert http.get(f"{collection.path}/vectors/{one}").json() == {"success": True, "data": None, "error": None}


def test_deleting_answers_false_and_deletes(http, collection):
    one, other = collection.insert([1, 0, 0]), collection.insert([0, 1, 0])
    for _ in range(2):
        assert http.delete(f"{collection.path}/vectors/{one}").json() == {"success": True, "data": False, "error": None}
    assert collection.count == 1
    assert [identity for identity, _ in collection.search([1, 0, 0], limit=5, ef_search=5)] == [other]


def test_replacing_with_a_wrong_dimension_deletes(http, collection):
    one = collection.insert([1, 0, 0])
    assert "expected 3, got 2" in refused(http.put(f"{collection.path}/vectors/{one}", json={"data": [1, 0]}))
    assert collection.count == 0
