"""Speed and memory of the resilience toolkit beside what one would use instead, in one run: ``make bench``.

It prints figures beside their targets and judges nothing. ``--full`` makes the 10 million calls of the memory figure.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import contenders
import interpreters
import timing
import uvloop
import waiters

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PEERS = ("tenacity", "aiobreaker", "hyx", "stamina", "purgatory", "pybreaker", "uvloop")
STACK_TARGETS = {contenders.TENACITY: "at most 1/30", contenders.HYX: "at most 1/10", contenders.BARE: "below 1/2"}


async def at_once() -> None:
    """Work that ends in its first step."""


async def waits() -> None:
    """Work that waits for one turn of the event loop."""
    await asyncio.sleep(0)


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}")


def share(value: timing.Spread) -> str:
    """A ratio as people say it, with its quartiles."""
    if value.median >= 1:
        return f"{value.median:.2f} ({value.low:.2f}-{value.high:.2f})"
    return f"1/{1 / value.median:.1f} (1/{1 / value.high:.1f} - 1/{1 / value.low:.1f})"


def row(sample: timing.Sample, beside: str = "", target: str = "") -> None:
    """Print the figures of one contender."""
    goal = f"target {target}" if target else ""
    print(f"  {sample.name:<52} {sample.median:9,.0f} ns   least {sample.least:9,.0f}   {beside:<28} {goal}".rstrip())


async def happy_path(rounds: int) -> None:
    """All four policies, work that succeeds."""
    for what, work, targets in (
        ("answers at once", at_once, STACK_TARGETS),
        ("waits for one turn of the loop, for information", waits, {}),
    ):
        heading(f"Happy path, work that {what}: one call, and ours over theirs")
        samples = await timing.compare(contenders.stacks(work), rounds)
        mine = samples[contenders.OURS]
        for name, sample in samples.items():
            if name == contenders.OURS:
                row(sample, "", "1,500 ns on 3.13 (an aim)" if targets else "")
            else:
                row(sample, share(timing.ratio(mine, sample)), targets.get(name, ""))


async def each_policy(rounds: int) -> None:
    """One policy at a time."""
    for policy, calls in contenders.singles(at_once).items():
        heading(f"{policy} alone: one call, and ours over theirs")
        samples = await timing.compare(calls, rounds)
        for name, sample in samples.items():
            row(sample, "" if name == "sengol" else share(timing.ratio(samples["sengol"], sample)))


async def rejection(rounds: int) -> None:
    """Calls against an open breaker."""
    heading("Rejection by an open breaker, and what it costs over an error that is raised and caught")
    samples = await timing.compare(await contenders.rejections(), rounds)
    least = samples["raise and catch, no breaker"]
    for name, sample in samples.items():
        over = timing.difference(sample, least)
        beside = "" if sample is least else f"+{over.median:,.0f} ns ({over.low:,.0f} - {over.high:,.0f})"
        row(sample, beside, "at most +1,000 ns" if name == "sengol" else "")


async def cache_hit(rounds: int) -> None:
    """Calls that a cache answers."""
    heading("Cache hit")
    samples = await timing.compare(await contenders.hits(), rounds)
    for name, sample in samples.items():
        row(sample, "", "at most 600 ns" if name.endswith(("caller's", "arguments")) else "")


async def crowds() -> None:
    """A bulkhead with many in line."""
    for what, contestants in (await waiters.measure(repeats=3)).items():
        heading(f"{what.capitalize()}: all who wait for one of {waiters.PLACES} places")
        for name, times in contestants.items():
            cells = "   ".join(f"{crowd:,}: {seconds * 1000:,.1f} ms" for crowd, seconds in times.items())
            goal = "target O(n)" if name == "sengol" else ""
            print(f"  {name:<20} {cells}   grows as n^{waiters.exponent(times):.2f}   {goal}".rstrip())


async def on_a_loop(rounds: int) -> None:
    """All that depends on the event loop."""
    await happy_path(rounds)
    await rejection(rounds)
    await cache_hit(rounds)
    await each_policy(max(10, rounds // 2))
    await crowds()


def plain(rounds: int) -> None:
    """Plain functions need no loop."""
    heading("Plain functions, happy path: one call, and ours over theirs")
    samples = timing.compare_plain(contenders.plain(), rounds)
    mine = next(iter(samples.values()))
    for sample in samples.values():
        row(sample, "" if sample is mine else share(timing.ratio(mine, sample)))


def memory(calls: int) -> None:
    """In a process of its own."""
    heading(f"Memory that {calls:,} calls leave behind (allocations that Python holds: over {calls // 10:,})")
    script = Path(__file__).with_name("memory.py")
    answer = subprocess.run([sys.executable, str(script), str(calls)], capture_output=True, text=True, check=True)
    figures: dict[str, dict[str, Any]] = json.loads(answer.stdout)
    for name, grown in figures.items():
        cells = f"resident {grown['resident'] / 1024:+,.0f} KiB   held {grown['held'] / 1024:+,.1f} KiB"
        print(f"  {name:<30} {cells:<50} target flat")


def machine() -> str:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    cpu = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    host = f"{platform.platform()}, {os.cpu_count()} cores, {cpu[1] if cpu else platform.machine()}"
    peers = ", ".join(f"{name} {version(name)}" for name in ("sengol-api", *PEERS))
    return f"{host}\nPython {platform.python_version()}, {peers}"


def here(options: argparse.Namespace) -> None:
    """All figures on the running Python."""
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n")
    for name, new_loop in LOOPS.items():
        heading(f"== {name} ==")
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(on_a_loop(options.rounds))
    plain(options.rounds)
    memory(10_000_000 if options.full else options.memory_calls)
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)


def main() -> None:
    """Measure and print, here and on the other Pythons that there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="turns of each contender")
    parser.add_argument("--memory-calls", type=int, default=500_000, help="calls of the memory figure")
    parser.add_argument("--full", action="store_true", help="10 million calls for the memory figure")
    parser.add_argument("--here", action="store_true", help="only on the running Python")
    options = parser.parse_args()
    here(options)
    for python in [] if options.here else interpreters.others():
        heading(f"======== {python} ========")
        sys.stdout.flush()
        with interpreters.environment(python) as inside:
            subprocess.run([inside, __file__, "--here", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
