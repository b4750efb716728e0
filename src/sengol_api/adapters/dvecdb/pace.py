"""How fast inserts follow each other: while one runs, the server does nothing else, not even answer ``/health``."""

from typing import Final

LEAST: Final = 10
"""Vectors; below it the price of a request is felt."""


class Pace:
    """The size of the next insert, and the pause after the last one.

    Args:
        most: vectors per insert.
        seconds: that an insert should take.
        pause: after an insert, as a multiple of its time.
    """

    def __init__(self, most: int, seconds: float, pause: float) -> None:
        self._most = most
        self._seconds = seconds
        self._pause = pause
        self.size = min(most, LEAST)

    def took(self, seconds: float) -> float:
        """An insert of the present size took so long. Gives the pause that the searches of others are due, in seconds."""
        factor = min(2.0, self._seconds / seconds) if seconds > 0 else 2.0
        self.size = max(min(LEAST, self._most), min(self._most, int(self.size * factor)))
        return self._pause * seconds
