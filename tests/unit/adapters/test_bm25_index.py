"""Ranking by words."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.bm25_index import Bm25Index, _tokens, tokenize

TEXTS = {
    "a": "Phishing mail steals credentials of employees",
    "b": "A second phishing mail, and a third phishing mail",
    "c": "An outage of a region",
    "d": "",
    "e": "CVE-2021-44228 in log4j-2 was exploited",
}


def index(texts=None):
    chosen = TEXTS if texts is None else texts
    return Bm25Index(list(chosen), chosen.values())


async def ids(query, limit=10, allowed=None):
    [found] = await index().search([query], limit, allowed)
    return [hit.id for hit in found]


async def test_only_texts_with_a_common_word_are_found():
    assert await ids("phishing") == ["b", "a"]
    assert await ids("quantum") == []
    assert await ids("") == []


async def test_words_of_no_meaning_find_nothing():
    assert await ids("a of the and") == []


async def test_codes_are_found_whole_and_in_parts():
    assert await ids("cve-2021-44228") == ["e"]
    assert await ids("log4j") == ["e"]
    assert await ids("LOG4J-2.") == ["e"]


async def test_singular_and_plural_find_each_other():
    assert "c" in await ids("outages in regions")


async def test_the_limit_and_the_allowed_ids_hold():
    assert await ids("phishing", 1) == ["b"]
    assert await ids("phishing", 0) == []
    assert await ids("phishing", 5, frozenset({"a", "zzz"})) == ["a"]
    assert await ids("phishing", 5, frozenset()) == []


async def test_scores_are_those_of_the_formula():
    texts = {"a": "red red blue", "b": "red green", "c": "green green green green"}
    [found] = await index(texts).search(["red"], 5)
    idf = math.log1p((3 - 2 + 0.5) / (2 + 0.5))
    lengths, mean = {"a": 3, "b": 2}, 3.0

    def due(key, count):
        return idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * lengths[key] / mean))

    scores = {hit.id: hit.score for hit in found}
    ratio = due("a", 2) / due("b", 1)  # a constant factor on all scores would change no ranking
    assert scores["a"] / scores["b"] == pytest.approx(ratio, rel=1e-5)


async def test_ties_go_by_id():
    texts = {f"i{n:03}": "the same words" for n in range(300)}
    [found] = await index(texts).search(["same words"], 4)
    assert [hit.id for hit in found] == ["i000", "i001", "i002", "i003"]


async def test_each_query_has_its_own_answer():
    assert [[hit.id for hit in found] for found in await index().search(["outage", "quantum", "log4j"], 5)] == [["c"], [], ["e"]]


async def test_an_empty_corpus_finds_nothing():
    empty = index({})
    assert (len(empty), await empty.search(["word"], 5), empty.salient("word", 5)) == (0, [[]], [])
    assert await index({"a": "", "b": "the of"}).search(["word"], 5) == [[]]


def test_salient_words_are_rare_but_not_unique():
    texts = {f"i{n:03}": "common" + " ransomware" * (n < 4) + " unique" * (n == 0) for n in range(200)}
    assert index(texts).salient("Common ransomware, unique nonsense", 5) == ["ransomware"]


def test_ids_and_texts_must_belong_together():
    with pytest.raises(ValueError, match="2 ids for 1 texts"):
        Bm25Index(["a", "b"], ["one"])


@given(st.text())
def test_any_text_can_be_taken_apart(text):
    assert all(token and token == token.lower() for token in tokenize(text))


def test_words_of_requests_are_not_remembered_by_the_ten_thousand():
    """An answered request leaves nothing of its words behind, but for a few thousand short ones."""
    tokenize(" ".join(f"log4j-{number}" for number in range(10_000)))
    tracemalloc.start()
    try:
        for letter in "abcdefghij":
            tokenize(" ".join(letter + f"{number:04}" * 100 for number in range(100)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50_000
    assert _tokens.cache_info().maxsize <= 5_000


def test_a_long_word_is_taken_apart_like_a_short_one():
    assert tokenize("a" * 100 + "-policies") == ["a" * 100 + "-policy", "a" * 100, "policy"]
