"""Who is an administrator: decided on the host, by whoever can reach the database."""

import getpass
from collections.abc import Sequence
from pathlib import Path

from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.schema import migrate
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.bootstrap import open_database, utc_now
from sengol_api.ops.audit import Act
from sengol_api.ops.steering import Action
from sengol_api.review.accounts import Role, User
from sengol_api.settings import Settings


async def set_role(settings: Settings, email: str, role: Role) -> User | None:
    """Give an account a role, and write it down. It counts from the account's next request on.

    Returns:
        the account, or None when there is none of this address.
    """
    address = email.strip().lower()
    database = open_database(settings)
    try:
        await migrate(database)
        users = SqlUserStore(database)
        known = await users.find(address)
        act = Act(
            at=utc_now(),
            actor=f"host:{_host_user()}",
            actor_id=None,
            action=Action.GRANT if role == "admin" else Action.REVOKE,
            target=address[:254],
            result="done" if known else "no such account",
            request_id="",
        )
        await SqlAuditLog(database).add(act)  # first: nothing is done that is not written down
        return await users.set_role(address, role)
    finally:
        await database.close()


async def administrators(settings: Settings) -> Sequence[User]:
    """All accounts with the role, by their addresses."""
    database = open_database(settings)
    try:
        await migrate(database)
        return await SqlUserStore(database).with_role("admin")
    finally:
        await database.close()


def _host_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(Path("/proc/self").stat().st_uid)
