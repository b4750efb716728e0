"""One kind of request at one provider, under its policies."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Generic, TypeVar

from sengol_api.adapters.openai.account import Account, why_shut
from sengol_api.adapters.openai.answers import Reply
from sengol_api.adapters.openai.asks import ChatAsk, EmbeddingAsk
from sengol_api.adapters.openai.budget import Cost, Request, ServerBudget
from sengol_api.adapters.openai.errors import InvalidJsonError, LateAnswerError, ModelError, NoSuchModelError, UnreachableError
from sengol_api.adapters.openai.options import OpenAIOptions
from sengol_api.adapters.openai.patience import Patience
from sengol_api.adapters.openai.run import Run
from sengol_api.adapters.openai.statistics import Statistics
from sengol_api.adapters.openai.upstream import Answered, Upstream
from sengol_api.adapters.openai.validation import chat_from, in_order, spoken, vectors_from
from sengol_api.adapters.own_limits import with_own_limits
from sengol_api.resilience import Clock, Pipeline, PolicyOptions, Retry, Timeout
from sengol_api.resilience.timeout import AttemptTimedOut

A = TypeVar("A")
R = TypeVar("R")

_FEW_TEXTS = 16
_LARGE = 500_000  # bytes of an answer that is read in a thread


@dataclass(frozen=True, slots=True)
class Ground:
    """What all routes of a client stand on."""

    options: OpenAIOptions
    statistics: Statistics
    clock: Clock
    random: Random


class Route(ABC, Generic[A, R]):
    """Sends one kind of request to one provider.

    The account stands outside of all: a spent quota, or a key that is not valid, is its matter, not that of the kind of request.
    The time of an attempt begins when its turn has come.

    Args:
        upstream: the provider.
        account: that pays.
        ground: of the client.
        first: whether it is the first of the chain.
    """

    operation: ClassVar[str]

    def __init__(self, upstream: Upstream, account: Account, ground: Ground, *, first: bool) -> None:
        options = ground.options
        self.provider = upstream.provider
        self.first = first
        self._upstream = upstream
        self._account = account
        self._ground = ground
        self._patience = Patience(ground.clock)
        name = f"{options.name}.{self.operation}.{self.provider.name}"
        breaker = options.breaker.changed(
            failure_on=self._patience.is_failure, probe_timeout=max(options.breaker.probe_timeout, 2 * options.timeout)
        )
        policies: list[PolicyOptions] = [
            Retry(max_retries=options.max_retries, max_wait=options.max_wait),
            breaker,
            *([] if options.hedge is None else [options.hedge]),
            ServerBudget(cost=lambda ask, _: self._cost(ask), max_wait=options.max_wait),
            options.bulkhead,
            Timeout(options.timeout),
            *([] if options.adaptive is None else [options.adaptive.up_to(options.timeout)]),
        ]
        self.pipeline = Pipeline(name, *policies, clock=ground.clock, random=ground.random)
        self.pipeline.subscribe(lambda _: ground.statistics.failed(LateAnswerError.reason), AttemptTimedOut)
        self._budget = self.pipeline["server_budget"]

    async def call(self, ask: A, run: Run) -> R:
        """Send it, again if that may help.

        Raises:
            ModelError: the provider has no answer.
            Rejected: a policy refused.
            TimedOut: it took too long.
        """
        if not self._account.known:
            await self._upstream.loading()  # which takes a second or two, and would be all of a head start
        pipeline = with_own_limits(self.pipeline, run.timeout, run.max_retries, usual=self._alike(ask))
        answer: R = await self._account.call(pipeline.call, self._attempt, ask, run)
        return answer

    def why_away(self) -> str:
        """Why nothing would be sent now, in words that may be shown; empty when something may."""
        return self._account.why_away or why_shut(self.pipeline["circuit_breaker"].snapshot())

    @property
    def retries(self) -> int:
        """Further attempts so far."""
        retries: int = self.pipeline["retry"].snapshot().retries
        return retries

    def _alike(self, ask: A) -> bool:  # noqa: ARG002 - one kind of request differs in it
        """Whether a request takes about as long as the others."""
        return True

    @abstractmethod
    def _cost(self, ask: A) -> Cost: ...

    @abstractmethod
    async def _attempt(self, ask: A, run: Run) -> R: ...

    @contextmanager
    def _sending(self, ask: A, run: Run) -> Iterator[Request]:
        """Around one request: it is counted, whatever becomes of it, and the budget learns from the answer."""
        statistics, now = self._ground.statistics, self._ground.clock.now
        run.calls += 1
        statistics.sent()
        started = now()
        with self._budget.request(self._cost(ask)) as request:
            try:
                yield request
            except ModelError as error:
                statistics.failed(error.reason)
                if isinstance(error, LateAnswerError) or (isinstance(error, UnreachableError) and error.sent):
                    statistics.lost()
                request.answered(error.limits)
                request.refused(error)
                raise
            except asyncio.CancelledError:
                statistics.lost()
                raise
            request.served()
            self._patience.learn(now() - started)


class ChatRoute(Route[ChatAsk, Reply]):
    """Sends chat requests."""

    operation = "chat"

    def _cost(self, ask: ChatAsk) -> Cost:
        return ask.cost(self.provider, first=self.first)

    async def _attempt(self, ask: ChatAsk, run: Run) -> Reply:
        name = self.provider.name
        body = ask.body(self.provider, first=self.first)
        with self._sending(ask, run) as request, self._of_model(body["model"]):
            if run.listeners:
                completion = await self._upstream.stream(body, run.tell, request.answered)
            else:
                answered = await self._upstream.complete(body)
                request.answered(answered.headers)
                completion = chat_from(answered.content, name)
            model = completion.model or body["model"]
            self._ground.statistics.used(model, completion.usage)
            text = spoken(completion, name)
            problems = [] if ask.schema is None else ask.schema.problems(text)
            if problems:
                message = f"The answer of provider {name} is not of the schema {ask.schema.name!r}." if ask.schema else ""
                raise InvalidJsonError(message, problems, provider=name, model=model, text=text, usage=completion.usage)
            return Reply(text, model, name, completion.usage, first=self.first)

    @contextmanager
    def _of_model(self, model: str) -> Iterator[None]:
        """A model that a caller named for one call, and that does not exist, says nothing against the provider."""
        try:
            yield
        except NoSuchModelError as error:
            error.counts_as_failure = model == self.provider.model
            raise


class EmbeddingRoute(Route[EmbeddingAsk, tuple[bytes, ...]]):
    """Sends embedding requests."""

    operation = "embeddings"

    def __init__(self, upstream: Upstream, account: Account, ground: Ground, *, first: bool) -> None:
        super().__init__(upstream, account, ground, first=first)
        self._dimension = _USUAL_DIMENSION.get(self.provider.embedding_model)

    def _alike(self, ask: EmbeddingAsk) -> bool:
        return len(ask.texts) <= _FEW_TEXTS

    def _cost(self, ask: EmbeddingAsk) -> Cost:
        return ask.cost(self.provider)

    async def _attempt(self, ask: EmbeddingAsk, run: Run) -> tuple[bytes, ...]:
        with self._sending(ask, run) as request:
            answered = await self._upstream.embed(ask.body(self.provider))
            request.answered(answered.headers)
            large = len(answered.content) > _LARGE
            return await asyncio.to_thread(self._read, answered, ask) if large else self._read(answered, ask)

    def _read(self, answered: Answered, ask: EmbeddingAsk) -> tuple[bytes, ...]:
        name = self.provider.name
        vectors = vectors_from(answered.content, name)
        self._ground.statistics.used(vectors.model or self.provider.embedding_model, vectors.usage)
        ordered = in_order(vectors, len(ask.texts), ask.dimensions or self._dimension, name)
        if ask.dimensions is None:
            self._dimension = len(ordered[0]) // 4  # what a model gives once, it gives always
        return ordered


_USUAL_DIMENSION = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
