"""Answers of a schema: held against a check, and given back once to be corrected."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, NamedTuple

import msgspec

from sengol_api.adapters.openai.answers import Reply, Usage
from sengol_api.adapters.openai.asks import ChatAsk
from sengol_api.adapters.openai.chain import Chain
from sengol_api.adapters.openai.errors import CutAnswerError, InvalidJsonError, ModelError
from sengol_api.adapters.openai.run import Run
from sengol_api.adapters.openai.schema import MOST_PROBLEMS
from sengol_api.adapters.openai.statistics import Statistics

Check = Callable[[Any], Sequence[str] | Awaitable[Sequence[str]]]


class _Attempt(NamedTuple):
    """An answer that was looked at. With no problems, it is the one."""

    problems: tuple[str, ...]
    text: str
    fits: bool
    usage: Usage
    model: str = ""
    provider: str = ""
    reply: Reply | None = None


async def checked(chain: Chain[ChatAsk, Reply], ask: ChatAsk, check: Check | None, run: Run, statistics: Statistics) -> Reply:
    """An answer without problems.

    Args:
        chain: who is asked.
        ask: with a schema.
        check: what is wrong with a value of the schema, in words for the model; None: nothing else is asked for.
        run: of the caller.
        statistics: of the client.

    Raises:
        InvalidJsonError: the answer has problems, and so has its repair; it has the better of the two.
        ModelError: there is no answer.
    """
    first = await _attempt(chain, ask, check, run)
    if first.reply is not None and not first.problems:
        return first.reply
    statistics.repaired()
    failure: ModelError | None = None
    try:
        second = await _attempt(chain, ask.repaired(first.text, first.problems[:MOST_PROBLEMS]), check, run)
    except ModelError as error:
        failure = error
    if failure is not None:
        if not first.fits:
            raise failure
        raise _invalid(first, f"and there was no repair: {failure.reason}", first.usage)
    usage = first.usage + second.usage
    if second.reply is not None and not second.problems:
        return replace(second.reply, usage=usage)
    raise _invalid(min(second, first, key=_badness), "and its repair did not help", usage)


async def _attempt(chain: Chain[ChatAsk, Reply], ask: ChatAsk, check: Check | None, run: Run) -> _Attempt:
    try:
        reply = await chain.answer(ask, run)
    except InvalidJsonError as error:
        return _Attempt(error.problems, error.text, fits=False, usage=error.usage, model=error.model, provider=error.provider)
    except CutAnswerError as error:
        problem = "it was cut at the token limit; say the same in fewer words"
        return _Attempt((problem,), error.text, fits=False, usage=error.usage, provider=error.provider)
    found: Sequence[str] | Awaitable[Sequence[str]] = () if check is None else check(msgspec.json.decode(reply.text))
    problems = tuple(map(str, await found if isawaitable(found) else found))
    return _Attempt(problems, reply.text, fits=True, usage=reply.usage, model=reply.model, provider=reply.provider, reply=reply)


def _badness(attempt: _Attempt) -> tuple[bool, int]:
    return not attempt.fits, len(attempt.problems)


def _invalid(attempt: _Attempt, how: str, usage: Usage) -> InvalidJsonError:
    count = len(attempt.problems)
    what = "fits the schema, but" if attempt.fits else "does not fit the schema:"
    return InvalidJsonError(
        f"The answer of provider {attempt.provider} {what} has {count} problem{'' if count == 1 else 's'}, {how}. See problems.",
        attempt.problems,
        provider=attempt.provider,
        model=attempt.model,
        text=attempt.text,
        fits=attempt.fits,
        usage=usage,
    )
