"""Search, batch search and statistics of incidents."""

import pytest

from support.wire import problems

QUERY = "phishing mail stole credentials of employees"


async def test_a_search_finds_incidents_like_the_query_with_their_sources(api):
    data = (await api.send("POST", "/api/incidents/search", {"query": QUERY, "limit": 5})).json()["data"]
    assert (data["query"], data["corpusVersion"], data["attribution"]) == (QUERY, "corpus-1", "Toy corpus")
    assert {incident["id"].rpartition("-")[0] for incident in data["incidents"]} == {"cyber.phishing"}
    similarities = [incident["similarity"] for incident in data["incidents"]]
    assert len(similarities) == 5
    assert all(0 < similarity <= 1 for similarity in similarities)
    assert all(incident["sourceUrl"].startswith("https://") for incident in data["incidents"])
    assert all(incident["cost"] is None for incident in data["incidents"])


async def test_a_filter_is_obeyed(api):
    body = {"query": QUERY, "filter": {"severities": ["critical"], "industries": ["Hospital"], "yearFrom": 2021}, "limit": 100}
    found = (await api.send("POST", "/api/incidents/search", body)).json()["data"]["incidents"]
    assert found
    assert {(i["severity"], i["industry"], i["date"][:4]) for i in found} == {("critical", "healthcare", "2021")}


async def test_a_filter_that_nothing_fulfils_finds_nothing(api):
    body = {"query": QUERY, "filter": {"countries": ["zz"]}}
    assert (await api.send("POST", "/api/incidents/search", body)).json()["data"]["incidents"] == []


async def test_a_batch_has_one_result_per_query_in_order(api):
    queries = [QUERY, "bucket exposed", "zeppelin xylophone"]
    results = (await api.send("POST", "/api/incidents/search/batch", {"queries": queries, "limit": 3})).json()["data"]["results"]
    assert [result["query"] for result in results] == queries
    single = (await api.send("POST", "/api/incidents/search", {"query": QUERY, "limit": 3})).json()["data"]
    assert results[0] == single


async def test_all_that_is_wrong_with_a_search_is_told_at_once(api):
    body = {"query": "x", "limit": 101, "filter": {"severities": ["bad"], "kinds": 5, "yearFrom": 1, "colour": "red"}, "top": 5}
    assert problems(await api.send("POST", "/api/incidents/search", body)) == {
        "query": "too_short", "limit": "out_of_range", "filter.severities[0]": "not_a_choice", "filter.kinds": "wrong_type",
        "filter.yearFrom": "out_of_range", "filter.colour": "unknown_field", "top": "unknown_field",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"queries": []},
        {"queries": ["xx"] * 51},
        {"queries": ["x" * 2001]},
        {"queries": ["a\x00b"]},
        {"queries": QUERY},
        {"queries": [None]},
    ],
)
async def test_a_batch_that_cannot_be_is_told(api, body):
    problems(await api.send("POST", "/api/incidents/search/batch", body))


async def test_years_the_wrong_way_round_are_told_by_search_and_statistics_alike(api):
    body = {"query": QUERY, "filter": {"yearFrom": 2024, "yearTo": 2020}}
    assert len(problems(await api.send("POST", "/api/incidents/search", body))) == 1
    assert len(problems(await api.get("/api/incidents/statistics?yearFrom=2024&yearTo=2020"))) == 1


async def test_statistics_count_what_the_filter_admits(api):
    data = (await api.get("/api/incidents/statistics?severities=critical,high&kinds=incident&yearFrom=2020")).json()["data"]
    assert data["bySeverity"] == {"critical": 8, "high": 8}
    assert (data["total"], data["earliest"], data["latest"]) == (16, "2020-05", "2021-05")


async def test_statistics_over_everything_need_no_filter(api):
    data = (await api.get("/api/incidents/statistics")).json()["data"]
    assert data["total"] == 41
    assert data["costs"]["fine"] == {
        "n": 0, "median": None, "lowerQuartile": None, "upperQuartile": None, "note": "insufficient data: 0 of at least 5 values"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("severities=awful", "severities[0]"),
        ("kinds=incident,accident", "kinds[1]"),
        ("yearFrom=x", "yearFrom"),
        ("yearTo=99999", "yearTo"),
        ("colour=red", "colour"),
        ("countries=%07", "countries"),
        ("sources=a&sources=b", "sources"),
        ("industries=", "industries"),
        ("industries=" + "x" * 201, "industries"),
    ],
)
async def test_a_wrong_filter_of_statistics_is_told(api, query, path):
    assert list(problems(await api.get(f"/api/incidents/statistics?{query}"))) == [path]
