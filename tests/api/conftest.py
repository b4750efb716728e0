"""The application over a small corpus: real stores in a file, a toy embedder, a clock that a test can move."""

import asyncio
import datetime as dt
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import argon2
import httpx2
import pytest
from starlette.types import ASGIApp

from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.schema import migrate
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.api.app import create_app
from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.limits import LimitOptions, Limits
from sengol_api.api.services import ApiOptions, Services
from sengol_api.api.tokens import Tokens
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.ops.steering import Steering
from sengol_api.resilience import Registry
from sengol_api.review.search import SearchIncidents
from support.asgi import Exchange, running
from support.builders import make_vocabulary
from support.toys import NOON, toy_world
from support.wire import DESCRIPTION

SECRET = "a secret of the tests that is long enough"
PASSWORD = "a long passphrase"


class Clock:
    """The present moment, until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> dt.datetime:
        return self.now


class CountingHasher(Argon2Hasher):
    """The real hasher with cheap parameters, that remembers what it verified."""

    def __init__(self) -> None:
        super().__init__(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.verified: list[str | None] = []

    async def verify(self, password: str, password_hash: str | None) -> bool:
        self.verified.append(password_hash)
        return await super().verify(password, password_hash)


@dataclass
class Api:
    """A running application with a client, and short ways to what most tests begin with."""

    app: ASGIApp
    client: httpx2.AsyncClient
    services: Services
    clock: Clock
    hasher: CountingHasher
    headers: dict[str, str] = field(default_factory=dict)

    async def register(self, email="reviewer@example.com") -> dict[str, str]:
        """The headers of a new account."""
        answer = await self.client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['data']['token']}"}

    async def review(self, headers=None, **body) -> str:
        """The id of a new review."""
        answer = await self.client.post("/api/review", json=body, headers=headers or self.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]["id"]

    async def generated(self, review: str, **body) -> dict:
        """The data of the main job."""
        body = {"systemDescription": DESCRIPTION, **body}
        answer = await self.client.post(f"/api/review/{review}/generate-questions", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def saved(self) -> tuple[str, dict]:
        """A review with saved questions, and those questions."""
        review = await self.review()
        questions = only_questions(await self.generated(review))
        answer = await self.client.put(f"/api/review/{review}/save-questions", json=questions, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return review, questions

    async def get(self, path: str, **more) -> httpx2.Response:
        """GET with the account's token."""
        return await self.client.get(path, headers={**self.headers, **more})

    async def send(self, method: str, path: str, body=None, **headers) -> httpx2.Response:
        """Any method with the account's token; ``body`` is sent as JSON, bytes as they are."""
        content = {"content": body, "json": None} if isinstance(body, bytes) else {"json": body}
        headers = {"Content-Type": "application/json", **self.headers, **headers}
        return await self.client.request(method, path, headers=headers, **content)

    def exchange(self, *args, **more) -> Exchange:
        """A request of which the test decides when its client goes away."""
        return Exchange(self.app, *args, **more)


def only_questions(generated: dict) -> dict:
    """What save-questions takes, of what generate-questions gave."""
    return {name: generated[name] for name in ("riskQuestions", "complianceQuestions")}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """An SQLite file with the schema, to be copied."""
    file = tmp_path_factory.mktemp("schema") / "migrated.sqlite3"

    async def make() -> None:
        database = Database(f"sqlite:///{file}")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return file


@pytest.fixture(scope="session")
def world():
    """The small corpus with its indexes, made once: nothing of it changes."""
    return asyncio.run(toy_world())


@pytest.fixture
async def make_api(migrated_file, world, tmp_path) -> AsyncIterator:
    """Makes an application: with options of the HTTP face, and with services put in the place of the usual ones."""
    shutil.copy(migrated_file, file := tmp_path / "api.sqlite3")
    async with AsyncExitStack() as stack:

        async def make(*, options=None, telemetry=None, **others) -> Api:
            database, clock, hasher = Database(f"sqlite:///{file}"), Clock(), CountingHasher()
            stack.push_async_callback(database.close)
            stack.callback(hasher.close)
            corpus = world.knowledge.corpus
            registry, drain = others.pop("registry", None) or Registry(), others.pop("drain", None) or Drain()
            answers = world.answers(clock, entries=10)
            services = Services(
                users=SqlUserStore(database),
                reviews=SqlReviewStore(database),
                hasher=hasher,
                tokens=Tokens(SECRET, seconds=3600, now=clock),
                generate=answers,
                at_hand=answers.at_hand,
                search=SearchIncidents(corpus, spaces=world.spaces, keywords=world.keywords),
                corpus=corpus,
                vocabulary=make_vocabulary(),
                attribution="Toy corpus",
                limits=Limits(LimitOptions(requests_per_minute=100_000, logins_per_minute=100_000)),
                gate=Gate(GateOptions()),
                now=clock,
                started_at=NOON,
                registry=registry,
                health=Health(
                    [Dependency(name="database", check=database.ping)],
                    registry,
                    required=["database"],
                    closed=lambda: drain.why_not_ready,
                ),
                steering=Steering(registry, SqlAuditLog(database), now=clock),
                background=Background(),
                drain=drain,
            )
            services = replace(services, **others)

            @asynccontextmanager
            async def opened() -> AsyncIterator[Services]:
                yield services

            app = create_app(opened, options or ApiOptions(), telemetry)
            await stack.enter_async_context(running(app))
            client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")
            await stack.enter_async_context(client)
            return Api(app, client, services, clock, hasher)

        yield make


@pytest.fixture
async def stranger(make_api) -> Api:
    """The application to somebody without an account."""
    return await make_api()


@pytest.fixture
async def api(stranger) -> Api:
    """The application to a user who is logged in."""
    stranger.headers = await stranger.register()
    return stranger
