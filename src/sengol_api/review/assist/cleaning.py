"""Texts from outside, made fit to be sent: bounded, without what no reader sees, without what a model has no need of."""

import re
import unicodedata
from typing import Final

_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # they can carry bytes that nobody sees
_BEYOND: Final = re.compile(r"[^\x00-\x7f]+")
_CONTROLS: Final = dict.fromkeys((*range(32), 127), " ")
_MAIL: Final = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,255}")
_QUERY: Final = re.compile(r"(https?://[^\s?#]{1,300})[?#]\S*", re.IGNORECASE)
_CODE: Final = re.compile(r"(?<![A-Za-z0-9+/=_])(?=[A-Za-z+/=_]*\d)(?=[\d+/=_]*[A-Za-z])[A-Za-z0-9+/=_]{20,}")
_LONG_NUMBER: Final = re.compile(r"(?<![\w.])\+?\d(?:[ ().\-]?\d){8,}(?!\w)")
_HIDDEN: Final = re.compile("[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def hides(text: str) -> bool:
    """Whether a text holds characters that turn its direction, or that a reader never sees and a model reads."""
    return _HIDDEN.search(text) is not None


def clean(text: str, longest: int) -> str:
    """One line of visible characters, at most ``longest`` of them, cut at a word.

    Mail addresses, long numbers (telephone, card, account), what looks like a key, and the query of a link are replaced.
    """
    line = " ".join(_visible(text[: 4 * longest]).split())
    line = _MAIL.sub("[e-mail]", line)
    line = _QUERY.sub(r"\1", line)
    line = _CODE.sub("[code]", line)
    line = _LONG_NUMBER.sub("[number]", line)
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[longest // 2 :] else cut) + "…"


def _visible(text: str) -> str:
    """Without what no reader sees; control characters become blanks. Most texts are plain ASCII: no letter is looked at."""
    if not text.isascii():
        text = _BEYOND.sub(lambda found: "".join(map(_shown, found[0])), unicodedata.normalize("NFKC", text))
    return text.translate(_CONTROLS)


def _shown(ch: str) -> str:
    if _unseen(ch):
        return ""
    return " " if ch.isspace() or unicodedata.category(ch) == "Cc" else ch


def _unseen(ch: str) -> bool:
    return unicodedata.category(ch) in {"Cf", "Cs", "Co", "Cn"} or _SELECTORS.match(ch) is not None
