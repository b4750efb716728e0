"""The announcement: its thread must not be there while workers are forked."""

import multiprocessing
import os
import subprocess
import sys
import threading

import pytest

from sengol_api import bootstrap
from sengol_api.server import announce_when_ready, worker


@pytest.mark.parametrize("workers", [1, 3])
def test_the_announcing_thread_starts_after_the_last_worker_was_forked(monkeypatch, workers):
    """A lock that it held at the fork, such as an import's, would stay locked in the worker: it would never be ready."""
    forked, started = [], []
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_parent: forked.append(after_in_parent))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread))  # noqa: PLW0108 - a built-in is bound to nothing
    announce_when_ready("127.0.0.1", 1, workers=workers)
    for _ in range(workers):
        assert started == []
        forked[0]()
    assert [thread.name for thread in started] == ["announce"]
    forked[0]()
    assert len(started) == 1


def test_where_workers_are_no_forks_it_starts_at_once(monkeypatch):
    started = []
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread))  # noqa: PLW0108 - a built-in is bound to nothing
    announce_when_ready("127.0.0.1", 1, workers=2)
    assert [thread.name for thread in started] == ["announce"]


def test_a_worker_ends_when_the_process_that_started_it_is_gone():
    """Else a ``kill -9`` of the server leaves a worker that keeps the port."""
    script = "import os; from sengol_api.server import _stop_after\nparent = os.getpid()\nif not os.fork(): _stop_after(parent)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    parent.communicate(timeout=30)  # the worker has the pipe too: this is over when both are


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("2", "2")])
def test_a_worker_multiplies_with_one_thread_unless_told_otherwise(monkeypatch, given, used):
    """More than one spins while it waits for the others: a search of a millisecond then takes twenty on a busy machine."""
    monkeypatch.setattr(bootstrap, "application", lambda *_, **__: None)
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    worker()
    assert os.environ["OPENBLAS_NUM_THREADS"] == used


def test_numpy_is_not_loaded_before_a_worker_says_how_many_threads_it_may_have():
    script = "import sys, sengol_api.cli, sengol_api.server; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
