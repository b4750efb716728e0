"""``UserStore`` over SQLite and PostgreSQL."""

import asyncio
import datetime as dt

from support.toys import NOON


async def test_an_account_is_found_by_its_address_and_by_its_id(users, a_user):
    kept = a_user(name=None, company="Söhne & Töchter 合同会社")
    assert await users.add(kept, "the hash") is True
    assert await users.find(kept.email) == (kept, "the hash")
    assert await users.get(kept.id) == kept


async def test_an_unknown_account_is_none(users):
    assert await users.find("nobody@example.com") is None
    assert await users.get("nobody") is None


async def test_an_address_is_taken_only_once(users, a_user):
    assert await users.add(a_user("first", email="one@example.com"), "1") is True
    assert await users.add(a_user("second", email="one@example.com"), "2") is False
    found, password_hash = await users.find("one@example.com")
    assert (found.id, password_hash) == ("first", "1")
    assert await users.get("second") is None


async def test_of_many_that_want_one_address_at_once_exactly_one_gets_it(users, a_user):
    added = await asyncio.gather(*(users.add(a_user(f"user-{n}", email="one@example.com"), str(n)) for n in range(8)))
    assert sorted(added) == [False] * 7 + [True]
    found, password_hash = await users.find("one@example.com")
    assert found.id == f"user-{password_hash}" == f"user-{added.index(True)}"


async def test_a_moment_keeps_its_instant_whatever_zone_it_was_given_in(users, a_user):
    local = NOON.astimezone(dt.timezone(dt.timedelta(hours=9)))
    await users.add(a_user(created_at=local), "hash")
    kept = (await users.get("user-1")).created_at
    assert kept == NOON
    assert kept.utcoffset() == dt.timedelta(0)


async def test_an_address_is_data_and_never_a_statement(users, a_user):
    hostile = "x'); DROP TABLE users; --@example.com"
    assert await users.find(hostile) is None
    assert await users.add(a_user(email=hostile), "hash") is True
    assert (await users.find(hostile))[0].email == hostile


async def test_a_zero_character_is_in_no_account(users):
    assert await users.find("a\0b@example.com") is None
    assert await users.get("user\0") is None


async def test_a_role_is_given_and_taken_by_the_address(users, a_user):
    await users.add(a_user("first"), "hash")
    await users.add(a_user("second"), "hash")
    given = await users.set_role("second@example.com", "admin")
    assert (given.id, given.role) == ("second", "admin")
    assert (await users.get("second")).role == "admin"
    assert (await users.get("first")).role == "user"
    assert await users.with_role("admin") == [given]
    assert (await users.set_role("second@example.com", "user")).role == "user"
    assert await users.with_role("admin") == []


async def test_a_role_is_given_to_nobody_whose_address_is_not_there(users, a_user):
    await users.add(a_user("first"), "hash")
    for address in ("nobody@example.com", "FIRST@example.com", "first\0@example.com", ""):
        assert await users.set_role(address, "admin") is None
    assert await users.with_role("admin") == []
