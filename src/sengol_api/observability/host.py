"""The workers of one server, to each other: what one says, all of them can say.

``serve --workers N`` runs N processes on one port, and a request reaches any of them. So that the one that is asked can speak for
all, the parent makes a directory, and each worker has a place in it::

    with host_directory() as directory:          # in the parent, around its workers (module host_directory)
        ...

    host = Host(directory)                       # in a worker
    host.offer("status", lambda wanted: {...})   # what it answers to the others: a JSON document, or a coroutine that gives one
    async with host.open():
        answers = await host.ask("status")       # one Answer of every worker, its own included, within half a second

    host.keep("metrics", {...})                  # left for the others when it is gone
    host.kept("metrics")                         # what the others have left, by place

With ``Host(None)`` there is one worker, and the same calls work.

A place is a number. A worker takes the lowest one whose lock is free, and the kernel frees that lock when the process ends, however
it does: no place is lost, and none is taken twice. In its place a worker listens on a socket; a connection that is refused means
that nobody is there, and one without an answer that the worker is stuck. What a worker keeps stays in its place, and who takes the
place after it finds it as :meth:`Host.inherited`.
"""

import asyncio
import fcntl
import inspect
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

_LONGEST_QUESTION: Final = 64 * 1024
_PATIENCE: Final = 5.0

_log = logging.getLogger("sengol_api.host")

Give = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one worker.

    Attributes:
        place: of the worker.
        state: ``answered``; ``silent``: it is there, and gave no answer in time; ``failed``: it could not make one; ``gone``:
            nobody is there any more.
        document: its answer; None unless it answered.
    """

    place: int
    state: Literal["answered", "silent", "failed", "gone"]
    document: Any = None


class Host:
    """This worker's place among those of its server.

    Args:
        directory: that the parent made; None for a worker by itself.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._offers: dict[str, Give] = {}
        self._complained = False
        self._serving: set[asyncio.Future[None]] = set()
        self._locks: list[int] = []
        self.place = 1
        if directory is not None:
            try:
                self._take_place(directory)
            except OSError as error:
                _log.warning("the workers cannot speak for each other", exc_info=error)
                self._directory = None

    def _take_place(self, directory: Path) -> None:
        # That of the directory says that it is in use; the parent has one too, but may be killed first.
        self._locks.append(os.open(directory, os.O_RDONLY))
        fcntl.flock(self._locks[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
        while True:
            lock = os.open(directory / f"{self.place}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                self.place += 1
                continue
            self._locks.append(lock)
            return

    @property
    def alone(self) -> bool:
        """Whether there is nobody to ask."""
        return self._directory is None

    def close(self) -> None:
        """Give the place free, before the process ends."""
        while self._locks:
            os.close(self._locks.pop())

    # What is kept

    def keep(self, name: str, document: Any) -> None:
        """Leave a document for the others, in the place of the one before. On a full disk that one stays.

        Args:
            name: of the document: a word.
            document: of what JSON knows.
        """
        if self._directory is None:
            return
        draft = self._directory / f"{self.place}.{name}.draft"
        try:
            draft.write_bytes(msgspec.json.encode(document))
            draft.replace(self._kept_in(self.place, name))
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warning("a worker cannot keep what it has counted", exc_info=error)
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def kept(self, name: str) -> dict[int, Any]:
        """What each worker has left, those that are gone included, by their places."""
        found = {place: self._read(place, name) for place in self._places("lock")}
        return {place: document for place, document in found.items() if document is not None}

    def inherited(self, name: str) -> Any:
        """What the worker that had this place before has left; None when nobody had it. To be asked before anything is kept."""
        return self._read(self.place, name)

    def _kept_in(self, place: int, name: str) -> Path:
        assert self._directory is not None  # noqa: S101 - for mypy: asked by those only who have seen to it
        return self._directory / f"{place}.{name}.json"

    def _read(self, place: int, name: str) -> Any:
        if self._directory is None:
            return None
        try:
            return msgspec.json.decode(self._kept_in(place, name).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def _places(self, ending: str) -> list[int]:
        if self._directory is None:
            return []
        with suppress(OSError):
            names = (name.partition(".") for name in os.listdir(self._directory))  # noqa: PTH208 - names are all that is wanted
            return sorted(int(number) for number, _, rest in names if rest == ending and number.isdecimal())
        return []

    # What is asked

    def offer(self, topic: str, give: Give) -> None:
        """Answer to questions of the others, and to one's own.

        Args:
            topic: what is asked for: a word.
            give: takes what the question says beside its topic, and gives a document of what JSON knows, or a coroutine for it. It
                runs in the event loop. One that raises is logged, and the asker is told that it failed.
        """
        self._offers[topic] = give

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer the others while the block runs."""
        if self._directory is None:
            yield
            return
        path = self._directory / f"{self.place}.sock"
        try:
            server = await asyncio.start_unix_server(self._connected, path, limit=_LONGEST_QUESTION)
        except OSError as error:
            _log.warning("this worker cannot answer for itself", exc_info=error)
            yield
            return
        try:
            yield
        finally:
            server.close()
            with suppress(OSError):
                path.unlink()
            serving = list(self._serving)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                question = msgspec.json.decode(await reader.readline())
                document, failed = await self._answer(question["topic"], question["argument"])
                writer.write(msgspec.json.encode({"document": document, "failed": failed}))
                writer.write_eof()
                await writer.drain()
        except (OSError, TimeoutError, ValueError, LookupError, TypeError):  # an asker that is gone, or none of ours
            pass
        finally:
            writer.close()

    async def _answer(self, topic: str, argument: Any) -> tuple[Any, bool]:
        give = self._offers.get(topic)
        if give is None:
            return None, True
        try:
            document = give(argument)
            document = await document if inspect.isawaitable(document) else document
        except Exception:  # noqa: BLE001 - logged, and told to who asked
            _log.exception("a question of another worker could not be answered", extra={"topic": topic})
            return None, True
        return document, False

    async def ask(self, topic: str, argument: Any = None, *, seconds: float = 0.5) -> list[Answer]:
        """Ask every worker at once, this one included.

        Args:
            topic: what is asked for.
            argument: what the question says beside; of what JSON knows.
            seconds: that an answer may take; later ones are not waited for.

        Returns:
            one answer of each place that a worker has or had, in their order.
        """
        others = [place for place in self._places("lock") if place != self.place]
        asked = {place: asyncio.ensure_future(self._ask(place, topic, argument)) for place in others}
        own = asyncio.ensure_future(self._answer(topic, argument))
        try:
            await asyncio.wait({own, *asked.values()}, timeout=seconds)
            answers = {place: task.result() if task.done() else Answer(place, "silent") for place, task in asked.items()}
            answers[self.place] = self._own(own)
        finally:
            for task in (own, *asked.values()):
                task.cancel()
            await asyncio.gather(own, *asked.values(), return_exceptions=True)
        return [answers[place] for place in sorted(answers)]

    def _own(self, own: "asyncio.Future[tuple[Any, bool]]") -> Answer:
        if not own.done():
            return Answer(self.place, "silent")
        document, failed = own.result()
        return Answer(self.place, "failed") if failed else Answer(self.place, "answered", document)

    async def _ask(self, place: int, topic: str, argument: Any) -> Answer:
        assert self._directory is not None  # noqa: S101 - for mypy: without one there is no other place
        writer = None
        try:
            path = self._directory / f"{place}.sock"
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(msgspec.json.encode({"topic": topic, "argument": argument}) + b"\n")
            told = msgspec.json.decode(await reader.read())
            return Answer(place, "failed") if told["failed"] else Answer(place, "answered", told["document"])
        except (FileNotFoundError, ConnectionRefusedError):
            return Answer(place, "gone")
        except (OSError, ValueError, LookupError, TypeError):  # it ended while it answered, or its backlog is full
            return Answer(place, "silent")
        finally:
            if writer is not None:
                writer.close()
