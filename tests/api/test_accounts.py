"""Registering and logging in."""

import asyncio

import argon2
import pytest

from sengol_api.adapters.argon2_hasher import LIMIT, THREADS, Argon2Hasher
from support.wire import assert_error, problems

PASSWORD = "a long passphrase"


async def register(api, **body):
    return await api.client.post("/api/auth/register", json={"email": "new@example.com", "password": PASSWORD, **body})


async def login(api, email="reviewer@example.com", password=PASSWORD):
    return await api.client.post("/api/auth/login", json={"email": email, "password": password})


async def test_registering_gives_the_account_and_a_token_that_works(stranger):
    answer = await register(stranger, name="R. Viewer", company="Söhne & Co")
    data = answer.json()["data"]
    assert (answer.status_code, answer.json()["success"]) == (201, True)
    assert set(data) == {"user", "token", "expiresAt"}
    user = data["user"]
    assert (user["email"], user["name"], user["company"], user["role"]) == ("new@example.com", "R. Viewer", "Söhne & Co", "user")
    assert user["createdAt"] == "2026-11-24T12:00:00.000Z"
    assert data["expiresAt"] == "2026-11-24T13:00:00.000Z"
    answer = await stranger.client.get("/api/review", headers={"Authorization": f"Bearer {data['token']}"})
    assert answer.status_code == 200


async def test_logging_in_gives_a_token_of_the_same_account(api):
    answer = await login(api)
    assert answer.status_code == 200
    answer = await api.client.get("/api/review", headers={"Authorization": f"bearer  {answer.json()['data']['token']}"})
    assert answer.status_code == 200


async def test_an_address_is_the_same_in_capitals(api):
    assert (await login(api, "Reviewer@Example.COM")).status_code == 200
    assert problems(await register(api, email="REVIEWER@example.com")) == {"email": "unavailable"}


async def test_a_taken_address_is_refused_and_its_password_stays(api):
    assert problems(await register(api, email="reviewer@example.com", password="another passphrase")) == {"email": "unavailable"}
    assert (await login(api)).status_code == 200
    assert_error(await login(api, password="another passphrase"), "AUTHENTICATION_ERROR")


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(api):
    wrong, unknown = await login(api, password="wrong passphrase"), await login(api, "nobody@example.com")
    assert_error(wrong, "AUTHENTICATION_ERROR")
    assert_error(unknown, "AUTHENTICATION_ERROR")
    assert wrong.json()["error"] == unknown.json()["error"]
    assert wrong.headers["www-authenticate"] == unknown.headers["www-authenticate"] == "Bearer"


async def test_an_unknown_address_costs_a_verification_like_a_known_one(api):
    await login(api, password="wrong passphrase")
    await login(api, "nobody@example.com")
    known, unknown = api.hasher.verified
    assert known.startswith("$argon2id$")
    assert unknown is None


async def test_a_taken_address_costs_a_hash_like_a_free_one(api, monkeypatch):
    hashed = []
    hash_ = api.hasher.hash

    async def counting(password):
        hashed.append(password)
        return await hash_(password)

    monkeypatch.setattr(api.hasher, "hash", counting)
    await register(api, email="reviewer@example.com")
    await register(api, email="free@example.com")
    assert len(hashed) == 2


async def test_no_answer_holds_the_password_or_its_hash(api):
    for answer in (await register(api), await login(api), await login(api, password="wrong passphrase")):
        assert PASSWORD not in answer.text
        assert "wrong passphrase" not in answer.text
        assert "argon2" not in answer.text


@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        "a@b",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@exa mple.com",
        "a\n@example.com",
        "a@example.com\n",
        "a@@example.com",
        "a@example.com\x00",
        "x" * 65 + "@example.com",
        "a@" + "x" * 250 + ".com",
        "a@example.com\u2028b@example.com",
    ],
)
async def test_what_is_no_address_is_refused(stranger, email):
    assert set(problems(await register(stranger, email=email))) == {"email"}


async def test_an_address_that_grows_in_small_letters_is_no_fault(stranger):
    assert problems(await register(stranger, email="İ" * 64 + "@" + "İ" * 180 + ".com")) == {"email": "too_long"}
    assert (await register(stranger, email="İ" * 60 + "@example.com")).status_code == 201


@pytest.mark.parametrize(("password", "code"), [("", "too_short"), ("1234567", "too_short"), ("x" * 101, "too_long")])
async def test_a_password_has_8_to_100_characters(stranger, password, code):
    assert problems(await register(stranger, password=password)) == {"password": code}


@pytest.mark.parametrize("password", ["12345678", "x" * 100, "密码密码密码密码", "\x00 \x07 tabs\t"])
async def test_any_characters_may_be_in_a_password(stranger, password):
    assert (await register(stranger, password=password)).status_code == 201
    assert (await login(stranger, "new@example.com", password)).status_code == 200
    assert_error(await login(stranger, "new@example.com", password + " "), "AUTHENTICATION_ERROR") if len(password) < 100 else None


async def test_all_that_is_wrong_with_a_registration_is_told_at_once(stranger):
    body = {"email": 5, "password": "short", "name": "", "company": "x\x07", "role": "admin"}
    found = problems(await stranger.client.post("/api/auth/register", json=body))
    assert found == {
        "email": "wrong_type", "password": "too_short", "name": "too_short", "company": "control_character", "role": "unknown_field"
    }  # fmt: skip


async def test_nobody_makes_themselves_an_administrator(stranger):
    assert problems(await register(stranger, role="admin")) == {"role": "unknown_field"}


@pytest.mark.parametrize("email", ["a\x00b@example.com", "' OR 1=1 --", "x" * 254])
async def test_a_strange_address_at_the_log_in_is_only_a_wrong_one(api, email):
    assert_error(await login(api, email), "AUTHENTICATION_ERROR")


async def test_more_log_ins_at_once_than_can_be_checked_are_told_to_wait_and_nobody_else_is(make_api):
    release = asyncio.Event()

    class Flooded(Argon2Hasher):
        async def _in_thread(self, work, *args):
            await release.wait()
            return await super()._in_thread(work, *args)

    hasher = Flooded(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    api = await make_api()
    api.headers = await api.register()
    flooded = await make_api(hasher=hasher)
    try:
        flood = [asyncio.create_task(login(flooded)) for _ in range(THREADS + LIMIT.max_queue + 5)]
        done, _ = await asyncio.wait(flood, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        refused = await done.pop()
        assert "retryAfter" in assert_error(refused, "OVERLOADED")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await flooded.client.get("/api/review", headers=api.headers)).status_code == 200
        release.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*flood)]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= THREADS + LIMIT.max_queue
    finally:
        release.set()
        hasher.close()
