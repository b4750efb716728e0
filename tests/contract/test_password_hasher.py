"""``PasswordHasher``: argon2id, here with cheap parameters."""

import asyncio
import threading
from collections.abc import Iterator

import argon2
import pytest

from sengol_api.adapters.argon2_hasher import LIMIT, THREADS, Argon2Hasher
from sengol_api.resilience import BulkheadFull


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    made = Argon2Hasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield made
    made.close()


@pytest.mark.parametrize("password", ["a long passphrase", "pässwörd 密码 🔑", "\x00\x01" * 8, "x" * 100])
async def test_a_password_matches_its_own_hash_and_no_other_does(hasher, password):
    kept = await hasher.hash(password)
    assert await hasher.verify(password, kept) is True
    assert await hasher.verify(password + "x", kept) is False
    assert await hasher.verify("", kept) is False


async def test_a_hash_is_salted_says_its_kind_and_does_not_hold_the_password(hasher):
    first, second = await hasher.hash("a long passphrase"), await hasher.hash("a long passphrase")
    assert first != second
    assert first.startswith("$argon2id$")
    assert "passphrase" not in first
    assert len(first) <= 255


async def test_without_an_account_the_same_work_is_done_and_the_answer_is_no(hasher, monkeypatch):
    asked = []
    verify = hasher._hasher.verify
    monkeypatch.setattr(hasher, "_hasher", type("Spy", (), {"verify": lambda _, *a: asked.append(a) or verify(*a)})())
    assert await hasher.verify("the password of nobody", None) is False
    assert len(asked) == 1
    assert asked[0][0].startswith("$argon2id$")


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_a_damaged_hash_is_no_match_and_no_fault(hasher, damaged):
    assert await hasher.verify("a long passphrase", damaged) is False


async def test_by_default_the_cost_is_that_of_rfc_9106():
    hasher = Argon2Hasher()
    try:
        assert "m=65536,t=3,p=4" in await hasher.hash("a long passphrase")
    finally:
        hasher.close()


class Held:
    """A hasher that takes as long as the test wants."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        if password == "the password of nobody":
            return "hash of nobody"
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.release.wait(60)
        with self._lock:
            self.running -= 1
        return "hash"


async def test_of_a_flood_some_wait_in_line_the_rest_is_refused_at_once_and_all_other_threads_stay_free():
    hasher = Argon2Hasher(held := Held())
    try:
        flood = [asyncio.create_task(hasher.hash(f"password {number}")) for number in range(500)]
        done, waiting = await asyncio.wait(flood, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
        assert await asyncio.to_thread(lambda: "free") == "free"
        held.release.set()
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
    finally:
        held.release.set()
        hasher.close()
    assert done
    assert len(waiting) == THREADS + LIMIT.max_queue
    assert outcomes.count("hash") == THREADS + LIMIT.max_queue
    assert all(isinstance(outcome, BulkheadFull) for outcome in outcomes if outcome != "hash")
    assert held.most == THREADS


async def test_one_that_gave_up_waiting_leaves_its_place_to_the_next():
    hasher = Argon2Hasher(held := Held())
    try:
        line = [asyncio.create_task(hasher.hash("password")) for _ in range(THREADS + LIMIT.max_queue)]
        await asyncio.sleep(0)
        line[-1].cancel()
        await asyncio.wait([line[-1]])
        late = asyncio.create_task(hasher.hash("password"))
        await asyncio.sleep(0)
        held.release.set()
        assert await late == "hash"
        await asyncio.gather(*line, return_exceptions=True)
    finally:
        held.release.set()
        hasher.close()
