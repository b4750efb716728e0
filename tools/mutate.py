"""Mutation run of the toolkit: does a test fail for every small fault in one of its modules? Run by ``make mutate``.

Each fault (see ``mutants.py``) is tried in a process of its own, forked from one that has pytest loaded already, with those tests
that visit its lines, the quickest first, until one fails. All works on a copy of the sources; the faulty module itself is never
written to disk. A test run that does not end, or eats the memory, counts as failed.

Faults that no test can tell are explained in ``docs/resilience/surviving-mutants.md``. The run fails when another one survives,
and when an explanation has lost its mutant.

Usage: ``mutate.py [MODULE ...]``, as ``mutate.py retry.py breaker/core.py``; all of them by default. ``PROCESSES`` in the
environment says how many mutants are tried at a time; as many as there are processors by default.
"""

import functools
import gc
import importlib
import importlib.machinery
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mutants import Mutant, mutants
from runs import HUNG, TESTS, TOOLKIT, Baseline, Selection, Watch, name_of, run_tests

ROOT = Path(__file__).parents[1]
SLOW = TESTS / "test_simulations.py"  # long runs of everything, which notice what quicker tests have noticed before
EXPLAINED = ROOT / "docs/resilience/surviving-mutants.md"
MODULES = """
    breaker/*.py retry.py series.py budget.py backoff.py history.py deadline.py expiry.py attempt.py cache/*.py admission/*.py
    adaptive/occupancy.py adaptive/station.py
""".split()
PROCESSES = int(os.environ.get("PROCESSES") or os.cpu_count() or 1)
MEMORY = 4 * 2**30  # bytes of address space: an endless loop that collects things is stopped there


def forked(work: Callable[[], int], output: str = os.devnull) -> int:
    """Do ``work`` in a process of its own, whose exit code is its result. Returns the process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        os.nice(5)  # whoever works beside it goes first
        file = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = work()
    except BaseException:  # noqa: BLE001 - whatever it was, nothing of the parent's may run on in here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def measured() -> Baseline:
    """The tests without a fault.

    Raises:
        SystemExit: not all of them pass.
    """
    result, output = Path("baseline"), Path("output")

    def work() -> int:
        baseline = Baseline()
        baseline.code = run_tests([str(TESTS), f"--ignore={SLOW}"], Watch(baseline))
        result.write_bytes(pickle.dumps(baseline))
        return baseline.code

    os.environ["COVERAGE_CORE"] = "ctrace"  # the one that knows contexts
    os.waitpid(forked(work, str(output)), 0)
    baseline: Baseline = pickle.loads(result.read_bytes()) if result.exists() else Baseline()
    if baseline.code != pytest.ExitCode.OK:
        raise SystemExit(f"The tests must pass before faults are made, and they do not:\n{output.read_text()[-5000:]}")
    return baseline


def try_out(mutant: Mutant, tests: list[str], baseline: Baseline) -> int:
    """Run ``tests`` with the fault in place; for a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    name = name_of(mutant.module)
    get_code = importlib.machinery.SourceFileLoader.get_code

    def with_fault(self: importlib.machinery.SourceFileLoader, fullname: str) -> types.CodeType | None:
        return mutant.code if fullname == name else get_code(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = with_fault  # type: ignore[method-assign]
    return run_tests(sorted({test.partition("::")[0] for test in tests}), Selection(tests, baseline))


def survivors(faults: list[Mutant], baseline: Baseline, hung: list[Mutant]) -> Iterator[Mutant]:
    """Those of the mutants that no test notices; those that show by a test that does not end are added to ``hung``."""
    running: dict[int, Mutant] = {}

    def ended() -> Iterator[Mutant]:
        child, status = os.wait()
        mutant = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        if code in (HUNG, -signal.SIGPROF):
            hung.append(mutant)
        elif code == pytest.ExitCode.OK:
            yield mutant

    for mutant in faults:
        tests = baseline.tests_for(mutant)
        if not tests:
            yield mutant
            continue
        if len(running) == PROCESSES:
            yield from ended()
        running[forked(functools.partial(try_out, mutant, tests, baseline))] = mutant
    while running:
        yield from ended()


def explained() -> dict[str, set[str]]:
    """The survivors that the list explains, by module."""
    keys: dict[str, set[str]] = defaultdict(set)
    module = ""
    for line in EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else ():
        if heading := re.match(r"## `([\w/.]+)`", line):
            module = heading[1]
        elif line.startswith("* `"):
            keys[module].add(line.removeprefix("* "))
    return keys


def work_on_copy(folder: Path) -> None:
    """Copy what the tests need, and go there."""
    for part in ("src", "tests", "docs/resilience", "tools", "pyproject.toml", "README.md"):
        copy, source = folder / part, ROOT / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    os.chdir(folder)
    sys.path.insert(0, str(Path("src").resolve()))
    sys.dont_write_bytecode = False  # each module is compiled once, not by every process


def modules(patterns: list[str]) -> list[str]:
    """The modules that are meant, as paths from the folder of the toolkit."""
    found = {pattern: sorted(TOOLKIT.glob(pattern)) for pattern in patterns}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        raise SystemExit(f"There is nothing like {', '.join(missing)} in {TOOLKIT}.")
    return [path.relative_to(TOOLKIT).as_posix() for paths in found.values() for path in paths]


def main(chosen: list[str]) -> int:
    """Try all mutants of the modules; 1 when one is left that is not explained, or an explanation without its mutant."""
    known, bad, total, began = explained(), 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work_on_copy(Path(folder))
        todo = modules(chosen or MODULES)
        todo += [] if chosen else sorted(known.keys() - set(todo))  # explained, and not even there any more
        baseline = measured()
        gc.freeze()  # what is loaded by now, no process has to look through
        print(f"{len(baseline.duration)} tests pass without a fault, in {sum(baseline.duration.values()):.0f} s", flush=True)
        for module in todo:
            path = TOOLKIT / module
            faults = mutants(path.read_text(), module, path.resolve()) if path.exists() else []
            hung: list[Mutant] = []
            left = {mutant.key for mutant in survivors(faults, baseline, hung)}
            new, gone = sorted(left - known[module]), sorted(known[module] - {fault.key for fault in faults})
            noticed = sorted(known[module] - left - set(gone))
            by_time = f"; {len(hung)} showed by a test that did not end" if hung else ""
            print(f"{module}: {len(faults)} mutants, {len(left)} survived, {len(new)} of them unexplained{by_time}", flush=True)
            for what, keys in [("survived", new), ("explained, but gone", gone), ("explained, but a test noticed it", noticed)]:
                print(*(f"  {what}:\n* {key}" for key in keys), sep="\n", end="\n" if keys else "", flush=True)
            total, bad = total + len(faults), bad + len(new) + len(gone)
    print(f"{total} mutants in {time.monotonic() - began:.0f} s; {bad or 'nothing'} to look at")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
