"""Answers with status 200 that are none."""

import base64
import json
import math

import numpy as np
import pytest

from sengol_api.adapters.openai.answers import Usage
from sengol_api.adapters.openai.errors import BadAnswerError, CutAnswerError, ModelError, RefusalError, ServerFailedError
from sengol_api.adapters.openai.validation import Completion, chat_from, in_order, spoken, usage_from, vectors_from
from support.openai_answers import chat_completion, dump, embeddings, vector_of
from support.openai_taxonomy import CHAT, NO_SUCCESS

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
TEXTS = {"model": "m", "input": ["one", "two", "three"], "dimensions": 8, "encoding_format": "float"}


def said(**choice):
    body = chat_completion(ASK, "words")
    body["choices"][0] |= choice
    return dump(body)


def test_a_completion_is_read():
    completion = chat_from(said(), "primary")
    assert completion == Completion("words", "stop", "", "gpt-4o", Usage(1, 1))
    assert spoken(completion, "primary") == "words"


@pytest.mark.parametrize("fault", [fault for fault in NO_SUCCESS if fault.on is None], ids=lambda fault: fault.name)
def test_what_no_endpoint_answers_is_no_completion_and_no_vector(fault):
    for read in (chat_from, vectors_from):
        with pytest.raises(ModelError) as caught:
            read(fault.body(ASK), "primary")
        assert caught.value.counts_as_failure
        assert caught.value.retryable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "nothing"),
        (b"   ", "nothing"),
        (b"<!DOCTYPE html><p>Sign in", "a web page"),
        (b"  <HTML>", "a web page"),
        (b"{", "no whole JSON text"),
        (b'{"usage": ' + b"[" * 100_000, "no whole JSON text"),
        (b"\xff\xfe", "no whole JSON text"),
        (b"[]", "JSON that is not a completion"),
        (b'{"choices": 5}', "JSON that is not a completion"),
        (b'{"choices": [{"message": {"content": ["parts"]}}]}', "JSON that is not a completion"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
    ],
)
def test_the_error_says_what_came_instead(content, text):
    with pytest.raises(BadAnswerError, match=text):
        chat_from(content, "primary")


def test_an_error_with_status_200_is_that_error():
    with pytest.raises(ServerFailedError):
        chat_from(b'{"error": {"type": "server_error"}}', "primary")


@pytest.mark.parametrize(
    ("choice", "kind", "retried", "counts"),
    [
        ({"message": {"content": None, "refusal": "No."}}, RefusalError, False, False),
        ({"finish_reason": "content_filter"}, RefusalError, False, False),
        ({"finish_reason": "length"}, CutAnswerError, False, False),
        ({"finish_reason": None}, BadAnswerError, True, True),
        ({"finish_reason": "tool_calls"}, BadAnswerError, True, True),
        ({"message": {"content": None}}, BadAnswerError, True, True),
        ({"message": {"content": " \n"}}, BadAnswerError, True, True),
    ],
)
def test_a_completion_that_is_no_answer(choice, kind, retried, counts):
    with pytest.raises(BadAnswerError) as caught:
        spoken(chat_from(said(**choice), "primary"), "primary")
    assert type(caught.value) is kind
    assert (caught.value.retryable, caught.value.counts_as_failure) == (retried, counts)
    assert "words" not in str(caught.value)


def test_a_refusal_is_not_taken_to_others_and_a_cut_answer_keeps_its_words():
    with pytest.raises(RefusalError) as caught:
        spoken(Completion("", "stop", "No.", "m", Usage()), "primary")
    assert not caught.value.elsewhere
    with pytest.raises(CutAnswerError) as cut:
        spoken(Completion("half a", "length", "", "m", Usage()), "primary")
    assert cut.value.text == "half a"


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(5, 3, 2)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 50}}, Usage(5, 0, 5)),
        ({"prompt_tokens": None, "completion_tokens": -3}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 2.5, "prompt_tokens_details": []}, Usage()),
        ({"prompt_tokens": 1 << 60}, Usage()),
        (None, Usage()),
        ("many", Usage()),
    ],
)
def test_tokens_are_counted_as_far_as_they_are_told(told, usage):
    assert usage_from(told) == usage


# Vectors


def read(body, count=3, dimension=8):
    return in_order(vectors_from(dump(body), "primary"), count, dimension, "primary")


@pytest.mark.parametrize("form", ["float", "base64"])
def test_vectors_come_in_the_order_of_their_index(form):
    body = embeddings({**TEXTS, "encoding_format": form}, reorder=list.reverse)
    for vector, text in zip(read(body), TEXTS["input"], strict=True):
        np.testing.assert_allclose(np.frombuffer(vector, "<f4"), vector_of(text, 8), atol=1e-6)


def spoiled(change, form="float"):
    body = embeddings({**TEXTS, "encoding_format": form})
    change(body["data"])
    return body


@pytest.mark.parametrize(
    ("change", "retried"),
    [
        (lambda data: data.pop(), True),
        (lambda data: data.clear(), True),
        (lambda data: data.append({**data[0], "index": 3}), True),
        (lambda data: data[0].update(index=1), True),
        (lambda data: data[0].update(index=-1), True),
        (lambda data: data[0]["embedding"].pop(), False),
        (lambda data: data[0].update(embedding=[]), True),
        (lambda data: data[0].update(embedding=[0.0] * 8), True),
        (lambda data: data[0].update(embedding=[1e300] * 8), True),
        (lambda data: data[0].update(embedding="not base64!"), True),
        (lambda data: data[0].update(embedding="AAA="), True),
        (lambda data: data[0].update(embedding=base64.b64encode(np.full(8, math.nan, "<f4").tobytes()).decode()), True),
        (lambda data: data[0].update(embedding=base64.b64encode(np.full(8, math.inf, "<f4").tobytes()).decode()), True),
    ],
)
def test_vectors_that_are_none_are_refused(change, retried):
    with pytest.raises(BadAnswerError) as caught:
        read(spoiled(change))
    assert caught.value.retryable is retried
    assert caught.value.counts_as_failure


@pytest.mark.parametrize("fault", [fault for fault in NO_SUCCESS if fault.on not in {None, CHAT}], ids=lambda fault: fault.name)
def test_every_fault_of_embeddings_is_seen(fault):
    with pytest.raises(BadAnswerError):
        in_order(vectors_from(fault.body(TEXTS), "primary"), 3, 8, "primary")


def test_nan_as_json_has_it_and_null_are_no_vectors():
    for word in ("NaN", "null", "true", '"x"'):
        body = json.dumps(embeddings(TEXTS)).replace("[", f"[{word}, ", 2).encode()
        with pytest.raises(BadAnswerError):
            in_order(vectors_from(body, "primary"), 3, 9, "primary")


def test_without_an_expected_size_all_must_have_the_same():
    assert len(read(embeddings(TEXTS), dimension=None)) == 3
    with pytest.raises(BadAnswerError, match="expected"):
        read(spoiled(lambda data: data[2]["embedding"].pop()), dimension=None)
