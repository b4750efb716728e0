"""The incidents in memory."""

import pytest

from sengol_api.review.corpus import Corpus
from sengol_api.review.incident import IncidentFilter
from support.builders import make_incident


def corpus():
    return Corpus(
        [
            make_incident("a", industry="finance"),
            make_incident("b", industry="finance"),
            make_incident("c", industry="retail"),
            make_incident("d", industry=None),
            make_incident("v", industry="energy", kind="vulnerability", products=("Log4j", "struts")),
        ],
        version="1",
    )


def test_shares_are_of_the_incidents_whose_industry_is_known():
    assert corpus().industry_share == pytest.approx({"finance": 2 / 3, "retail": 1 / 3})


def test_no_filter_stands_for_everything():
    assert corpus().where(IncidentFilter()) is None


def test_a_filter_gives_the_ids_that_it_admits():
    assert corpus().where(IncidentFilter(industries=frozenset({"finance"}))) == {"a", "b"}
    assert corpus().where(IncidentFilter(industries=frozenset({"water"}))) == frozenset()


def test_a_vulnerability_is_evidence_only_for_a_system_with_the_product():
    assert corpus().evidence_for([]) == {"a", "b", "c", "d"}
    assert corpus().evidence_for(["nginx"]) == {"a", "b", "c", "d"}
    assert "v" in corpus().evidence_for(["struts"])


@pytest.mark.parametrize("name", ["log4j", "Log4j", "LOG4J"])
def test_products_are_found_however_they_are_written(name):
    assert "v" in corpus().evidence_for([name])


def test_an_unknown_id_is_none_and_no_error():
    assert corpus().get("nothing") is None
    assert corpus().get("a").id == corpus()["a"].id == "a"
    assert len(corpus()) == len(list(corpus().all())) == 5


def test_an_empty_corpus_has_no_shares():
    empty = Corpus([], version="0")
    assert (len(empty), dict(empty.industry_share), empty.evidence_for(["x"])) == (0, {}, frozenset())
