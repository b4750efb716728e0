"""About how many tokens a text has, and how texts are cut and grouped to keep to a provider's limits.

The provider's tokenizer is not at hand: its files would have to be fetched at run time. The estimate is on the safe side for prose;
where it is too low, the provider refuses the request, and the client asks again in smaller parts.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator

CountTokens = Callable[[str], int]

_PER_TOKEN = 3.0  # ASCII characters; English prose has about four, code and tables less
_PER_OTHER = 1.2  # tokens of any other character: most have one, rare ones several
_BREAK = re.compile(r"\s")


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has; at least 1."""
    if text.isascii():
        return max(1, math.ceil(len(text) / _PER_TOKEN))
    ascii_characters = len(text.encode("ascii", "ignore"))
    return max(1, math.ceil(ascii_characters / _PER_TOKEN + (len(text) - ascii_characters) * _PER_OTHER))


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no JSON can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def halves(text: str) -> tuple[str, str]:
    """A text in two parts of about the same length, between words if there is a gap near the middle. Neither is blank.

    Raises:
        ValueError: there is nothing to cut: a single character, or one word between blanks that is no longer than that.
    """
    middle = len(text) // 2
    reach = len(text) // 10
    gaps = [middle - reach + match.start() for match in _BREAK.finditer(text[middle - reach : middle + reach])]
    cut = min(gaps, key=lambda place: abs(place - middle), default=middle)
    first, second = text[:cut], text[cut:]
    if not first.strip() or not second.strip():
        first, second = _around_the_blanks(text.strip())
    return first, second


def _around_the_blanks(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    if middle == 0:
        raise ValueError("a text of one character cannot be cut")
    return text[:middle], text[middle:]


def cut(text: str, longest: int, count: CountTokens) -> Iterator[str]:
    """The parts of a text, none of more than ``longest`` tokens; the text itself if it is short enough."""
    if count(text) <= longest or len(text.strip()) < 2:
        yield text
        return
    for part in halves(text):
        yield from cut(part, longest, count)


def group(texts: Iterable[str], most: int, most_tokens: int, count: CountTokens) -> Iterator[list[str]]:
    """Texts in their order, in as few groups as can be: each of at most ``most`` texts, and ``most_tokens`` in sum.

    A text that alone has more is a group of its own.
    """
    present: list[str] = []
    tokens = 0
    for text in texts:
        own = count(text)
        if present and (len(present) >= most or tokens + own > most_tokens):
            yield present
            present, tokens = [], 0
        present.append(text)
        tokens += own
    if present:
        yield present
