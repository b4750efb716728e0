"""Reviews: made, read, listed, removed; another user's does not exist."""

import datetime as dt

import pytest

from support.wire import UNKNOWN_ID, assert_error, problems


async def test_a_new_review_has_a_name_an_id_and_a_place(api):
    answer = await api.send("POST", "/api/review", {"name": "Triage assistant"})
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/review/{data['id']}"
    assert {key: data[key] for key in ("name", "revision", "createdAt", "updatedAt")} == {
        "name": "Triage assistant", "revision": 0, "createdAt": "2026-11-24T12:00:00.000Z", "updatedAt": "2026-11-24T12:00:00.000Z"
    }  # fmt: skip


async def test_a_review_needs_no_name(api):
    assert (await api.send("POST", "/api/review", {})).json()["data"]["name"] == "Untitled review"


async def test_a_fresh_review_has_no_questions_answers_or_score(api):
    review = await api.review()
    answer = await api.get(f"/api/review/{review}")
    data = answer.json()["data"]
    assert (data["riskQuestions"], data["complianceQuestions"], data["answers"]) == ([], [], {})
    assert answer.headers["etag"] == '"0"'
    score = (await api.get(f"/api/review/{review}/score")).json()["data"]
    assert (score["score"], score["revision"], score["risk"]["terms"]) == (None, 0, [])


async def test_the_list_is_newest_first_in_pages(api):
    names = []
    for number in range(5):
        api.clock.now += dt.timedelta(seconds=1)
        names.insert(0, f"Review {number}")
        await api.review(name=names[0])
    pages = [(await api.get(f"/api/review?page={page}&limit=2")).json()["data"] for page in (1, 2, 3, 4)]
    assert [[r["name"] for r in page["reviews"]] for page in pages] == [names[:2], names[2:4], names[4:], []]
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("page=0", {"page": "out_of_range"}),
        ("limit=101&page=-1", {"limit": "out_of_range", "page": "out_of_range"}),
        ("page=x&limit=", {"page": "wrong_type", "limit": "wrong_type"}),
        ("page=1.5", {"page": "wrong_type"}),
        ("page=99999999999999999999999999", {"page": "out_of_range"}),
        ("page=1&page=2", {"page": "repeated"}),
        ("size=3", {"size": "unknown_field"}),
        ("Page=1", {"Page": "unknown_field"}),
        ("page=NaN&%00=%ff", {"page": "wrong_type", "\x00": "unknown_field"}),
    ],
)
async def test_a_wrong_page_is_told_with_all_that_is_wrong(api, query, found):
    told = problems(await api.get(f"/api/review?{query}"))
    assert told.keys() == found.keys()


async def test_a_removed_review_is_gone(api):
    review, other = await api.review(), await api.review()
    answer = await api.send("DELETE", f"/api/review/{review}")
    assert answer.json() == {"data": {"id": review}, "success": True}
    assert_error(await api.get(f"/api/review/{review}"), "NOT_FOUND")
    assert_error(await api.send("DELETE", f"/api/review/{review}"), "NOT_FOUND")
    assert [r["id"] for r in (await api.get("/api/review")).json()["data"]["reviews"]] == [other]


ROUTES = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("GET", "/score", None),
    ("PUT", "/answers", {"ai.injection": "addressed"}),
    ("PUT", "/save-questions", {"riskQuestions": [], "complianceQuestions": []}),
    ("POST", "/generate-questions", {"systemDescription": "A chatbot answers patients."}),
]


@pytest.mark.parametrize(("method", "route", "body"), ROUTES)
async def test_another_users_review_is_not_found_like_one_that_never_was(api, method, route, body):
    review, _ = await api.saved()
    api.headers = await api.register("other@example.com")
    foreign = await api.send(method, f"/api/review/{review}{route}", body)
    unknown = await api.send(method, f"/api/review/{UNKNOWN_ID}{route}", body)
    assert_error(foreign, "NOT_FOUND")
    assert_error(unknown, "NOT_FOUND")
    assert foreign.json()["error"] == unknown.json()["error"]
    assert (await api.get("/api/review")).json()["data"]["total"] == 0


@pytest.mark.parametrize("identity", ["x", "%00", "%ff", "..%2f..", "'%20OR%201=1", "x" * 5000, "%F0%9F%98%80", "null", "0"])
@pytest.mark.parametrize(("method", "route", "body"), ROUTES)
async def test_an_id_that_is_none_is_not_found(api, method, route, body, identity):
    assert_error(await api.send(method, f"/api/review/{identity}{route}", body), "NOT_FOUND")
