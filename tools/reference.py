"""The reference tables of the documentation, made from the code. Run by ``make docs``; a test fails when a page differs.

A page marks where a table stands, and this writes between the marks::

    <!-- options: Retry -->
    <!-- events: Retrying, RetryGaveUp -->
    <!-- snapshot: RetrySnapshot -->
    <!-- end -->
"""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import sengol_api.resilience
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import Options

PAGES = Path(__file__).parents[1] / "docs" / "resilience"
_MARKED = re.compile(r"(<!-- (options|events|snapshot): ([\w, ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def classes() -> dict[str, type]:
    """All classes of the toolkit, by name."""
    return {
        name: each
        for module in pkgutil.walk_packages(sengol_api.resilience.__path__, "sengol_api.resilience.")
        for name, each in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if each.__module__ == module.name
    }


def options_table(kind: type) -> Iterator[str]:
    """A row for each option: its default, what it takes, what it does."""
    yield "| option | default | takes | meaning |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(kind):
        meta = field.metadata
        unit = f" {meta['unit']}" if meta["unit"] and not isinstance(field.default, str | None) else ""
        yield f"| `{field.name}` | {_value(field.default)}{unit} | {meta['allowed'].words} | {meta['meaning']} |"


def _value(default: object) -> str:
    if default is dataclasses.MISSING:
        return "must be given"
    if callable(default) and not isinstance(default, Options):
        return f"`{getattr(default, '__name__', default)}`"
    if isinstance(default, Options):
        return f"`{type(default).__name__}()`"
    return f"`{default!r}`".replace("|", "\\|")


def attributes(kind: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}


def events_table(kinds: list[type]) -> Iterator[str]:
    """A row for each event: when it comes, what it carries."""
    yield "| event | when | carries |"
    yield "|---|---|---|"
    for kind in kinds:
        when = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        carries = "; ".join(f"`{name}`: {words.rstrip('.')}" for name, words in attributes(kind).items())
        yield f"| `{kind.__name__}` | {when} | {carries} |"


def snapshot_table(kind: type) -> Iterator[str]:
    """A row for each field of a snapshot."""
    yield "| field | meaning |"
    yield "|---|---|"
    for name, words in attributes(kind).items():
        yield f"| `{name}` | {words} |"


def written(page: str) -> str:
    """The text of a page with its tables as the code has them."""
    known = classes()

    def table(match: re.Match[str]) -> str:
        kinds = [known[name.strip()] for name in match[3].split(",")]
        if match[2] == "events":
            rows = events_table(kinds)
        else:
            rows = options_table(kinds[0]) if match[2] == "options" else snapshot_table(kinds[0])
        return match[1] + "\n" + "\n".join(rows) + "\n\n" + match[4]

    return _MARKED.sub(table, page)


def missing(pages: str) -> list[str]:
    """Options and events of the toolkit that no page has a table for."""
    marked = {name.strip() for match in _MARKED.finditer(pages) for name in match[3].split(",")}
    documented = [each for each in classes().values() if issubclass(each, Options | Event) and dataclasses.is_dataclass(each)]
    return sorted(each.__name__ for each in documented if each.__name__ not in marked and not each.__subclasses__())


def main() -> int:
    """Write the tables of all pages."""
    texts = {page: page.read_text() for page in sorted(PAGES.glob("*.md"))}
    for page, text in texts.items():
        page.write_text(written(text))
    lost = missing("".join(texts.values()))
    if lost:
        print("no page has a table for:", ", ".join(lost))
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
