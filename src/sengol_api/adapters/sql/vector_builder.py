"""Making the vectors of another embedder for all incidents, in the background of a service that goes on."""

import secrets
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sengol_api.adapters.sql.vectors import SqlVectors, Text
from sengol_api.resilience import Clock
from sengol_api.resilience.backoff import exponential
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.resilience.hints import wait_asked_by
from sengol_api.review.ports import Embedder, Vectors

BATCH: Final = 256
PAUSE: Final = 0.1
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 300.0
LONGEST_TOLD: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class VectorProgress:
    """How far the work has come.

    Attributes:
        done: incidents with a vector.
        total: incidents.
        last_error: why the work waits or had to wait, None since the last success. For logs, never for an answer: an embedder may
            quote what it was asked.
    """

    done: int
    total: int
    last_error: Exception | None = None

    @property
    def complete(self) -> bool:
        """Whether every incident has a vector."""
        return self.done >= self.total > 0


class VectorBuilder:
    """Embeds what an embedder has not embedded yet, batch by batch, each kept at once: after a crash the rest is made.

    ::

        builder = VectorBuilder(SqlVectors(database), embedder)
        task = asyncio.create_task(builder.run())    # cancel it to stop
        builder.progress                             # done, total, last_error

    What fails is waited out, for as long as the error says or twice as long each time. A batch that failed without a word of that
    is halved, and a single text that fails is passed over until the others are done, so one bad text holds up nothing. Several
    replicas can work at once: each begins at a point of its own, and skips what it finds done.

    Args:
        vectors: where they are kept.
        embedder: makes them.
        batch: texts per call of the embedder.
        pause: seconds between two batches, which belong to the searches.
        clock: that lets time pass.
    """

    def __init__(
        self, vectors: SqlVectors, embedder: Embedder, *, batch: int = BATCH, pause: float = PAUSE, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._batch = self._size = batch
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._after = secrets.token_hex(32)
        self._progress = VectorProgress(0, 0)

    @property
    def progress(self) -> VectorProgress:
        """State of the work."""
        return self._progress

    async def run(self) -> None:
        """Work until every incident has its vector. Never raises but when it is cancelled."""
        while not await self._step():
            await self._clock.sleep(self._pause)

    async def _step(self) -> bool:
        """One batch; whether there is nothing left."""
        try:
            await self._look()
            if self._progress.done == self._progress.total:
                return True
            texts = await self._vectors.missing_texts(self._embedder.name, after=self._after, limit=self._size)
            if texts:
                await self._vectors.put(self._embedder.name, texts, await self._made(texts))
                self._failures, self._size = 0, min(self._batch, self._size * 2)
                self._progress = replace(self._progress, last_error=None)
                await self._look()
            self._after = texts[-1].digest if texts else ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on and the work is tried again
            await self._wait_out(error)
        return False

    async def _look(self) -> None:
        done, total = await self._vectors.coverage(self._embedder.name)
        self._progress = replace(self._progress, done=done, total=total)

    async def _made(self, texts: list[Text]) -> Vectors:
        try:
            return _checked(await self._embedder.embed([text.text for text in texts]), self._embedder, len(texts))
        except Exception as error:
            if self._told(error) is None:  # it may be one of the texts
                self._size = max(1, len(texts) // 2)
                self._after = texts[0].digest if len(texts) == 1 else self._after
            raise

    async def _wait_out(self, error: Exception) -> None:
        self._failures += 1
        self._progress = replace(self._progress, last_error=error)
        delay = exponential(self._failures, FIRST_DELAY, 2.0, LONGEST_DELAY)
        await self._clock.sleep(max(delay, min(self._told(error) or 0.0, LONGEST_TOLD)))

    def _told(self, error: Exception) -> float | None:
        return wait_asked_by(error, wall=self._clock.wall())


def _checked(vectors: Vectors, embedder: Embedder, count: int) -> Vectors:
    wanted = (count, embedder.dimension)
    if vectors.shape != wanted or not np.isfinite(vectors).all():
        raise ValueError(f"{embedder.name} gave vectors of shape {vectors.shape}, or not finite; wanted {wanted}")
    return vectors
