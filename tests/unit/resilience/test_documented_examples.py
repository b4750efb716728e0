"""The Python on the pages of the toolkit does what it is shown for: every block is run, in the order of its page."""

import ast
import asyncio
import inspect
import re
import time
from array import array
from pathlib import Path
from types import SimpleNamespace

import pytest

import sengol_api.resilience
import sengol_api.resilience.testing
from sengol_api.resilience import CircuitBreaker, InMemoryStore, Pipeline
from sengol_api.resilience.testing import run_virtual

ROOT = Path(__file__).parents[3]
PAGES = [*sorted((ROOT / "docs" / "resilience").glob("*.md")), ROOT / "README.md"]
OTHER_LIBRARIES = "# before\n"
"""How a block begins that shows another library."""


def blocks(page):
    """The line at which each begins, and its text."""
    text = page.read_text()
    for found in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        if not found[1].startswith(OTHER_LIBRARIES):
            yield text.count("\n", 0, found.start(1)), found[1]


EXAMPLES = {page: list(blocks(page)) for page in PAGES}


async def answer(*args, **kwargs):
    """Whatever is called on a page."""
    return ["an answer"]


def plain_answer(*args, **kwargs):
    """Whatever is called as a plain function."""
    return ["an answer"]


def surroundings():
    """The names that a reader of a page knows: all that the toolkit exports, and what stands for code of their own."""
    exported = {}
    for module in (sengol_api.resilience, sengol_api.resilience.testing):
        exported |= {name: getattr(module, name) for name in module.__all__}
    return exported | {
        "asyncio": asyncio,
        "pytest": pytest,
        "time": time,
        "search": Pipeline("search", CircuitBreaker()),
        "chat": Pipeline("openai", CircuitBreaker()),
        "store": InMemoryStore(),
        "client": SimpleNamespace(query=answer),
        "connection": SimpleNamespace(execute=plain_answer),
        "vector": array("d", [0.6, 0.8]),
        "statement": "select 1",
        "messages": [],
        "request": SimpleNamespace(user_id="user 7"),
        "key": "a key",
        "value": "a value",
        "listener": plain_answer,
        "note": plain_answer,
        "stale": plain_answer,
        **dict.fromkeys(["ask", "by_keywords", "handle", "rebuild", "some_api_call"], answer),
    }


async def run_all(page):
    names = surroundings()
    for line, block in EXAMPLES[page]:
        source = "\n" * line + block  # so that an error shows the line of the page
        code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.isawaitable(running):
            await running
    return names


@pytest.mark.parametrize("page", [page for page in PAGES if EXAMPLES[page]], ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, capsys):
    names = run_virtual(run_all(page))
    for name, test in names.items():
        if name.startswith("test_"):
            test()
    hits = names.get("hits")
    assert hits is None or hits == ["an answer"]


def test_every_page_of_a_policy_has_examples():
    assert [page.stem for page in PAGES if not EXAMPLES[page]] == ["surviving-mutants"]
