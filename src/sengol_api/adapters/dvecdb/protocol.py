"""d-vecDB's REST interface, as it really is: which requests, and what their answers mean.

An error of the domain comes with status 200 and ``success: false``; 400, 413, 415 and 422 have plain texts or nothing for a body.
So first the status is looked at, then ``success``. What d-vecDB answers to a DELETE of a vector (false, though it deletes) or to a
GET of one (null, whether it is there or not) is not looked at, and a PUT is never sent: with a wrong dimension it deletes.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from sengol_api.adapters.dvecdb.errors import CollectionExists, CollectionMissing, RequestRefused, ServerUnavailable, UnusableAnswer
from sengol_api.adapters.dvecdb.http import Http, Reply
from sengol_api.adapters.dvecdb.vectors import Rows
from sengol_api.resilience import seconds_to_wait

T = TypeVar("T")

INDEX: Final = {"max_connections": 128, "ef_construction": 32, "ef_search": 1, "max_layer": 16}
"""All four are needed. A vector is linked with ``ef_construction`` others, both ways, and one that comes to have more than
``max_connections`` links loses them all, so the second must be several times the first: see decision 0010. ``ef_search`` is the
least number of candidates of any search, and each search asks for its own."""

BODY_LIMIT: Final = 2_097_152
_NUMBER: Final = 26  # characters of the longest number, with its comma
_ENVELOPE: Final = 4_096
_HIT: Final = 256
_LISTING: Final = 4_194_304
_DIMENSIONS: Final = re.compile(r"Invalid vector dimension: expected (\d{1,9}), got (\d{1,9})")


class RawHit(msgspec.Struct, gc=False):
    """One hit as the server tells it."""

    id: str
    distance: float | None


class Configuration(msgspec.Struct):
    """How a collection was made."""

    dimension: int
    distance_metric: str
    vector_type: str
    index_config: dict[str, int]


class Counts(msgspec.Struct):
    """What a collection holds."""

    vector_count: int


class _Answer(msgspec.Struct, Generic[T]):
    success: bool
    data: T | None = None
    error: str | None = None


_hits = msgspec.json.Decoder(_Answer[list[RawHit]])
_names = msgspec.json.Decoder(_Answer[list[str]])
_description = msgspec.json.Decoder(_Answer[tuple[Configuration, Counts]])
_anything = msgspec.json.Decoder(_Answer[object])


def configuration(dimension: int) -> Configuration:
    """That of our collections."""
    return Configuration(dimension, "Cosine", "Float32", INDEX)


def most_per_insert(dimension: int) -> int:
    """How many vectors an insert can have, by the limit of a body."""
    return max(1, (BODY_LIMIT - _ENVELOPE) // (dimension * _NUMBER + 64))


def search_body(vector: Rows, limit: int) -> bytes:
    """A search of the ``limit`` nearest.

    The server answers with the **farthest** ``limit`` of its ``ef_search`` candidates, so as many are asked for as there are
    candidates. A filter would be parsed and ignored.
    """
    return msgspec.json.encode({"vector": vector.tolist(), "limit": limit, "ef_search": limit})


class Rest:
    """The calls of one server. Names of collections are those that :mod:`names` makes, which are safe in a path.

    Every method raises :class:`ServerUnavailable`, :class:`UnusableAnswer` and :class:`RequestRefused`, and takes no longer than
    whoever awaits it lets it.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    async def health(self) -> None:
        """Ask whether it is well; returns when it is."""
        _read(await self._http.send("GET", "/health", most=_ENVELOPE), _anything)

    async def collections(self) -> list[str]:
        """The names of all collections, also of other people's."""
        return _given(_read(await self._http.send("GET", "/collections", most=_LISTING), _names))

    async def describe(self, name: str) -> tuple[Configuration, int]:
        """How a collection was made, and how many vectors it has.

        Raises:
            CollectionMissing: there is none.
        """
        made, counts = _given(_read(await self._http.send("GET", f"/collections/{name}", most=_ENVELOPE), _description))
        return made, counts.vector_count

    async def create(self, name: str, dimension: int) -> None:
        """Make a collection.

        Raises:
            CollectionExists: there is one.
        """
        made = {"name": name, **msgspec.to_builtins(configuration(dimension))}
        _read(await self._http.send("POST", "/collections", msgspec.json.encode(made), most=_ENVELOPE), _anything)

    async def drop(self, name: str) -> None:
        """Remove a collection with its vectors.

        Raises:
            CollectionMissing: there is none.
        """
        _read(await self._http.send("DELETE", f"/collections/{name}", most=_ENVELOPE), _anything)

    async def insert(self, name: str, keys: Sequence[UUID], rows: Rows) -> None:
        """Insert vectors, or replace them. Without metadata: with any, the server would not start again.

        Args:
            name: of the collection.
            keys: one per row.
            rows: shape (n, dimension), at most :func:`most_per_insert` of them.
        """
        vectors = [{"id": str(key), "data": row.tolist()} for key, row in zip(keys, rows, strict=True)]
        body = msgspec.json.encode({"vectors": vectors})
        _read(await self._http.send("POST", f"/collections/{name}/vectors/batch", body, most=_ENVELOPE + 64 * len(keys)), _anything)

    async def remove(self, name: str, key: UUID) -> None:
        """Remove a vector, whether it is there or not."""
        _read(await self._http.send("DELETE", f"/collections/{name}/vectors/{key}", most=_ENVELOPE), _anything)

    async def search(self, name: str, body: bytes, limit: int) -> list[RawHit]:
        """The hits of a search, in the server's order.

        Args:
            name: of the collection.
            body: made by :func:`search_body`.
            limit: that of the body.

        Raises:
            CollectionMissing: there is none.
        """
        reply = await self._http.send("POST", f"/collections/{name}/search", body, most=_ENVELOPE + _HIT * limit)
        return _given(_read(reply, _hits))


def _read(reply: Reply, decoder: "msgspec.json.Decoder[_Answer[T]]") -> T | None:
    if reply.status != 200:
        raise _refusal(reply)
    try:
        answer = decoder.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnusableAnswer("What answered is not d-vecDB, or its answer was damaged.", {"bytes": len(reply.body)}) from None
    if not answer.success:
        raise _domain_error(answer.error or "")
    return answer.data


def _given(data: T | None) -> T:
    if data is None:
        raise UnusableAnswer("d-vecDB answered without the data that were asked for.")
    return data


def _refusal(reply: Reply) -> Exception:
    status, facts = reply.status, {"status": reply.status}
    wait = seconds_to_wait(reply.retry_after, wall=time.time())
    if status in {408, 425, 429} or status >= 500:
        return ServerUnavailable(f"d-vecDB, or a gateway before it, answered with status {status}.", facts, retry_after=wait)
    if status in {401, 403, 407}:
        return RequestRefused(
            f"A gateway before d-vecDB asks for a permission that the client does not have (status {status}).", facts
        )
    if 400 <= status < 500:
        return RequestRefused(f"d-vecDB refused the request with status {status}; is it a d-vecDB 0.2?", facts)
    return UnusableAnswer(f"What answered is not d-vecDB: it has status {status}.", facts)


def _domain_error(said: str) -> Exception:
    """The error behind ``success: false``, told by how its text begins; the text itself goes nowhere."""
    if said.startswith("Collection not found"):
        return CollectionMissing("d-vecDB does not have the collection.")
    if said.startswith("Collection already exists"):
        return CollectionExists("d-vecDB has the collection already.")
    if match := _DIMENSIONS.match(said):
        expected, got = map(int, match.groups())
        told: dict[str, Any] = {"expected": expected, "got": got}
        return RequestRefused(f"d-vecDB has vectors of {expected} numbers in this collection, and was sent {got}.", told)
    return RequestRefused("d-vecDB refused the request.")
