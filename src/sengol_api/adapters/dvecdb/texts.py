"""Vectors of texts, from the embedder that made those of the records."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from sengol_api.adapters.dvecdb.errors import EmbeddingFailed
from sengol_api.adapters.dvecdb.vectors import Rows, unit_rows
from sengol_api.adapters.ladder import reason_of
from sengol_api.review.ports import Embedder

Place: TypeAlias = Callable[[str], Awaitable[Rows]]
"""Gives the vector of a text, of length one, shape (dimension,)."""


class Texts:
    """Places texts among the vectors.

    Args:
        embedder: makes the vectors; None for none.
        made_by: name of the embedder of the records.
        dimension: of the vectors.

    Raises:
        ValueError: it is another embedder, or has another dimension.
    """

    def __init__(self, embedder: Embedder | None, made_by: str, dimension: int) -> None:
        if embedder is not None and (embedder.name, embedder.dimension) != (made_by, dimension):
            raise ValueError(
                f"the records hold vectors of {made_by!r} with {dimension} numbers, texts would be embedded by "
                f"{embedder.name!r} with {embedder.dimension}: vectors of two embedders never meet"
            )
        self._embedder = embedder
        self._dimension = dimension

    async def place(self, text: str) -> Rows:
        """The vector of one text.

        Raises:
            TypeError: there is no embedder.
            EmbeddingFailed: it has none.
        """
        row: Rows = (await self._made([text]))[0]
        return row

    async def together(self, texts: Sequence[str]) -> Place:
        """Place several texts by one call of the embedder.

        Returns:
            what gives the vector of each, or raises what the call raised; a text that is not among them is placed by itself.
        """
        try:
            rows = dict(zip(texts, await self._made(texts), strict=True)) if texts else {}
        except EmbeddingFailed as error:
            failed = error

            async def fail(_: str) -> Rows:
                raise failed.with_traceback(None)

            return fail

        async def found(text: str) -> Rows:
            return rows[text] if text in rows else await self.place(text)

        return found

    async def _made(self, texts: Sequence[str]) -> Rows:
        if self._embedder is None:
            raise TypeError("this client was given no embedder, so it cannot search by text")
        try:
            rows = unit_rows(await self._embedder.embed(texts), self._dimension)
        except Exception as error:
            wait = getattr(error, "retry_after", None)
            raise EmbeddingFailed(f"The text could not be embedded: {reason_of(error)}.", retry_after=wait) from error
        if len(rows) != len(texts):
            raise EmbeddingFailed(f"The embedder gave {len(rows)} vectors for {len(texts)} texts.")
        return rows
