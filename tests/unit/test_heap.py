"""The heap of a worker: few arenas, whatever the number of threads."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from sengol_api.bootstrap import heap

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
ARENAS_OF_EIGHT_THREADS = """
import ctypes, sys, tempfile, threading
from sengol_api.bootstrap.heap import few_arenas

if sys.argv[1] == "few":
    few_arenas()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
done = threading.Barrier(9)

def work():
    held = bytearray(4096)
    done.wait()
    done.wait()

for _ in range(8):
    threading.Thread(target=work).start()
done.wait()
with tempfile.NamedTemporaryFile() as told:
    stream = ctypes.c_void_p(libc.fopen(told.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(told.read().count(b"<heap nr="))
done.wait()
"""


def arenas(how, **environment):
    command = [sys.executable, "-c", ARENAS_OF_EIGHT_THREADS, how]
    known = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    return int(subprocess.run(command, capture_output=True, check=True, env={**known, **environment}).stdout)


@glibc
def test_many_threads_share_two_arenas():
    assert arenas("few") <= 2 < arenas("as it comes")


@glibc
def test_what_the_environment_says_counts_more():
    assert 2 < arenas("few", MALLOC_ARENA_MAX="4") <= 4


def test_a_c_library_without_these_settings_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not heap.few_arenas()
    heap.give_back()
