"""What callers get: answers with where they came from, and how an answer grows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Source = Literal["fresh", "cached", "stale"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request and its answer.

    Attributes:
        input_tokens: of the request.
        output_tokens: of the answer.
        cached_tokens: of those of the request that the provider had in its own cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an answer has come.

    Attributes:
        pieces: that have arrived; a piece is about a token.
        characters: in them.
    """

    pieces: int
    characters: int


Listener = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, as it is kept.

    Attributes:
        text: its answer.
        model: that gave it, in the provider's words.
        provider: by whose name.
        usage: tokens that it took, those of a repair included.
        first: whether the first provider of the chain gave it.
    """

    text: str
    model: str
    provider: str
    usage: Usage
    first: bool = True


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A model's answer, and where it came from.

    Attributes:
        text: the answer; never empty.
        model: that gave it, in the provider's words.
        provider: by whose name in the chain.
        usage: tokens that it took when it was made.
        source: ``fresh`` from the model just now, for this caller or one who asked the same at the same time; ``cached``; or
            ``stale``: past its time, since nobody had a new one.
        reason: why it is stale; empty otherwise.
        age: seconds since it was made.
        calls: requests that were sent to providers for this caller.
    """

    text: str
    model: str
    provider: str
    usage: Usage
    source: Source
    reason: str
    age: float
    calls: int


@dataclass(frozen=True, slots=True)
class JsonAnswer(ChatAnswer):
    """The same for a value of a schema.

    Attributes:
        value: of the schema, and without a problem for the check. A copy of one's own.
    """

    value: Any = None
