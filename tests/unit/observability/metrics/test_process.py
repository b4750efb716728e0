"""What the process takes, and how late its event loop is."""

import asyncio
import os
import time

from sengol_api.observability.metrics.model import gathered
from sengol_api.observability.metrics.process import LoopLag, ProcessUsage
from sengol_api.resilience.testing import run_virtual


def test_what_the_process_takes_is_told_in_base_units():
    found = {name: next(iter(values.values())) for name, values in gathered(ProcessUsage().collect()).items()}
    with open("/proc/self/status") as status:  # noqa: PTH123 - a device, not a path
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024
    assert 0.5 < found["process_resident_memory_bytes"] / resident < 2
    assert found["process_virtual_memory_bytes"] >= found["process_resident_memory_bytes"]
    assert 0 < found["process_cpu_seconds_total"] <= time.process_time()
    assert time.time() - 3600 * 24 < found["process_start_time_seconds"] <= time.time()
    assert 0 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_threads"] >= 1
    assert found["sengol_build_info"] == 1.0


def test_an_open_file_shows():
    def count():
        return gathered(ProcessUsage().collect())["process_open_fds"][()]

    before = count()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    assert count() == before + 1
    os.close(descriptor)


def test_where_the_system_tells_nothing_the_rest_is_told(tmp_path):
    found = gathered(ProcessUsage(tmp_path / "nowhere").collect())
    assert "process_cpu_seconds_total" in found
    assert "process_resident_memory_bytes" not in found
    assert "process_start_time_seconds" not in found


def test_a_process_whose_name_has_brackets_is_read_right(tmp_path):
    rest = " ".join(str(number) for number in range(3, 53))
    (tmp_path / "self" / "fd").mkdir(parents=True)
    (tmp_path / "self" / "stat").write_text(f"1 (a) b) S) S {rest}")
    (tmp_path / "stat").write_text("cpu 1\nbtime 1000\n")
    found = gathered(ProcessUsage(tmp_path / "self").collect())
    assert found["process_threads"][()] == 19
    assert found["process_start_time_seconds"][()] == 1000 + 21 / os.sysconf("SC_CLK_TCK")


# --- the loop


def held_up(*seconds, ending=1.0):
    """Lets the loop stand still for so long, each after a second of quiet; gives the lag's samples and its longest."""

    async def main(loop):
        lag = LoopLag()
        lag.start()
        for each in seconds:
            await asyncio.sleep(1.0)
            loop.jump(each)  # nothing else runs meanwhile
        await asyncio.sleep(ending)
        longest = lag.longest()
        found = gathered(lag.collect())
        lag.stop()
        return found, longest

    return run_virtual(main)


def test_a_loop_that_turns_is_not_late():
    found, longest = held_up()
    assert longest < 0.001
    total, *counts = found["sengol_event_loop_lag_seconds"][()]
    assert total < 0.001
    assert counts[0] >= 9
    assert sum(counts[1:]) == 0


def test_a_loop_that_was_held_up_shows_how_long():
    found, longest = held_up(0.5, 0.3)
    assert 0.39 < longest <= 0.5
    assert sum(found["sengol_event_loop_lag_seconds"][()][8:]) == 2
    assert 0.39 < found["sengol_event_loop_lag_max_seconds"][()] <= 0.5


def test_the_longest_is_that_of_the_last_minute():
    _, longest = held_up(0.9, 0.3, ending=58.0)
    assert longest > 0.79
    _, longest = held_up(0.9, 0.3, ending=59.5)
    assert 0.19 < longest <= 0.3
    _, longest = held_up(0.9, ending=70.0)
    assert longest < 0.001


def test_a_hold_up_that_goes_on_shows_at_once():
    async def main(loop):
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(1.0)
        loop.jump(30.0)
        longest = lag.longest()
        lag.stop()
        return longest

    assert run_virtual(main) >= 29.8


def test_it_can_be_stopped_twice_and_tells_what_it_knows():
    async def main(_):
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(1.0)
        lag.stop()
        lag.stop()
        await asyncio.sleep(1.0)
        return gathered(lag.collect())

    assert list(run_virtual(main)) == ["sengol_event_loop_lag_seconds"]
