"""One review of the real catalogue, made once."""

import pytest

from sengol_api.review.assist.grounding import Grounding
from support.assisted import embedder, reviewed, split


@pytest.fixture(scope="session")
def review():
    """Questions of all domains, with three incidents each."""
    return reviewed()


@pytest.fixture(scope="session")
def grounding(review):
    """The checks of the domain ai."""
    return Grounding(*split(review.of("ai")), review.places["ai"], review.facts, embedder().embed_now)
