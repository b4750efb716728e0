"""Runs of the toolkit's tests in this process: all, watched for what they visit; or some, until one fails or does not end."""

import importlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import hypothesis
import pytest
import pytest_asyncio.plugin
from mutants import Mutant

TOOLKIT = Path("src/sengol_api/resilience")
TESTS = Path("tests/unit/resilience")
REFERENCE = "test_reference.py"  # compares options with the documentation, and visits no line of theirs
PATIENCE = 5.0  # seconds of computing that a test may take beyond, and times, its duration without a fault
IDLE = 0.02  # seconds of computing in seconds of patience: with less it waits for something that will not come
HUNG = 75  # exit code of a process whose test did not end


def name_of(module: str) -> str:
    """As it is imported."""
    return "sengol_api.resilience." + module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def importers(module: str) -> list[str]:
    """The modules that import this one, as paths from the folder of the toolkit."""
    line = f"from {name_of(module)} import "
    return [path.relative_to(TOOLKIT).as_posix() for path in TOOLKIT.rglob("*.py") if line in path.read_text()]


@dataclass
class Baseline:
    """The tests without a fault.

    Attributes:
        code: pytest's exit code.
        duration: of each test, seconds.
        visits: the tests that visit each line of each module; "" stands for its import.
    """

    code: int = pytest.ExitCode.INTERNAL_ERROR
    duration: dict[str, float] = field(default_factory=dict)
    visits: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """The tests that may notice, the quickest first."""
        visits = self.visits.get(mutant.module, {})
        tests = {test for line in mutant.lines for test in visits.get(line, ())}
        if "" in tests:  # whoever visits the module, or one that imports it, may notice what its import does
            modules = [mutant.module, *importers(mutant.module)]
            tests = {test for module in modules for line in self.visits.get(module, {}).values() for test in line}
            tests |= {test for test in self.duration if REFERENCE in test}
        return sorted(tests - {""}, key=lambda test: self.duration[test])


class Watch:
    """A pytest plugin that fills a baseline."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._coverage = coverage.Coverage(data_file=None, source=[str(TOOLKIT.resolve())], config_file=False)
        self._coverage.start()
        for path in TOOLKIT.rglob("*.py"):  # else the first test that needs one would seem to visit what its import does
            importlib.import_module(name_of(path.relative_to(TOOLKIT).as_posix()))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """What is visited from here on, this test visits."""
        self._coverage.switch_context(item.nodeid)
        result = yield
        self._coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's set-up, call or tear-down took some time."""
        durations = self._baseline.duration
        durations[report.nodeid] = durations.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """All tests have run."""
        self._coverage.stop()
        data = self._coverage.get_data()
        for file in data.measured_files():
            self._baseline.visits[Path(file).relative_to(TOOLKIT.resolve()).as_posix()] = data.contexts_by_lineno(file)


class Selection:
    """A pytest plugin: runs some tests, in their order, and ends the process with the first that does not end.

    What counts is the time that it computes, so that a busy machine does not make a fault seem noticed.
    """

    def __init__(self, tests: list[str], baseline: Baseline) -> None:
        self._place = {test: place for place, test in enumerate(tests)}
        self._baseline = baseline
        self._began = self._seen = self._allowed = 0.0
        signal.signal(signal.SIGALRM, self._look)
        self._limit(0.0)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """All tests of their files were found."""
        items[:] = sorted((item for item in items if item.nodeid in self._place), key=lambda item: self._place[item.nodeid])

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test begins."""
        self._limit(self._baseline.duration[item.nodeid])

    def _limit(self, usual: float) -> None:
        self._began = self._seen = time.process_time()
        self._allowed = PATIENCE * (1.0 + usual)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        signal.setitimer(signal.ITIMER_PROF, 2 * self._allowed)  # its signal ends a process that never comes to look

    def _look(self, *_: object) -> None:
        now = time.process_time()
        if now - self._began > self._allowed or now - self._seen < IDLE:
            os._exit(HUNG)
        self._seen = now


def run_tests(what: list[str], plugin: object) -> int:
    """Run pytest in this process.

    Args:
        what: folders and files.
        plugin: watches or chooses.

    Returns:
        its exit code.
    """
    hypothesis.settings.register_profile(
        "mutate",
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # no search for the smallest example
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutate")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # those that the tests do not need take longer to load than most tests
    return int(
        pytest.main(
            ["-q", "-x", "--tb=short", "--assert=plain", "-p", "no:cacheprovider", *what],
            plugins=[pytest_asyncio.plugin, plugin],
        )
    )
