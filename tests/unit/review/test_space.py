"""Spaces of vectors, and the ladder of embeddings."""

from dataclasses import replace

import numpy as np
import pytest

from sengol_api.review.errors import LLMError
from sengol_api.review.provenance import Degradation, collect
from sengol_api.review.space import Nearness, Spaces, like
from support.toys import BagOfWords, toy_world

CHANCE = np.random.default_rng(7)


def unit(shape):
    vectors = CHANCE.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Broken(BagOfWords):
    name = "broken"

    async def embed(self, texts):
        raise LLMError("its key is refused")


async def spaces(embedder=None, waiting=lambda: ""):
    local = (await toy_world()).spaces.local
    found = Spaces(local, waiting=waiting)
    if embedder is not None:
        found.preferred = replace(local, embedder=embedder)
    return found


async def test_the_preferred_space_serves_while_it_can():
    ladder = await spaces(BagOfWords())
    with collect() as provenance:
        space, vectors = await ladder.place(["phishing mail"])
    assert (space, vectors.shape, provenance.degraded) == (ladder.preferred, (1, 64), ())


async def test_the_local_space_serves_when_it_cannot_and_says_why():
    ladder = await spaces(Broken())
    with collect() as provenance:
        space, _ = await ladder.place(["phishing mail"])
    assert space is ladder.local
    assert provenance.degraded == (Degradation("embeddings", "local", "its key is refused"),)


async def test_a_space_that_is_not_ready_yet_is_waited_for_in_the_local_one():
    told = ["3 of 40 vectors are made"]
    ladder = await spaces(waiting=lambda: told[0])
    with collect() as provenance:
        await ladder.place(["x"])
    assert provenance.degraded == (Degradation("embeddings", "local", "3 of 40 vectors are made"),)


async def test_a_local_space_alone_is_not_degraded_and_known_vectors_are_not_made_again():
    ladder = await spaces()
    known = np.zeros((1, 64), dtype=np.float32)
    with collect() as provenance:
        _, vectors = await ladder.place(["x"], known)
    assert vectors is known
    assert (provenance.degraded, provenance.served) == ((), (("embeddings", ("fresh",)),))


@pytest.mark.parametrize("squeeze", [1.0, 0.5, 0.1])
def test_thresholds_of_another_space_let_the_same_share_through(squeeze):
    areas, corpus = unit((20, 32)), unit((3000, 32))
    measured = Nearness(strong=0.4, weak=0.2)
    own = (areas, corpus)
    # The same geometry with one more axis on which all agree: every cosine moves up, the order stays.
    common = np.float32(np.sqrt(1 - squeeze))
    other = tuple(np.hstack([v * np.float32(np.sqrt(squeeze)), np.full((len(v), 1), common)]) for v in own)
    found = like(measured, *own, *other)
    assert found.strong == pytest.approx(squeeze * 0.4 + 1 - squeeze, abs=0.02)
    assert found.weak == pytest.approx(squeeze * 0.2 + 1 - squeeze, abs=0.02)
