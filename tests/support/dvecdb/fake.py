"""A d-vecDB in this process: the same HTTP face over a real socket, the same quirks, and switches to lose what it holds.

What the real server does by chance (which candidates its graph finds) the fake does exactly, unless ``overlooked`` says otherwise.
``tests/contract/test_dvecdb_facts.py`` holds both to the same facts.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from support.dvecdb.collection import Collection, DomainError
from support.dvecdb.wire import Body, MalformedError, parse_uuid, read_body, unsigned
from support.tiny_http import Reply, Request, TinyHttp


class Behaviour:
    """What the server does with requests, without a socket.

    Attributes:
        insert_seconds: how long each inserted vector blocks the whole server, ``/health`` too, as in the real one.
        overlooked: the share of vectors (0..1) that no search finds, as a real graph may; seeded.
        short_answers: the share of searches (0..1) that come upon a vector without links and answer with it alone; seeded by the
            query, so that asking again, or for more, does not help. About one in a hundred does in a small real collection.
        requests: how many came, by method and route, as ``"POST search"``.
    """

    def __init__(self, *, insert_seconds: float = 0.0, overlooked: float = 0.0, short_answers: float = 0.0, seed: int = 0) -> None:
        self.insert_seconds = insert_seconds
        self.overlooked = overlooked
        self.short_answers = short_answers
        self.requests: Counter[str] = Counter()
        self._seed = seed
        self._collections: dict[str, Collection] = {}
        self._poisoned = False

    # What tests do to it ---------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """``kill -9`` and a new start: nothing is left; raises when it would not start again."""
        if self._poisoned:
            raise RuntimeError("a vector with metadata was inserted: the real server refuses to start again")
        self._collections.clear()

    def lose(self, collection: str, share: float = 0.5) -> None:
        """Forget a share of one collection's vectors, so that its count does not match any more."""
        held = self._collections[collection]
        for identity in random.Random(self._seed).sample(sorted(held.vectors), round(share * len(held.vectors))):
            held.remove(identity)

    @property
    def collections(self) -> dict[str, int]:
        """How many vectors each collection has."""
        return {name: len(held.vectors) for name, held in self._collections.items()}

    # What clients see ------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Reply:
        """The answer to a request."""
        try:
            return Reply(body=_dump({"success": True, "data": self._route(request), "error": None}))
        except DomainError as error:
            return Reply(body=_dump({"success": False, "data": None, "error": str(error)}))
        except MalformedError as error:
            text = str(error)
            return Reply(error.status, text.encode(), "text/plain; charset=utf-8" if text else None)

    def _route(self, request: Request) -> object:  # noqa: C901 - the table of routes
        match request.method, request.segments:
            case "GET", ["health"]:
                return self._seen("GET health", "OK")
            case "GET", ["stats"]:
                return self._seen("GET stats", self._statistics())
            case "GET", ["collections"]:
                return self._seen("GET collections", list(self._collections))
            case "POST", ["collections"]:
                return self._seen("POST collections", self._create(read_body(request)))
            case "GET", ["collections", name] if name:
                if name not in self._collections:
                    raise DomainError("Collection not found")
                return self._seen("GET collection", self._collections[name].describe())
            case "DELETE", ["collections", name] if name:
                self._seen("DELETE collection", self._find(name))
                del self._collections[name]
                return None
            case "POST", ["collections", name, "vectors"] if name:
                return self._seen("POST vector", self._insert(name, [read_body(request)])[0])
            case "POST", ["collections", name, "vectors", "batch"] if name:
                return self._seen("POST batch", self._insert(name, read_body(request).bodies("vectors")))
            case "POST", ["collections", name, "search"] if name:
                return self._seen("POST search", self._search(name, request))
            case method, ["collections", name, "vectors", identity] if name and method in {"GET", "PUT", "DELETE"}:
                return self._seen(f"{method} vector", self._one(request, name, identity))
            case _, ["health" | "stats" | "collections"]:
                raise MalformedError(405)
            case _, ["collections", name] | ["collections", name, "vectors" | "search"] | ["collections", name, "vectors", _] if (
                name
            ):
                raise MalformedError(405)
        raise MalformedError(404)

    def _seen(self, route: str, answer: object) -> object:
        self.requests[route] += 1
        return answer

    def _find(self, name: str) -> Collection:
        if name not in self._collections:
            raise DomainError(f"Collection not found: {name}")
        return self._collections[name]

    def _create(self, body: Body) -> None:
        made = Collection.of(body)
        if made.name in self._collections:
            raise DomainError(f"Collection already exists: {made.name}")
        self._collections[made.name] = made

    def _insert(self, name: str, bodies: list[Body]) -> list[str]:
        vectors = [(parse_uuid(body.optional_text("id")), body.floats("data"), body.values.get("metadata")) for body in bodies]
        if not vectors:
            return []
        collection = self._find(name)
        for _, data, _ in vectors:
            collection.check(data)
        for identity, data, metadata in vectors:
            if self.insert_seconds:
                time.sleep(self.insert_seconds)  # in the server's only thread: everything else waits
            self._poisoned |= metadata is not None
            collection.put(identity, data, metadata)
        return [identity for identity, _, _ in vectors]

    def _search(self, name: str, request: Request) -> object:
        fallback = {key: unsigned(key, int(value)) if value.isdecimal() else None for key, value in request.query.items()}
        if None in fallback.values():
            raise MalformedError(400, "Failed to deserialize query string: invalid digit found in string")
        body = read_body(request)
        query, limit, ef_search = body.floats("vector"), body.optional_size("limit"), body.optional_size("ef_search")
        body.optional_map("filter")  # parsed, and then ignored
        collection = self._find(name)
        collection.check(query)
        limit = fallback.get("limit", 10) if limit is None else limit
        ef_search = fallback.get("ef_search") if ef_search is None else ef_search
        found = collection.search(query, limit, ef_search, hidden=self._hidden)
        return found[-1:] if self._chance(query.tobytes()) < self.short_answers else found

    def _hidden(self, identity: str) -> bool:
        return self.overlooked > 0 and self._chance(identity.encode()) < self.overlooked

    def _chance(self, what: bytes) -> float:
        return random.Random(b"%d %s" % (self._seed, what)).random()

    def _one(self, request: Request, name: str, identity: str) -> object:
        identity = parse_uuid(identity)
        body = read_body(request) if request.method == "PUT" else None
        data = None if body is None else body.floats("data")
        collection = self._find(name)
        if request.method == "GET":
            return None  # whether it is there or not
        collection.remove(identity)
        if data is None:
            return False  # whether it was there or not
        collection.check(data)  # too late: a wrong dimension has deleted the vector
        collection.put(identity, data, body.values.get("metadata"))
        return None

    def _statistics(self) -> dict[str, int]:
        total = sum(len(collection.vectors) for collection in self._collections.values())
        counts = {"total_vectors": total, "total_collections": len(self._collections)}
        return {**counts, "memory_usage": total * 64, "disk_usage": 0, "uptime_seconds": 0}


class FakeDvecdb(Behaviour):
    """The server on a real socket; ``close`` it. What it takes and what tests can do to it is that of :class:`Behaviour`."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self._http = TinyHttp(lambda request, _: self.handle(request), name="fake-d-vecdb")
        self.port, self.url = self._http.port, self._http.url

    def restart(self) -> None:
        """``kill -9`` and a start on the same port: connections break, nothing is left; raises when it would not start again."""
        self._http.drop_connections()
        try:
            self._http.call(super().restart)
        except RuntimeError:
            self.close()
            raise

    def lose(self, collection: str, share: float = 0.5) -> None:
        """Forget a share of one collection's vectors, so that its count does not match any more."""
        self._http.call(super().lose, collection, share)

    def close(self) -> None:
        """Stop; harmless when stopped already."""
        http, self._http = self._http, None
        if http is not None:
            http.close()


def _dump(answer: object) -> bytes:
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


@contextmanager
def fake_dvecdb(**options: float) -> Iterator[FakeDvecdb]:
    """A fake that is stopped afterwards; the options are those of ``FakeDvecdb``."""
    fake = FakeDvecdb(**options)
    try:
        yield fake
    finally:
        fake.close()
