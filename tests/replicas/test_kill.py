"""A replica dies without a word while people write: what was acknowledged is there."""

import asyncio
import random
import uuid
from dataclasses import dataclass, field

from support.load import Line, LostError, a_system, register

WRITERS, KILLS = 16, 3


@dataclass
class Ledger:
    """What was acknowledged, by review; ``doubtful`` are reviews whose last write got no answer."""

    names: dict[str, str] = field(default_factory=dict)
    saved: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    accounts: list[str] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    writes: int = 0
    unanswered: int = 0


class Writer:
    """A user who writes all the time, and keeps book."""

    def __init__(self, line: Line, questions: dict, seed: int) -> None:
        self.line = line
        self.ledger = Ledger()
        self._questions = questions
        self._chance = random.Random(seed)
        self._number = 0

    async def write(self) -> None:
        """One write."""
        ledger, self._number = self.ledger, self._number + 1
        review = self._chance.choice([*(ledger.names.keys() - ledger.deleted - ledger.doubtful), ""])
        step = self._chance.choices(["make", "save", "answer", "delete", "register"], [4, 3, 4, 1, 1])[0] if review else "make"
        try:
            await getattr(self, f"_{step}")(review)
        except LostError:
            ledger.unanswered += 1
            ledger.doubtful.add(review)

    async def _make(self, _: str) -> None:
        name = f"Review {self._number}"
        if made := await self._acknowledged("POST", "/api/review", {"name": name}, ""):
            self.ledger.names[made.data["id"]] = name

    async def _save(self, review: str) -> None:
        some = self._chance.sample(self._questions["riskQuestions"], 3)
        body = {"riskQuestions": some, "complianceQuestions": self._questions["complianceQuestions"][:1]}
        if await self._acknowledged("PUT", f"/api/review/{review}/save-questions", body, review):
            self.ledger.saved[review] = [each["id"] for each in some]
            self.ledger.answers.pop(review, None)

    async def _answer(self, review: str) -> None:
        if review not in self.ledger.saved:
            return
        given = {key: self._chance.choice(["addressed", "not_addressed"]) for key in self.ledger.saved[review]}
        if await self._acknowledged("PUT", f"/api/review/{review}/answers", given, review):
            self.ledger.answers[review] = given

    async def _delete(self, review: str) -> None:
        if await self._acknowledged("DELETE", f"/api/review/{review}", None, review):
            self.ledger.deleted.add(review)

    async def _register(self, _: str) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        if await self._acknowledged("POST", "/api/auth/register", {"email": email, "password": "a long passphrase"}, ""):
            self.ledger.accounts.append(email)

    async def _acknowledged(self, method: str, path: str, body: object, review: str):
        answer = await self.line.ask(method, path, body)
        if answer.status // 100 == 2:
            self.ledger.writes += 1
            return answer
        assert answer.status in {502, 503}, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        self.ledger.unanswered += 1
        self.ledger.doubtful.add(review)
        return None


async def test_what_was_acknowledged_is_there_after_kill_9_of_replicas_under_load(replicas, a_user, figure):
    questions = await _questions(replicas.address, await a_user())
    writers = [Writer(Line(replicas.address, await a_user()), questions, seed) for seed in range(WRITERS)]
    done = asyncio.Event()

    async def go(writer: Writer, chance: random.Random) -> None:
        while not done.is_set():
            await writer.write()
            await asyncio.sleep(chance.expovariate(1 / 0.15))

    writing = [asyncio.create_task(go(writer, random.Random(number))) for number, writer in enumerate(writers)]
    chance = random.Random(7)
    for victim in chance.sample(replicas.replicas, KILLS):
        await asyncio.sleep(chance.uniform(2.0, 3.0))
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(1.0)
    done.set()
    await asyncio.gather(*writing)
    await asyncio.to_thread(replicas.settle)
    for writer in writers:
        await _assert_all_there(writer, replicas.replicas[random.Random(writer.ledger.writes).randrange(4)])
    writes, unanswered = (sum(getattr(each.ledger, name) for each in writers) for name in ("writes", "unanswered"))
    assert writes > 300
    figure(f"kill -9 of {KILLS} of four replicas: {writes} acknowledged writes, 0 lost; {unanswered} got no acknowledgement")


async def _assert_all_there(writer: Writer, replica) -> None:
    """Whatever the ledger says, as one replica tells it."""
    ledger, line = writer.ledger, Line(("127.0.0.1", replica.port), writer.line.headers)
    for review, name in ledger.names.items():
        answer = await line.ask("GET", f"/api/review/{review}")
        if review in ledger.deleted:
            assert answer.status == 404, review
        elif review not in ledger.doubtful:
            assert answer.status == 200, f"{review} was acknowledged"
            detail = answer.data
            assert detail["name"] == name
            assert [each["id"] for each in detail.get("riskQuestions", [])] == ledger.saved.get(review, [])
            assert ledger.answers.get(review, {}).items() <= detail["answers"].items()
    for email in ledger.accounts:
        answer = await line.ask("POST", "/api/auth/login", {"email": email, "password": "a long passphrase"})
        assert answer.status == 200, "an account that was acknowledged"
    line.close()
    writer.line.close()


async def _questions(address, user) -> dict:
    line = Line(address, user)
    review = (await line.ask("POST", "/api/review", {})).data["id"]
    made = await line.ask("POST", f"/api/review/{review}/generate-questions", a_system(0))
    line.close()
    return made.data


async def test_two_replicas_never_give_one_address_to_two_accounts(replicas):
    """The same address at once, everywhere."""
    for _ in range(5):
        email = f"{uuid.uuid4().hex}@example.com"
        tries = [register(("127.0.0.1", each.port), email) for each in replicas.replicas]
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(each, dict) for each in done) == 1
