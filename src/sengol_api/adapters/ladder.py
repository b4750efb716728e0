"""The ladder below each upstream: when it does not serve in its share of the time, the next rung does, and says so."""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from sengol_api.resilience import BulkheadFull, CircuitOpen, Clock, RateLimited, Rejected, deadline, remaining
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.errors import AppError, LLMError
from sengol_api.review.ports import AnswerCheck, Embedder, Hit, LanguageModel, ModelAnswer, ModelTask, VectorIndex, Vectors
from sengol_api.review.provenance import FRESH, calls_so_far, note
from sengol_api.review.space import EMBEDDINGS

T = TypeVar("T")

SEARCH: Final = "search"
EMBEDDING_SHARE: Final = 0.3
SEARCH_SHARE: Final = 0.3
MODEL_SHARE: Final = 0.8


def share_of_time(share: float, clock: Clock) -> AbstractContextManager[Any]:
    """A deadline of a share of what the caller's leaves, so that the rungs below have time too; none where it has none."""
    left = remaining()
    return nullcontext() if left is None else deadline(left * share, clock=clock)


_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (CircuitOpen, "its circuit breaker is open"),
    (BulkheadFull, "too many calls to it are under way"),
    (RateLimited, "its rate limit is used up"),
    (Rejected, "the call was refused before it was sent"),
    (TimeoutError, "it did not answer in time"),
    (ConnectionError, "it cannot be reached"),
)


def reason_of(error: BaseException) -> str:
    """Why a rung did not serve, in words that may be shown: never those of an upstream."""
    if isinstance(error, AppError):
        return error.message
    return next((words for kind, words in _REASONS if isinstance(error, kind)), "it failed")


class LadderIndex:
    """The ``VectorIndex`` of a server, with the embedded one below it.

    Args:
        server: asked first; it notes its own rungs.
        embedded: holds the same vectors in this process; it also answers ``compare``.
        clock: whose time counts.
    """

    def __init__(self, server: VectorIndex, embedded: VectorIndex, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._server = server
        self._embedded = embedded
        self._clock = clock

    def __len__(self) -> int:
        return len(self._embedded)

    async def search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port."""
        try:
            with share_of_time(SEARCH_SHARE, self._clock):
                return await self._server.search(queries, limit, allowed)
        except ValueError:
            raise  # the query itself is wrong: no index has an answer
        except Exception as error:  # noqa: BLE001 - whatever is wrong there, the answer is here
            note(SEARCH, "embedded", reason_of(error))
            return await self._embedded.search(queries, limit, allowed)

    async def compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        """See the port."""
        return await self._embedded.compare(queries, ids)


class PatientEmbedder:
    """An ``Embedder`` of another service that gets its share of the caller's time, and fails as the domain expects.

    Args:
        embedder: of the service.
        clock: whose time counts.
    """

    def __init__(self, embedder: Embedder, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._embedder = embedder
        self._clock = clock
        self.name = embedder.name
        self.dimension = embedder.dimension

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See the port.

        Raises:
            LLMError: there are no vectors.
        """
        before = calls_so_far()
        vectors = await _or_llm_error(share_of_time(EMBEDDING_SHARE, self._clock), self._embedder.embed(texts))
        note(EMBEDDINGS, FRESH if calls_so_far() > before else "cached")
        return vectors


class PatientModel:
    """A ``LanguageModel`` that gets its share of the caller's time, and fails as the domain expects.

    Args:
        model: asked.
        clock: whose time counts.
    """

    def __init__(self, model: LanguageModel, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._model = model
        self._clock = clock

    @property
    def name(self) -> str:
        """See the port."""
        return self._model.name

    async def away(self, subject: str) -> str:
        """See the port."""
        return await self._model.away(subject)

    async def answer(self, task: ModelTask, *, check: AnswerCheck) -> ModelAnswer:
        """See the port."""
        return await _or_llm_error(share_of_time(MODEL_SHARE, self._clock), self._model.answer(task, check=check))


async def _or_llm_error(in_time: AbstractContextManager[Any], asking: Awaitable[T]) -> T:
    try:
        with in_time:
            return await asking
    except LLMError:
        raise
    except Exception as error:
        raise LLMError(reason_of(error), retry_after=getattr(error, "retry_after", None)) from error
