"""Where log lines go: nobody waits for it, and nothing that happens there harms anybody."""

import io
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from sengol_api.observability.sink import PIPE_BUF, Sink

log = logging.getLogger("sengol_api.test.sink")


@pytest.fixture
def sink_on():
    """Puts a sink on a stream under a logger of its own."""
    made = []
    log.propagate = False
    log.setLevel(logging.INFO)

    def make(stream, **options):
        sink = Sink(stream, **options)
        made.append(sink)
        log.addHandler(sink)
        return sink

    yield make
    for sink in made:
        log.removeHandler(sink)
        sink.close()
    log.propagate = True


def lines_of(pipe, count):
    return [pipe.readline().rstrip("\n") for _ in range(count)]


def test_lines_come_out_in_order_by_themselves(sink_on):
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as stream:
        sink_on(stream)
        for number in range(500):
            log.info("line %d", number)
        assert lines_of(pipe, 500) == [f"line {number}" for number in range(500)]


def test_a_reader_that_is_stuck_holds_nobody_and_is_told_what_it_missed(sink_on):
    """The pipe is full after 64 KiB: a plain handler would wait for ever in the first line beyond."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as stream:
        sink = sink_on(stream)
        for number in range(30_000):
            log.info("%d %s", number, "x" * 100)
        assert sink.lost.value > 10_000
        seen = []
        while not seen or "log lines were lost" not in seen[-1]:
            log.info("one more")
            seen += lines_of(pipe, 1)
        assert seen[0].startswith("0 ")


def test_a_full_disk_breaks_nothing_and_is_counted(sink_on):
    with open("/dev/full", "w") as stream:  # noqa: PTH123 - a device, not a path
        sink = sink_on(stream)
        for _ in range(10):
            log.info("line")
        sink.flush()
        assert sink.lost.value == 10
        log.critical("last words")  # they are tried at once
        assert sink.lost.value == 11


def test_a_reader_that_is_gone_breaks_nothing(sink_on):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        sink = sink_on(stream)
        log.info("line")
        sink.flush()
        assert sink.lost.value == 1


def test_a_closed_standard_error_never_makes_a_line_land_in_another_file(sink_on, tmp_path):
    """The next file that is opened gets its number: a database that logs are written into is no database any more."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    sink_on(stream)
    stream.close()
    with (tmp_path / "database").open("w+b", buffering=0) as database, os.fdopen(reading) as pipe:
        assert database.fileno() == writing
        log.info("line")
        assert lines_of(pipe, 1) == ["line"]
        assert database.read() == b""


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_file_behind_it_lines_go_where_they_can(sink_on, stream):
    sink = sink_on(stream)
    sink.handle(logging.LogRecord("test", logging.INFO, __file__, 1, "line \ud800", None, None))
    sink.flush()
    assert stream is None or stream.getvalue() == "line \\ud800\n"
    assert sink.lost.value == 0


def test_a_stream_that_was_closed_breaks_nothing(sink_on):
    stream = io.StringIO()
    sink = sink_on(stream)
    stream.close()
    log.info("line")
    sink.flush()
    assert sink.lost.value == 1


def test_a_fact_that_cannot_be_shown_costs_its_line_and_no_more(sink_on):
    class Rude:
        def __str__(self):
            raise RuntimeError("not now")

    stream = io.StringIO()
    sink = sink_on(stream)
    for words, fact in (("%s", Rude()), ("%d", "no number"), ("%s", "fine")):
        sink.handle(logging.LogRecord("test", logging.INFO, __file__, 1, words, (fact,), None))
    sink.flush()
    assert sink.lost.value == 2
    assert stream.getvalue().endswith("fine\n")


def test_a_critical_line_is_out_before_the_process_can_leave():
    script = """
import logging, os
from sengol_api.observability.logging import configure
configure("info", "json")
logging.getLogger("sengol_api").critical("cannot start")
os._exit(2)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert '"cannot start"' in done.stderr


def test_what_was_logged_is_out_when_the_process_ends():
    script = """
import logging
from sengol_api.observability.logging import configure
configure("info", "json")
for number in range(1000):
    logging.getLogger("sengol_api").info("line", extra={"number": number})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert len(done.stderr.splitlines()) == 1000


def test_a_stuck_reader_does_not_keep_a_process_from_ending():
    script = """
import logging
from sengol_api.observability.logging import configure
configure("info", "json")
for number in range(5000):
    logging.getLogger("sengol_api").info("line " + "x" * 100)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    assert process.wait(30) == 0
    process.stderr.close()


def test_lines_of_several_processes_in_one_pipe_do_not_mix(tmp_path):
    script = """
import logging, sys
from sengol_api.observability.logging import configure
configure("info", "json")
for number in range(2000):
    logging.getLogger("sengol_api").info("line", extra={"who": sys.argv[1], "text": sys.argv[1] * (number % 3500)})
"""
    reading, writing = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", script, who], stderr=writing) for who in "ab"]
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    for process in processes:
        process.wait()
    assert len(lines) == 4000
    for line in lines:
        assert line.startswith("{")
        assert line.endswith("}")
        assert len(line) < PIPE_BUF
        assert not ("a" * 20 in line and "b" * 20 in line)


def test_in_a_process_that_forks_no_thread_is_started(sink_on):
    before = threading.active_count()
    stream = io.StringIO()
    sink_on(stream, threaded=False)
    log.info("line")
    assert threading.active_count() == before
    assert stream.getvalue() == "line\n"


def test_a_terminal_that_somebody_made_non_blocking_loses_nothing(sink_on):
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as stream:
        os.set_blocking(writing, False)
        sink_on(stream)
        for number in range(2000):
            log.info("%d %s", number, "x" * 100)
        while not pipe.buffer.peek(1):
            time.sleep(0.001)
        assert [line.split()[0] for line in lines_of(pipe, 2000)] == [str(number) for number in range(2000)]


def test_each_level_is_counted(sink_on):
    sink = sink_on(io.StringIO())
    log.info("one")
    log.info("two")
    log.error("three")
    assert {level: counter.value for level, counter in sink.counted.items() if counter.value} == {"info": 2, "error": 1}


def test_a_sink_that_is_closed_twice_or_written_to_afterwards_harms_nobody(sink_on):
    sink = sink_on(stream := io.StringIO())
    log.info("line")
    sink.close()
    sink.close()
    log.info("too late")
    assert stream.getvalue() == "line\n"
