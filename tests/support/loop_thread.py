"""An event loop in a thread of its own, for servers that tests talk to over a real socket."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs a loop until it is closed; what then still runs in it is cancelled and awaited."""

    def __init__(self, name: str) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _serve(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()

    def run(self, work: Coroutine[Any, Any, T], *, patience: float = 30.0) -> T:
        """Run a coroutine in the loop to its end; not more than ``patience`` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(patience)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a plain function in the loop's thread, between two of its steps."""

        async def apply() -> T:
            return function(*arguments)

        return self.run(apply())

    def close(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), f"the loop of {self._thread.name} did not end"
