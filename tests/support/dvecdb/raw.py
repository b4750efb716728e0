"""Raw requests to a d-vecDB, real or fake: no client of ours between a test and the answers."""

import json
import socket
import uuid
from urllib.parse import quote, urlsplit

import httpx2
import numpy as np

INDEX = {"max_connections": 64, "ef_construction": 64, "ef_search": 1, "max_layer": 16}
JSON = {"content-type": "application/json"}


def client_of(server) -> httpx2.Client:
    """With patience: a server that inserts answers late."""
    return httpx2.Client(base_url=server.url, timeout=60)


class Collection:
    """One collection of a test's own."""

    def __init__(self, http: httpx2.Client, dimension: int = 3, **changes) -> None:
        self.http = http
        self.name = f"c{uuid.uuid4().hex}"
        told = {"distance_metric": "Cosine", "vector_type": "Float32", "index_config": INDEX}
        self.made = {"name": self.name, "dimension": dimension, **told, **changes}
        self.path = f"/collections/{quote(self.made['name'], safe='')}"
        assert http.post("/collections", json=self.made).json() == {"success": True, "data": None, "error": None}

    def insert(self, vector, identity: str | None = None, **more) -> str:
        """Gives the id."""
        identity = identity or str(uuid.uuid4())
        answer = self.http.post(f"{self.path}/vectors", json={"id": identity, "data": list(vector), **more})
        assert answer.json() == {"success": True, "data": identity, "error": None}
        return identity

    def insert_all(self, vectors, batch: int = 50) -> list[str]:
        """Gives the ids."""
        ids = [str(uuid.uuid4()) for _ in vectors]
        entries = [{"id": identity, "data": np.asarray(vector).tolist()} for identity, vector in zip(ids, vectors, strict=True)]
        for start in range(0, len(entries), batch):
            answer = self.http.post(f"{self.path}/vectors/batch", json={"vectors": entries[start : start + batch]})
            assert answer.json() == {"success": True, "data": ids[start : start + batch], "error": None}
        return ids

    def search(self, vector, **options) -> list[tuple[str, float | None]]:
        """Ids and distances, as they come."""
        body = {"vector": np.asarray(vector).tolist(), **options}
        answer = self.http.post(f"{self.path}/search", json=body).json()
        assert answer["success"], answer
        return [(hit["id"], hit["distance"]) for hit in answer["data"]]

    @property
    def count(self) -> int:
        """As the server tells it."""
        return self.http.get(self.path).json()["data"][1]["vector_count"]


def vectors(count: int, dimension: int, seed: int = 1) -> np.ndarray:
    """Random ones, always the same."""
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def refused(answer: httpx2.Response) -> str:
    """The error of an HTTP 200 that is none."""
    assert answer.status_code == 200
    told = answer.json()
    assert (told["success"], told["data"]) == (False, None)
    return told["error"]


def posted(server, path: str, body: dict) -> socket.socket:
    """A connection on which a request was sent and no answer read."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    line = socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=60)
    line.sendall(head.encode() + content)
    return line
