"""``KeywordIndex``: BM25."""

import pytest

from sengol_api.adapters.bm25_index import Bm25Index

TEXTS = {
    "a-mail": "An assistant leaked emails of its users to strangers",
    "b-log4j": "Attackers used Log4j-2 and CVE-2021-44228 against a portal",
    "c-policy": "Policies of an insurer were exposed in a public bucket",
    "d-long": "A portal " + "was slow and " * 40 + "then failed",
    "e-none": "",
}


@pytest.fixture
def index() -> Bm25Index:
    return Bm25Index(list(TEXTS), list(TEXTS.values()))


async def ids(index, query, limit=10, allowed=None):
    (hits,) = await index.search([query], limit, allowed)
    return [hit.id for hit in hits]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("LOG4J", "b-log4j"),
        ("cve-2021-44228", "b-log4j"),
        ("policy", "c-policy"),
        ("email", "a-mail"),
        ("Buckets!", "c-policy"),
    ],
)
async def test_names_codes_and_plurals_are_found(index, query, found):
    assert (await ids(index, query))[0] == found


async def test_an_incident_without_a_common_word_is_no_match(index):
    assert await ids(index, "zeppelin") == []
    assert await ids(index, "") == []
    assert await ids(index, "the of and") == []


async def test_a_word_inside_another_is_no_match(index):
    assert await ids(index, "mail") == []


async def test_a_short_text_about_a_word_stands_before_a_long_one_that_names_it(index):
    assert await ids(index, "portal") == ["b-log4j", "d-long"]


async def test_hits_are_best_first_positive_and_at_most_as_many_as_asked_for(index):
    (hits,) = await index.search(["portal bucket emails attackers"], 3)
    assert len(hits) == 3
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert hits[-1].score > 0


async def test_each_query_has_its_own_answer_in_order(index):
    found = await index.search(["bucket", "zeppelin", "emails"], 1)
    assert [[hit.id for hit in hits] for hits in found] == [["c-policy"], [], ["a-mail"]]


async def test_only_allowed_incidents_are_found(index):
    assert await ids(index, "portal", allowed=frozenset({"d-long", "unknown"})) == ["d-long"]
    assert await ids(index, "portal", allowed=frozenset()) == []


@pytest.mark.parametrize("limit", [0, -3])
async def test_asking_for_none_finds_none(index, limit):
    assert await ids(index, "portal", limit) == []


async def test_equal_scores_are_in_the_order_of_their_ids():
    same = Bm25Index([f"inc-{n:02}" for n in range(20)], ["the same bucket"] * 20)
    for limit in (4, 20):
        assert await ids(same, "bucket", limit) == [f"inc-{n:02}" for n in range(limit)]


@pytest.mark.parametrize("texts", [[], [""], ["", "the of"]])
async def test_an_index_without_a_word_finds_nothing(texts):
    index = Bm25Index([f"inc-{n}" for n in range(len(texts))], texts)
    assert await ids(index, "bucket") == []
    assert index.salient("bucket", 5) == []


def test_salient_words_are_rare_ones_of_the_corpus_rarest_first():
    texts = ["alpha beta gamma"] * 3 + ["beta gamma delta"] * 2 + ["gamma omega"] * 45
    index = Bm25Index([f"inc-{n:02}" for n in range(50)], texts)
    assert index.salient("gamma beta, Alpha! delta unknown alpha", 5) == ["alpha"]
    many = Bm25Index([f"inc-{n:03}" for n in range(500)], texts + ["omega"] * 450)
    assert many.salient("gamma beta, Alpha! delta unknown alpha", 5) == ["alpha", "beta"]
    assert many.salient("gamma beta alpha", 1) == ["alpha"]


def test_ids_and_texts_must_be_as_many():
    with pytest.raises(ValueError, match="2 ids"):
        Bm25Index(["a", "b"], ["one text"])
