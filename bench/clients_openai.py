"""What the OpenAI client costs over the bare SDK, against the same server on the loopback interface: ``make bench``.

The server runs in a process of its own. Calls take turns, one at a time, in an order that chance decides; what counts is the
median of the differences within a pair, so that whatever else the machine does falls on both. Where it does so much that even
these differences drown, the time that the thread computes tells more: both calls wait for the same server. It prints figures
beside their targets and judges nothing.
"""

import argparse
import asyncio
import gc
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import openai

from sengol_api.adapters.openai import OpenAIClient, OpenAIOptions

TESTS = Path(__file__).parents[1] / "tests"
SERVE = """
import sys
from support.openai_faults import OpenAIFaults
server = OpenAIFaults()
server.headers = {f"x-ratelimit-{name}-{what}": value for what in ("requests", "tokens") for name, value in
                  (("limit", "100000000"), ("remaining", "99999999"), ("reset", "1ms"))}
print(server.base_url, flush=True)
for line in sys.stdin:
    print(server.count(line.strip()), flush=True)
"""
MESSAGES = [
    {"role": "system", "content": "You rank risks. " * 30},
    {"role": "user", "content": "A chatbot answers patients from their medical records. " * 30},
]
Call = Callable[[], Awaitable[Any]]


class Server:
    """The fault server of the tests, healthy, in another process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def count(self, path: str) -> int:
        """Requests so far."""
        assert self._process.stdin is not None
        print(path, file=self._process.stdin, flush=True)
        return int(self._line())


@contextmanager
def serving() -> Iterator[Server]:
    """It is stopped afterwards."""
    command, environment = [sys.executable, "-c", SERVE], {**os.environ, "PYTHONPATH": str(TESTS)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


class Pair(NamedTuple):
    """A call of each: seconds on the wall, and of computing in this thread."""

    bare: float
    whole: float
    bare_computed: float
    whole_computed: float


async def pairs(one: Call, other: Call, count: int) -> list[Pair]:
    """Pairs of calls."""
    chance = random.Random(1)
    figures = []
    for _ in range(count):
        took, computed = [0.0, 0.0], [0.0, 0.0]
        for which in chance.sample((0, 1), 2):
            call = (one, other)[which]
            started, began = time.perf_counter(), time.thread_time()
            await call()
            took[which], computed[which] = time.perf_counter() - started, time.thread_time() - began
        figures.append(Pair(*took, *computed))
    return figures


def row(what: str, figures: list[Pair], target: str) -> None:
    """Print a comparison."""
    bare, whole = (statistics.median(each) for each in ([pair[0] for pair in figures], [pair[1] for pair in figures]))
    added = statistics.median(pair.whole - pair.bare for pair in figures)
    computed = sorted(pair.whole_computed - pair.bare_computed for pair in figures)
    median, low, high = (computed[len(computed) * share // 4] for share in (2, 1, 3))
    print(
        f"  {what:<42} bare SDK {bare * 1000:6.2f} ms   client {whole * 1000:6.2f} ms   added {added / bare:+6.1%}   "
        f"computing {median * 1e6:+5.0f} us ({low * 1e6:+.0f} to {high * 1e6:+.0f}), {median / bare:+.1%}   {target}".rstrip()
    )


async def measure(server: Server, rounds: int) -> None:
    """All figures."""
    options = OpenAIOptions(api_key="key", base_url=server.url)
    async with (
        openai.AsyncOpenAI(api_key="key", base_url=server.url, max_retries=0) as sdk,
        OpenAIClient(options) as client,
    ):

        async def bare() -> Any:
            return (
                (await sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.3)).choices[0].message.content
            )

        async def raw() -> Any:
            raw = await sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES, temperature=0.3)
            return raw.parse().choices[0].message.content

        async def whole() -> Any:
            return (await client.chat_completion(MESSAGES, use_cache=False)).text

        questions = iter(range(10**9))

        async def missing() -> Any:
            return (await client.chat_completion([*MESSAGES, {"role": "user", "content": str(next(questions))}])).text

        async def vector() -> Any:
            return (await sdk.embeddings.create(model="text-embedding-3-small", input=["one text"])).data[0].embedding

        async def our_vector() -> Any:
            return await client.generate_embedding("one text", use_cache=False)

        for call in (bare, whole, missing, vector, our_vector):
            for _ in range(30):
                await call()
        gc.collect()
        gc.freeze()
        print("One call, the median of each, and of the differences in pairs")
        row("chat, cache off", await pairs(bare, whole, rounds), "target at most +5 %")
        row("the same against the SDK's raw response", await pairs(raw, whole, rounds), "")
        row("chat, cache on, never asked before", await pairs(bare, missing, rounds), "")
        row("embedding of one text, cache off", await pairs(vector, our_vector, rounds), "")
    await counts(server)


async def counts(server: Server) -> None:
    """How many requests go out."""
    async with OpenAIClient(OpenAIOptions(api_key="key", base_url=server.url)) as client:
        before = server.count("/v1/embeddings")
        started = time.perf_counter()
        await client.batch_generate_embeddings([f"control number {number} against phishing mail" for number in range(3000)])
        took = time.perf_counter() - started
        sent = server.count("/v1/embeddings") - before
        print(f"  3,000 texts to embed: {sent} requests (target 2), {took:.2f} s with the server's own time")
        before = server.count("/v1/chat/completions")
        await asyncio.gather(*(client.chat_completion(MESSAGES) for _ in range(50)))
        print(f"  50 identical concurrent requests: {server.count('/v1/chat/completions') - before} upstream (target 1)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1500, help="pairs of calls in each comparison")
    arguments = parser.parse_args()
    print(f"\n== OpenAI client ==\nopenai {version('openai')}, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}")
    with serving() as server:
        asyncio.run(measure(server, arguments.rounds))
    print(f"  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
