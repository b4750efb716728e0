"""Streams of chunks, whose shape nobody has checked before."""

from types import SimpleNamespace

import pytest

from sengol_api.adapters.openai.answers import Usage
from sengol_api.adapters.openai.streaming import assembled


def chunk(content=None, finish=None, refusal=None, **more):
    delta = SimpleNamespace(content=content, refusal=refusal)
    return SimpleNamespace(choices=[SimpleNamespace(index=0, delta=delta, finish_reason=finish)], **more)


async def read(*chunks):
    async def each():
        for one in chunks:
            yield one

    told = []
    return await assembled(each(), told.append), told


async def test_pieces_make_the_whole():
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    completion, told = await read(
        chunk("Yes", model="m"), chunk(", sir"), chunk(finish="stop"), SimpleNamespace(choices=[], usage=usage)
    )
    assert (completion.text, completion.finish, completion.model, completion.usage) == ("Yes, sir", "stop", "m", Usage(5, 2))
    assert [(each.pieces, each.characters) for each in told] == [(1, 3), (2, 8)]


async def test_a_refusal_is_one_however_it_is_cut():
    completion, _ = await read(chunk(refusal="I can"), chunk(refusal="not."), chunk(finish="stop"))
    assert (completion.text, completion.refusal) == ("", "I cannot.")


async def test_another_choice_than_the_first_is_not_mixed_in():
    other = SimpleNamespace(choices=[SimpleNamespace(index=1, delta=SimpleNamespace(content="no"), finish_reason="stop")])
    completion, _ = await read(chunk("Yes"), other)
    assert (completion.text, completion.finish) == ("Yes", "")


@pytest.mark.parametrize(
    "odd",
    [
        "a text",
        None,
        5,
        SimpleNamespace(),
        SimpleNamespace(choices=None),
        SimpleNamespace(choices="x"),
        SimpleNamespace(choices=[None]),
        SimpleNamespace(choices=[SimpleNamespace(index=0, delta=None, finish_reason=7)], model=8, usage="many"),
        chunk(content=5),
        chunk(content=["x"]),
    ],
    ids=repr,
)
async def test_chunks_of_any_shape_are_borne(odd):
    completion, _ = await read(chunk("Yes"), odd, chunk(finish="stop"))
    assert (completion.text, completion.finish, completion.usage) == ("Yes", "stop", Usage())


async def test_halves_of_surrogate_pairs_do_not_get_through():
    completion, _ = await read(chunk("bad \ud83d"), chunk(" half", finish="stop"))
    assert completion.text == "bad ? half"
    completion.text.encode()
