"""Who wants to know how an answer grows: known by the key of the answer, for whoever makes it tells all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from sengol_api.adapters.openai.answers import Listener
from sengol_api.adapters.openai.run import Run


class Listening:
    """The listeners to the answers that are being made."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Listener]] = {}

    @contextmanager
    def to(self, key: str, listener: Listener | None, run: Run) -> Iterator[None]:
        """Listen to an answer, and let the run tell all who do.

        Args:
            key: of the answer.
            listener: of this caller; None for nobody.
            run: of this caller, who may be the one that makes the answer.
        """
        if listener is None:
            run.listeners = self._by_key.get(key, run.listeners)
            yield
            return
        all_of_them = run.listeners = self._by_key.setdefault(key, [])
        all_of_them.append(listener)
        try:
            yield
        finally:
            all_of_them.remove(listener)
            if not all_of_them and self._by_key.get(key) is all_of_them:
                del self._by_key[key]
