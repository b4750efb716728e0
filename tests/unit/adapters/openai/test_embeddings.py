"""Embeddings: few requests, right order, and only what is not at hand."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from sengol_api.adapters.openai import OpenAIEmbedder, PartialEmbeddingsError, ServerFailedError, TooLongError
from sengol_api.resilience import OptionsError
from sengol_api.resilience.testing import after, hang, run_virtual
from sengol_api.review.errors import LLMError
from support.openai_answers import vector_of
from support.openai_clients import client_over
from support.openai_sdk import Embedded, FakeSdk, refused

TEXTS = [f"control number {number}" for number in range(10)]


def sent(sdk):
    return [body["input"] for body in sdk.bodies]


def same(vectors, texts, dimension=1536):
    for vector, text in zip(vectors, texts, strict=True):
        np.testing.assert_allclose(vector, vector_of(text, dimension), atol=1e-6)


def test_vectors_come_in_the_order_of_the_texts_in_one_request():
    async def main(clock):
        sdk = FakeSdk(Embedded(reorder=list.reverse))
        vectors = await client_over(clock, sdk).batch_generate_embeddings(TEXTS)
        same(vectors, TEXTS)
        assert (vectors[0].dtype, len(vectors[0]), sdk.count) == (np.float32, 1536, 1)

    run_virtual(main)


def test_three_thousand_texts_are_two_requests_and_a_smaller_batch_is_the_callers_to_ask_for():
    async def main(clock):
        texts = [f"text {number}" for number in range(3000)]
        sdk = FakeSdk(Embedded())
        vectors = await client_over(clock, sdk).batch_generate_embeddings(texts, dimensions=8)
        same(vectors, texts, 8)
        assert [len(each) for each in sent(sdk)] == [2048, 952]
        small = FakeSdk(after(1.0, Embedded()))
        await client_over(clock, small).batch_generate_embeddings(texts[:100], 20, 3, dimensions=8)
        assert [len(each) for each in sent(small)] == [20] * 5
        assert small.script.most == 3

    run_virtual(main)


def test_requests_are_split_by_tokens_as_well():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        client = client_over(clock, sdk, options={"max_input_tokens": 100, "max_request_tokens": 250})
        await client.batch_generate_embeddings(["x" * 300 + str(number) for number in range(6)][:6], dimensions=8)
        assert all(sum(len(text) / 3 for text in each) <= 251 for each in sent(sdk))

    run_virtual(main)


def test_a_text_that_occurs_twice_is_sent_once():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        texts = ["a b", "c d", "a b", "a b"]
        same(await client_over(clock, sdk).batch_generate_embeddings(texts), texts)
        assert sent(sdk) == [["a b", "c d"]]

    run_virtual(main)


def test_a_batch_asks_only_for_what_is_not_kept():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        client = client_over(clock, sdk)
        await client.generate_embedding(TEXTS[3])
        same(await client.batch_generate_embeddings(TEXTS[:5]), TEXTS[:5])
        assert sent(sdk) == [[TEXTS[3]], [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[4]]]
        await client.batch_generate_embeddings(TEXTS[:5])
        await client.generate_embedding(TEXTS[1])
        assert sdk.count == 2
        await client.generate_embedding(TEXTS[1], dimensions=64)
        assert sdk.count == 3
        await client.generate_embedding(TEXTS[1], skip_cache=True)
        await client.generate_embedding(TEXTS[2], use_cache=False)
        assert sdk.count == 5
        await client.generate_embedding("new", use_cache=False)
        await client.generate_embedding("new")
        assert sdk.count == 7
        bare = FakeSdk(Embedded())
        uncached = client_over(clock, bare, embedding_cache=None)
        for _ in range(2):
            await uncached.generate_embedding("one")
        assert bare.count == 2

    run_virtual(main)


def test_a_vector_that_its_receiver_changes_stays_as_it_was_for_others():
    async def main(clock):
        client = client_over(clock, FakeSdk(Embedded()))
        vector = await client.generate_embedding("one")
        vector[:] = 0
        same([await client.generate_embedding("one")], ["one"])

    run_virtual(main)


def test_fifty_who_ask_for_the_same_are_one_request_and_a_cancelled_one_harms_nobody():
    async def main(clock):
        sdk = FakeSdk(after(2.0, Embedded()))
        client = client_over(clock, sdk)
        tasks = [asyncio.create_task(client.batch_generate_embeddings(TEXTS)) for _ in range(50)]
        await asyncio.sleep(1.0)
        tasks[0].cancel()
        for vectors in await asyncio.gather(*tasks[1:]):
            same(vectors, TEXTS)
        assert sdk.count == 1

    run_virtual(main)


def test_what_failed_is_tried_again_by_itself():
    async def main(clock):
        sdk = FakeSdk(Embedded(), refused(500), Embedded())
        same(await client_over(clock, sdk).batch_generate_embeddings(TEXTS, 5, 1), TEXTS)
        assert sent(sdk) == [TEXTS[:5], TEXTS[5:], TEXTS[5:]]

    run_virtual(main)


def test_when_a_part_fails_for_good_the_rest_comes_with_the_error_and_is_kept():
    async def main(clock):
        sdk = FakeSdk(Embedded(), refused(400), Embedded())
        client = client_over(clock, sdk)
        with pytest.raises(PartialEmbeddingsError, match="5 of 10 texts have no vector") as caught:
            await client.batch_generate_embeddings(TEXTS, 5, 1)
        assert caught.value.failed == (5, 6, 7, 8, 9)
        same([caught.value.vectors[place] for place in range(5)], TEXTS[:5])
        same(await client.batch_generate_embeddings(TEXTS), TEXTS)
        assert sent(sdk)[2] == TEXTS[5:]

    run_virtual(main)


def test_when_everything_fails_the_error_is_that_of_the_provider():
    async def main(clock):
        client = client_over(clock, FakeSdk(refused(500)), options={"max_retries": 0})
        with pytest.raises(ServerFailedError):
            await client.batch_generate_embeddings(TEXTS, 5)

    run_virtual(main)


class Strict(Embedded):
    """Refuses what is too long by a count of its own."""

    def __init__(self, longest, most=10**9):
        super().__init__()
        self.longest, self.most = longest, most

    def to(self, ask):
        sizes = [len(text) for text in ask["input"]]
        if max(sizes) > self.longest:
            raise refused(400, code="context_length_exceeded")
        if sum(sizes) > self.most:
            raise refused(400, type="max_tokens_per_request", code="max_tokens_per_request")
        return super().to(ask)


def test_a_request_that_is_too_long_after_all_is_sent_in_halves():
    async def main(clock):
        sdk = FakeSdk(Strict(100, most=70))
        texts = [f"text number {number}" for number in range(16)]
        same(await client_over(clock, sdk).batch_generate_embeddings(texts), texts)
        assert sdk.count < 16

    run_virtual(main)


def test_a_text_that_is_too_long_is_embedded_in_parts():
    async def main(clock):
        words = " ".join(f"word{number}" for number in range(100))
        for sdk, options in ((FakeSdk(Strict(200)), {}), (FakeSdk(Embedded()), {"max_input_tokens": 50})):
            client = client_over(clock, sdk, options=options)
            vectors = await client.batch_generate_embeddings(["short", words, "other"], dimensions=16)
            same([vectors[0], vectors[2]], ["short", "other"], 16)
            assert np.linalg.norm(vectors[1]) == pytest.approx(1, abs=1e-5)
            parts = {text for each in sent(sdk) for text in each if text in words and len(text) <= 200}
            assert "".join(sorted(parts, key=words.index)) == words
            assert all(vectors[1] @ vector_of(part, 16) > 0 for part in parts) or len(parts) > 2
            again = await client.batch_generate_embeddings(["short", words], dimensions=16)
            np.testing.assert_allclose(again[1], vectors[1])

    run_virtual(main)


def test_a_provider_that_finds_everything_too_long_is_not_asked_for_ever():
    async def main(clock):
        sdk = FakeSdk(Strict(0))
        with pytest.raises(TooLongError):
            await client_over(clock, sdk).batch_generate_embeddings([f"some text {number}" for number in range(200)])
        assert sdk.count <= 40

    run_virtual(main)


@pytest.mark.parametrize(
    ("texts", "text"),
    [([""], r"texts\[0\]"), (["a", "", 5], r"texts\[1\].*texts\[2\]"), ("words", "one text"), ([None], r"texts\[0\]")],
)
def test_what_has_no_vector_is_told_before_anything_is_sent(texts, text):
    async def main(clock):
        sdk = FakeSdk(Embedded())
        with pytest.raises(OptionsError, match=text):
            await client_over(clock, sdk).batch_generate_embeddings(texts)
        assert sdk.count == 0

    run_virtual(main)


@pytest.mark.parametrize("arguments", [{"batch_size": -1}, {"concurrency": 0}, {"dimensions": 1.5}, {"timeout": 0}], ids=str)
def test_numbers_out_of_range_are_told(arguments):
    async def main(clock):
        with pytest.raises(OptionsError, match=next(iter(arguments))):
            await client_over(clock, FakeSdk(Embedded())).batch_generate_embeddings(["a"], **arguments)

    run_virtual(main)


def test_no_texts_are_no_request():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        assert await client_over(clock, sdk).batch_generate_embeddings([]) == []
        assert sdk.count == 0

    run_virtual(main)


def test_only_providers_of_the_same_model_stand_in_for_each_other():
    async def main(clock):
        first, second = FakeSdk(refused(500)), FakeSdk(Embedded())
        client = client_over(clock, first, second, options={"max_retries": 0})
        same([await client.generate_embedding("one")], ["one"])
        assert second.bodies[0]["model"] == "text-embedding-3-small"
        other = client_over(clock, FakeSdk(refused(500)), second, options={"max_retries": 0, "embedding_model": "another"})
        with pytest.raises(ServerFailedError):
            await other.generate_embedding("one")
        assert "openai.embeddings.second" not in other.registry
        none = client_over(clock, FakeSdk(), options={"embedding_model": ""})
        with pytest.raises(OptionsError, match="OPENAI_EMBEDDING_MODEL"):
            await none.generate_embedding("one")

    run_virtual(main)


def test_a_model_that_changes_its_size_is_noticed():
    async def main(clock):
        def shorter(items):
            for item in items:
                item["embedding"] = item["embedding"][: len(item["embedding"]) // 2 // 4 * 4]

        sdk = FakeSdk(Embedded(), Embedded(reorder=shorter))
        client = client_over(clock, sdk, options={"embedding_model": "some-model"})
        await client.generate_embedding("one")
        with pytest.raises(LLMError):
            await client.generate_embedding("two")
        assert sdk.count == 2

    run_virtual(main)


def test_a_cancelled_batch_lets_go_of_everything():
    async def main(clock):
        sdk = FakeSdk(hang)
        client = client_over(clock, sdk)
        task = asyncio.create_task(client.batch_generate_embeddings(TEXTS, 2, 3))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert (sdk.script.running, sdk.script.cancelled) == (0, 3)
        assert client.registry["openai.embeddings.primary"]["bulkhead"].snapshot().in_flight == 0

    run_virtual(main)


# The domain's port


def test_the_embedder_gives_unit_vectors_and_sends_no_blank_text():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        embedder = OpenAIEmbedder(client_over(clock, sdk))
        assert (embedder.name, embedder.dimension) == ("text-embedding-3-small-512", 512)
        vectors = await embedder.embed(["", "one", "  \n", "two", "one"])
        assert (vectors.shape, vectors.dtype) == ((5, 512), np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [0, 1, 0, 1, 1], atol=1e-5)
        assert Counter(text for each in sent(sdk) for text in each) == {"one": 1, "two": 1}
        assert sdk.bodies[0]["dimensions"] == 512
        assert (await embedder.embed([])).shape == (0, 512)
        assert (await embedder.embed([" "])).shape == (1, 512)

    run_virtual(main)


def test_a_model_that_cannot_be_cut_must_have_the_size_that_was_promised():
    async def main(clock):
        sdk = FakeSdk(Embedded())
        client = client_over(clock, sdk, options={"embedding_model": "some-model"})
        assert (await OpenAIEmbedder(client, dimension=1536).embed(["one"])).shape == (1, 1536)
        assert "dimensions" not in sdk.bodies[0]
        with pytest.raises(LLMError, match="1536"):
            await OpenAIEmbedder(client, dimension=512).embed(["one"])

    run_virtual(main)
