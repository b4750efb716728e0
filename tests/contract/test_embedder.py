"""``Embedder``: WordLlama with its real weights, OpenAI's over a socket, and the toy of the other tests."""

from pathlib import Path

import numpy as np
import pytest

from sengol_api.adapters.openai import OpenAIClient, OpenAIEmbedder, OpenAIOptions
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from support.heap import in_use
from support.toys import BagOfWords

pytest_plugins = ["support.fixtures"]

TEXTS = ["A chatbot leaked medical records", "Ransomware stopped a pipeline", "A chatbot leaked the records of patients"]
NOTHING = ["", "   ", "\n\t"]


@pytest.fixture(scope="session")
def wordllama() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


@pytest.fixture
async def remote(openai_server):
    async with OpenAIClient(OpenAIOptions(api_key="key-1", base_url=openai_server.base_url)) as client:
        yield OpenAIEmbedder(client)


@pytest.fixture(params=["wordllama", "toy", "remote"])
def embedder(request):
    return BagOfWords() if request.param == "toy" else request.getfixturevalue(request.param)


@pytest.fixture(params=["wordllama", "toy"])
def knowing(request):
    """One that knows words: the vectors of the fault server are those of a lottery."""
    return BagOfWords() if request.param == "toy" else request.getfixturevalue(request.param)


async def test_each_text_has_a_unit_vector_of_the_promised_size(embedder):
    vectors = await embedder.embed(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((3, embedder.dimension), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_a_text_has_one_vector_whatever_stands_beside_it(embedder):
    together = await embedder.embed([*TEXTS, "a much longer neighbour " * 200])
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose((await embedder.embed([text]))[0], together[row], atol=1e-5)


async def test_a_text_like_another_is_nearer_than_one_unlike_it(knowing):
    vectors = await knowing.embed(TEXTS)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1]


async def test_texts_without_a_word_give_zero_vectors_and_do_not_disturb_others(embedder):
    vectors = await embedder.embed([NOTHING[0], TEXTS[0], *NOTHING[1:]])
    np.testing.assert_array_equal(vectors[[0, 2, 3]], 0)
    np.testing.assert_allclose(vectors[1], (await embedder.embed(TEXTS[:1]))[0], atol=1e-5)


async def test_no_texts_give_no_vectors(embedder):
    assert (await embedder.embed([])).shape == (0, embedder.dimension)


@pytest.mark.parametrize("text", ["\x00\x01", "😀" * 50, "漏洩", "\u202eevil", "a" * 50_000, "a " * 50_000, "\ufffe\uffff"])
async def test_strange_texts_give_finite_vectors(embedder, text):
    assert np.isfinite(await embedder.embed([text])).all()


def test_the_name_tells_the_version_and_the_size(wordllama):
    assert wordllama.name.startswith("wordllama-")
    assert wordllama.name.endswith(f"-{wordllama.dimension}")


async def test_the_vectors_are_those_of_the_package_itself(wordllama):
    """The adapter reads the weights without importing the package, whose import is slow."""
    import wordllama as package

    model = package.WordLlama.load(dim=wordllama.dimension, disable_download=True, cache_dir=Path(package.__file__).parent)
    texts = [*TEXTS, "CVE-2021-44228 in Log4j-2", "Überfall – 漏洩 😀", "word " * 3000]
    for text in texts:
        (theirs,) = model.embed([text], norm=True)
        np.testing.assert_allclose((await wordllama.embed([text]))[0], theirs, atol=1e-5)


async def test_other_weights_than_the_measured_ones_are_refused(monkeypatch):
    from sengol_api.adapters import wordllama_embedder

    monkeypatch.setitem(wordllama_embedder.SHA256, wordllama_embedder.WEIGHTS, "0" * 64)
    with pytest.raises(RuntimeError, match="not the pinned"):
        WordLlamaEmbedder().warm()


def test_nothing_of_the_texts_is_kept(wordllama):
    wordllama.embed_now(["One text, so that all is loaded"])
    before = in_use()
    for number in range(2_000):
        wordllama.embed_now([f"A triage chatbot of a hospital for {number} users, and some more words that make the text longer"])
    assert in_use() - before < 2**20
