"""The client: chat, JSON and embeddings from whoever in the chain can serve, under the policies of the toolkit."""

from collections.abc import Mapping, Sequence
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from sengol_api.adapters.openai.answers import ChatAnswer, JsonAnswer, Listener, Reply
from sengol_api.adapters.openai.asks import ChatAsk, chat_ask
from sengol_api.adapters.openai.caches import ANSWERS, VECTORS, cached, of_answers, of_vectors
from sengol_api.adapters.openai.entered import Entered
from sengol_api.adapters.openai.errors import InvalidJsonError
from sengol_api.adapters.openai.kept import Found, Kept, Make, told
from sengol_api.adapters.openai.listening import Listening
from sengol_api.adapters.openai.options import OpenAIOptions
from sengol_api.adapters.openai.repair import Check, checked
from sengol_api.adapters.openai.routes import Ground
from sengol_api.adapters.openai.run import Run
from sengol_api.adapters.openai.schema import Schemas
from sengol_api.adapters.openai.statistics import ClientStats, Statistics
from sengol_api.adapters.openai.vectors import TextVectors, Vector
from sengol_api.adapters.openai.wiring import wired
from sengol_api.resilience import Cache, Clock, OptionsError, Registry, Tier
from sengol_api.resilience.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CHANCE = Random()  # noqa: S311 - jitter is no secret


class OpenAIClient:
    """Calls a model through whatever server speaks the OpenAI protocol, and keeps answering when it does not.

    ::

        async with OpenAIClient(OpenAIOptions(api_key=key)) as client:
            answer = await client.chat_completion([{"role": "user", "content": "Name a risk of a public bucket."}])
            print(answer.text, answer.source)

    One for a process and its event loop. Its pipelines are in the registry: ``openai.chat`` and ``openai.embeddings`` (the caches),
    ``openai.chat.<provider>`` and ``openai.embeddings.<provider>`` (retry, breaker, shared budget, bulkhead, timeout), and
    ``openai.key.<provider>`` (the breaker of the account).

    Args:
        options: what is asked for, and from whom.
        cache: how answers are kept; None: they are not, and nobody shares a call.
        embedding_cache: how vectors are kept, in this process alone; None: they are not.
        tier: a second tier behind the cache of answers.
        registry: where its pipelines are found; one of its own by default.
        clock: where its policies get their time from.
        random: where they get chance from.
        sdk: a configured ``openai.AsyncOpenAI`` for the first provider. It is not closed here.

    Raises:
        OptionsError: options that make no sense, or names that the registry has already.
    """

    def __init__(
        self,
        options: OpenAIOptions,
        *,
        cache: Cache | None = ANSWERS,
        embedding_cache: Cache | None = VECTORS,
        tier: Tier | None = None,
        registry: Registry | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = _CHANCE,
        sdk: "AsyncOpenAI | None" = None,
    ) -> None:
        self.options = options
        self.providers = options.chain(sdk)
        self.registry = registry if registry is not None else Registry(clock=clock, random=random)
        self._statistics = Statistics(options.prices or {})
        ground = Ground(options, self._statistics, clock, random)
        self._wiring = wired(self.providers, ground)
        answers = None if cache is None else cached("chat", of_answers(cache, tier, options.fallback_ttl), ground)
        vectors = None if embedding_cache is None else cached("embeddings", of_vectors(embedding_cache), ground)
        self._answers = None if answers is None else Kept[Reply](answers)
        self._vectors = TextVectors(self._wiring.embeddings, vectors, options)
        self._schemas = Schemas()
        self._listening = Listening()
        caches = [each for each in (answers, vectors) if each is not None]
        self._entered = Entered([*caches, *self._wiring.pipelines], self.registry)
        self._entered.enter()

    @property
    def model(self) -> str:
        """The chat model that is asked first."""
        return next((route.provider.model for route in self._wiring.chat.routes), "")

    @property
    def embedding_model(self) -> str:
        """The model of all vectors."""
        return self._vectors.model

    # Its life

    async def __aenter__(self) -> Self:
        """Load the SDK now, rather than at the first request. What :meth:`aclose` closed can be entered again."""
        self._entered.enter()
        await self.warm()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def warm(self) -> None:
        """Load the SDK, which takes a second or two, in a thread."""
        for upstream in self._wiring.upstreams:
            await upstream.sdk()

    async def aclose(self) -> None:
        """Close the connections, and leave the registry."""
        self._entered.leave()
        for upstream in self._wiring.upstreams:
            await upstream.close()

    async def chat_completion(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        model: str | None = None,
        temperature: float | None = 0.3,
        max_tokens: int | None = None,
        prompt_version: str = "",
        use_cache: bool = True,
        skip_cache: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt; the caller's deadline is a block
        max_retries: int | None = None,
        on_progress: Listener | None = None,
    ) -> ChatAnswer:
        """What the model says.

        Args:
            messages: ``role`` and ``content`` of each.
            model: in place of the first provider's; fallbacks keep theirs.
            temperature: 0 to 2; None leaves it out, for models that take none.
            max_tokens: of the answer.
            prompt_version: change it, and answers of before are not served any more.
            use_cache: false neither reads nor keeps anything, and shares no call.
            skip_cache: read nothing, and keep what comes.
            timeout: seconds for an attempt, in place of the option.
            max_retries: in place of the option.
            on_progress: is told how the answer grows; the model then streams. Who joins the call of another hears of it as well, if
                that one streams.

        Raises:
            OptionsError: arguments that no provider would take.
            ModelError: there is no answer, and no old one that may be served.
        """
        ask = chat_ask(messages, temperature=temperature, max_tokens=max_tokens, model=model, prompt_version=prompt_version)
        run = Run.of(timeout, max_retries)

        async def make(run: Run) -> Reply:
            return await self._wiring.chat.answer(ask, run)

        found = await self._found(ask, make, run, on_progress, use_cache=use_cache, skip=skip_cache)
        return ChatAnswer(**told(found, run))

    async def chat_json(  # noqa: D417 - the other arguments are those of chat_completion
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        *,
        name: str,
        check: Check | None = None,
        model: str | None = None,
        temperature: float | None = 0.3,
        max_tokens: int | None = None,
        prompt_version: str = "",
        use_cache: bool = True,
        skip_cache: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt; the caller's deadline is a block
        max_retries: int | None = None,
        on_progress: Listener | None = None,
    ) -> JsonAnswer:
        """A value of a schema, from the model.

        An answer that is not of the schema, or that ``check`` finds fault with, is given back to the model once, with the list of
        problems. Only an answer without any is kept.

        Args:
            messages: as for :meth:`chat_completion`, and so is all that is not named here.
            schema: JSON Schema of an object in the form of strict structured output.
            name: of what is asked for: letters, digits, ``_`` and ``-``.
            check: what is wrong with a value of the schema: a list of problems, in words that help the model; or an empty one.
                A plain function, or a coroutine function.
                Callers with the same messages and schema must have the same check, for they share answers: what it depends on
                belongs into the messages or ``prompt_version``.

        Raises:
            OptionsError: arguments that no provider would take; a schema that is not strict.
            InvalidJsonError: the answer, and its repair, have problems; the error has the better value and what is wrong with it.
            ModelError: there is no answer, and no old one that may be served.
        """
        ask = chat_ask(
            messages,
            temperature=temperature,
            max_tokens=max_tokens,
            model=model,
            schema=self._schemas.of(name, schema),
            prompt_version=prompt_version,
        )
        run = Run.of(timeout, max_retries)

        async def make(run: Run) -> Reply:
            return await checked(self._wiring.chat, ask, check, run, self._statistics)

        try:
            found = await self._found(ask, make, run, on_progress, use_cache=use_cache, skip=skip_cache)
        except InvalidJsonError as error:
            own = error.for_caller(run.calls)
        else:
            return JsonAnswer(**told(found, run), value=msgspec.json.decode(found.value.text))
        raise own

    async def generate_embedding(
        self,
        text: str,
        *,
        dimensions: int | None = None,
        use_cache: bool = True,
        skip_cache: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt; the caller's deadline is a block
        max_retries: int | None = None,
    ) -> Vector:
        """The vector of a text, float32. Arguments and errors are those of :meth:`batch_generate_embeddings`."""
        (vector,) = await self.batch_generate_embeddings(
            [text], dimensions=dimensions, use_cache=use_cache, skip_cache=skip_cache, timeout=timeout, max_retries=max_retries
        )
        return vector

    async def batch_generate_embeddings(
        self,
        texts: Sequence[str],
        batch_size: int | None = None,
        concurrency: int = 3,
        *,
        dimensions: int | None = None,
        use_cache: bool = True,
        skip_cache: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt; the caller's deadline is a block
        max_retries: int | None = None,
    ) -> list[Vector]:
        """A vector for each text, in their order; float32, as the model gives it.

        Texts that occur twice are asked for once, and those that are kept not at all. The others go in as few requests as the
        limits of the options allow. A request that fails is tried again by itself. A text of too many tokens is embedded in parts,
        and its vector is the mean of theirs, weighted by their tokens.

        Args:
            texts: none of them empty.
            batch_size: most texts in one request; None: as the options say.
            concurrency: requests under way at once.
            dimensions: numbers of a vector; None: as the options say.
            use_cache: false neither reads nor keeps anything, and shares no call.
            skip_cache: read nothing, and keep what comes.
            timeout: seconds for an attempt, in place of the option.
            max_retries: in place of the option.

        Raises:
            OptionsError: a text is empty; numbers out of their range.
            PartialEmbeddingsError: some texts have no vector; the error has those of the others.
            ModelError: there is no vector.
        """
        return await self._vectors.of(
            texts,
            dimensions=dimensions,
            batch_size=batch_size,
            concurrency=concurrency,
            run=Run.of(timeout, max_retries),
            use_cache=use_cache,
            skip=skip_cache,
        )

    def get_stats(self) -> ClientStats:
        """Requests, errors, tokens and their cost since the client was made."""
        return self._statistics.snapshot(self._wiring.retries)

    def why_away(self) -> str:
        """Why no chat request would be sent to anybody now, in words that may be shown; empty when one may be."""
        return self._wiring.chat.why_away()

    # Between the two

    async def _found(
        self, ask: ChatAsk, make: Make[Reply], run: Run, on_progress: Listener | None, *, use_cache: bool, skip: bool
    ) -> Found[Reply]:
        if not self._wiring.chat.routes:
            raise OptionsError("chat request", ["no provider serves chat: set model (OPENAI_MODEL)"])
        if self._answers is None or not use_cache:
            run.listeners = [] if on_progress is None else [on_progress]
            return Found(await make(run), "fresh", "", 0.0)
        key = ask.key([route.provider for route in self._wiring.chat.routes])
        with self._listening.to(key, on_progress, run):
            return await self._answers.answer(key, make, run, skip=skip)
