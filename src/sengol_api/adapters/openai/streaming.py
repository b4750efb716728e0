"""An answer that comes piece by piece: whole, or an error. Nothing in between counts."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from sengol_api.adapters.openai.answers import Progress
from sengol_api.adapters.openai.tokens import clean
from sengol_api.adapters.openai.validation import Completion, usage_from


async def assembled(chunks: AsyncIterator[Any], tell: Callable[[Progress], object]) -> Completion:
    """The completion that a stream of chunks makes.

    Args:
        chunks: as the SDK gives them; objects of any shape, since it does not check them.
        tell: is called after each piece.

    Returns:
        what was said. One whose stream ended early has no ``finish``, and so is no answer.
    """
    parts: list[str] = []
    refusal: list[str] = []
    finish = model = ""
    usage: Any = None
    characters = 0
    async for chunk in chunks:
        model = model or _text(getattr(chunk, "model", ""))
        usage = getattr(chunk, "usage", None) or usage
        choices = getattr(chunk, "choices", None)
        if not isinstance(choices, list) or not choices or getattr(choices[0], "index", None):
            continue
        finish = _text(getattr(choices[0], "finish_reason", "")) or finish
        delta = getattr(choices[0], "delta", None)
        refusal.append(_text(getattr(delta, "refusal", "")))
        piece = _text(getattr(delta, "content", ""))
        if piece:
            parts.append(piece)
            characters += len(piece)
            tell(Progress(len(parts), characters))
    told = usage.model_dump() if hasattr(usage, "model_dump") else usage
    return Completion(clean("".join(parts)), finish, "".join(refusal), model[:200], usage_from(told))


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the provider sent
    return value if isinstance(value, str) else ""
