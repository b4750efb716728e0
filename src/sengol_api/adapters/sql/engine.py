"""Connections: one engine for reading and one for writing, errors translated where they come in."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sengol_api.adapters.sql.sqlite import WRITES, SqliteReader, configure
from sengol_api.review.errors import DatabaseError


def async_url(url: str) -> sa.URL:
    """The URL with the driver that we use: aiosqlite or asyncpg.

    Raises:
        ValueError: neither a SQLite nor a PostgreSQL URL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ValueError("not a database URL; use sqlite:///path or postgresql://user:password@host/name") from None
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    driver = drivers.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ValueError(f"{parsed.drivername} is not supported; use sqlite or postgresql")
    return parsed.set(drivername=driver)


class Database:
    """The database behind all SQL adapters.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/name``.
        connections: to PostgreSQL, at most; half of them stay open. Three more, for questions of health, come when they are needed.

    Raises:
        ValueError: the URL is of no supported kind.
    """

    def __init__(self, url: str, *, connections: int = 20) -> None:
        parsed = async_url(url)
        self.is_sqlite = parsed.drivername.startswith("sqlite")
        # Every block below commits or rolls back itself, so SQLite need not be asked to once more.
        sqlite: dict[str, Any] = {"pool_reset_on_return": None}
        kept = (connections + 1) // 2
        options = sqlite if self.is_sqlite else {"pool_pre_ping": True, "pool_size": kept, "max_overflow": connections - kept}
        self._engine: AsyncEngine = create_async_engine(parsed, hide_parameters=True, **options)  # errors are logged
        # A question of health does not stand in line behind requests: a replica that has much to do is not one without a database.
        # A second and a third, for when the one before hangs in its clean-up.
        few = {**options, "pool_size": 1, "max_overflow": 2}
        self._aside: AsyncEngine = create_async_engine(parsed, hide_parameters=True, **few)
        if self.is_sqlite:
            configure(self._engine.sync_engine)
            configure(self._aside.sync_engine)
        self._writer = self._engine.execution_options(**{WRITES: True})
        self._reader = SqliteReader(parsed) if self.is_sqlite else None
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def shown_url(self) -> str:
        """The URL as it is written in the settings, with its password hidden."""
        url = self._engine.url
        return url.set(drivername=url.drivername.partition("+")[0]).render_as_string(hide_password=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Reading; on PostgreSQL one transaction, on SQLite one a statement."""
        async with _translated("read"), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed and durable when the block is left, undone when it raises."""
        async with _translated("written to"), self._writer.begin() as connection:
            yield connection

    async def rows(self, statement: sa.Executable, /, **values: object) -> Sequence[sa.Row[Any]]:
        """All rows of one statement, which is a transaction of its own: the way to read with every request.

        Args:
            statement: made once, with a ``bindparam`` for what is different each time.
            values: of those.
        """
        async with _translated("read"):
            if self._reader is not None:
                return await self._reader.rows(statement, values)
            async with self._single.connect() as connection:
                return (await connection.execute(statement, values)).all()

    async def ping(self) -> None:
        """Ask the database for a one, over a connection that no request has."""
        async with _translated("read"), self._aside.begin() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)
        await self._aside.dispose()
        await self._engine.dispose()


@asynccontextmanager
async def _translated(action: str) -> AsyncIterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database could not be {action}; nothing was changed. Try again, and see the server's log.",
            {"cause": type(cause).__name__},
        ) from error


def storable(text: str) -> bool:
    """Whether a text can be in the database at all: PostgreSQL fails when it is asked for one with a zero character."""
    return "\0" not in text


def upsert(connection: AsyncConnection, table: sa.Table, keys: list[str]) -> Any:  # noqa: ANN401 - two dialects' insert
    """An INSERT that updates all other columns when the key is there, for either database."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    statement = insert(table)
    rest = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)
