"""Does a text give orders to a machine? Asked of what a model reads, and of what it writes."""

import re
from functools import lru_cache
from typing import Final

from sengol_api.review.assist.cleaning import hides

REMEMBERED: Final = 1024
"""Texts whose answer is remembered, some 2 kB each: the same incidents are read for many reviews, and one takes 0.1 ms."""
_GAP: Final = r"\W+(?:\w+\W+){0,%d}?"


def _near(*parts: str, words: int = 4) -> str:
    """The parts in this order, each within a few words of the one before."""
    return r"\b" + (_GAP % words).join(rf"(?:{part})" for part in parts) + r"\b"


_ORDERS: Final = re.compile(
    "|".join(
        (
            _near(
                "ignore|disregard|forget|override",
                "all|any|previous|prior|above|earlier|preceding|your|these|those",
                "instructions?|prompts?|rules?|orders|text",
            ),
            _near("reveal|print|repeat|output|display|quote|recite", "instructions|prompts?|system message"),
            _near(
                "set|change|raise|lower|make|increase|reduce|give",
                "weights?|scores?|priority|ratings?|confidence",
                r"to|as|of|=|\d",
            ),
            _near("cite", r"incidents?|INC-\d+|only"),
            _near("add|insert|include|remove|drop|delete|skip|omit|replace|append", "questions?|areas?|citations?|items?"),
            _near("you are|act as|pretend|role-?play", "now|a|an|the|if|to|as", words=1),
            _near("respond|reply|answer|output|return", "only|exclusively|exactly|nothing but", words=1),
            r"\bdeveloper mode\b|\bdo anything now\b|\bjailbreak mode\b|\bend of (?:the )?(?:data|prompt|document)\b",
            r"^\s*(?:system|assistant|developer)\s+(?:prompt|message|override|note)\s*:|^\s*assistant\s*:",
            r"<\|[^|]{0,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|instructions?|data)>|#{2,}\s*(?:system|instructions?|new)",
            r"\bignorier\w*\b.{0,40}\b(?:anweisung|regel|vorgabe)|\bvergiss\b.{0,40}\banweisung",
            r"\b(?:ignora|olvida|ignore|oublie|ignorez|oubliez|esqueça|dimentica)\b.{0,40}\b(?:instruc|istruz|instruç|consigne|regla|règle|regra)",
            r"(?:игнорируй|забудь).{0,40}(?:инструкц|указани|правил)|(?:忽略|无视|無視|忘记).{0,20}(?:指令|指示|说明|規則|规则)|(?:무시).{0,20}|(?:تجاهل).{0,40}",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)
_BLOB: Final = re.compile(
    r"(?<![\w/])(?=[a-z0-9+]*[A-Z])(?=[A-Z0-9+]*[a-z])(?=[A-Za-z+]*[0-9])[A-Za-z0-9+]{32,}={0,2}(?![\w/])"
    r"|(?i:(?:[0-9a-f]{2}[\s\\x%]{1,2}){16,})"
)


@lru_cache(REMEMBERED)
def gives_orders(text: str) -> bool:
    """Whether a text speaks to a machine: known phrases in several languages, role marks, hidden characters, long runs of code.

    It finds the clumsy ones and is no guard by itself: what a model may change is bounded whether this finds anything or not.
    """
    return hides(text) or _ORDERS.search(text) is not None or _BLOB.search(text) is not None
