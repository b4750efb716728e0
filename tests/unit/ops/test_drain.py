"""The end of a process on virtual time: in which order, and how long it waits for whom."""

import asyncio
import logging

from sengol_api.ops.drain import HOOK_SECONDS, PATIENCE, Drain, Phase
from sengol_api.resilience.testing import run_virtual


class Process:
    """What a drain steers: a server that lets the application close when no request is left, as granian and uvicorn do."""

    def __init__(self, *, delay=5.0, timeout=30.0) -> None:
        self.drain = Drain(delay=delay, timeout=timeout)
        self.log = []
        self._requests = set()

    def note(self, what) -> None:
        self.log.append((round(asyncio.get_running_loop().time() - self.started, 3), what))

    def request(self, seconds, *, endless=False, deaf=False) -> None:
        """One that takes so long."""

        async def answer():
            ticket = self.drain.enter()
            if endless:
                self.drain.endless(ticket)
            try:
                await asyncio.sleep(seconds)
                self.note("answered")
            except asyncio.CancelledError:
                assert ticket.cut
                self.note("cut")
                if deaf:
                    await asyncio.sleep(10_000)
            finally:
                self.drain.leave(ticket)

        self._requests.add(asyncio.create_task(answer()))

    def stop_listening(self) -> None:
        self.note("no new connections")
        self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        await asyncio.gather(*self._requests)
        self.note("all closed")
        await self.drain.closed()

    def end(self, *prepare):
        """From the signal to the end; gives what happened when."""

        async def main():
            self.started = asyncio.get_running_loop().time()
            for step in prepare:
                step()
            await asyncio.sleep(0)
            await self.drain.run(self.stop_listening, lambda: self.note("left"))
            for task in [*self._requests, self._closing]:
                task.cancel()

        run_virtual(main())
        return self.log


def test_it_is_not_ready_at_once_and_listens_until_the_delay_is_over():
    process = Process(delay=5)
    seen = []

    def look():
        seen.append((process.drain.why_not_ready, process.drain.phase))

    assert process.drain.why_not_ready is None
    at = [0.1, 4.9, 5.1]
    log = process.end(
        lambda: process.request(9), *[lambda second=second: asyncio.get_running_loop().call_later(second, look) for second in at]
    )
    assert seen == [("it is stopping", phase) for phase in (Phase.DRAINING, Phase.DRAINING, Phase.STOPPING)]
    assert log == [(5.0, "no new connections"), (9.0, "answered"), (9.0, "all closed")]


def test_what_is_in_flight_finishes_and_then_the_process_ends_at_once():
    process = Process(delay=1)
    log = process.end(lambda: process.request(4.0), lambda: process.request(12.5))
    assert log == [(1.0, "no new connections"), (4.0, "answered"), (12.5, "answered"), (12.5, "all closed")]
    assert process.drain.snapshot().cut == 0


def test_what_comes_during_the_delay_is_answered():
    process = Process(delay=5)
    log = process.end(lambda: asyncio.get_running_loop().call_later(4, process.request, 3.0))
    assert (7.0, "answered") in log


def test_what_does_not_finish_in_time_is_cut_and_the_end_comes_in_order():
    process = Process(delay=1, timeout=30)
    log = process.end(lambda: process.request(10_000), lambda: process.request(5))
    assert log == [(1.0, "no new connections"), (5.0, "answered"), (31.0, "cut"), (31.0, "all closed")]
    assert process.drain.snapshot().cut == 1
    assert process.drain.phase is Phase.CUTTING


def test_an_endless_stream_is_told_as_soon_as_no_new_connections_are_taken():
    process = Process(delay=2)
    log = process.end(lambda: process.request(10_000, endless=True), lambda: process.request(5))
    assert log == [(2.0, "no new connections"), (2.0, "cut"), (5.0, "answered"), (5.0, "all closed")]


def test_an_endless_stream_that_begins_after_that_is_told_at_once():
    process = Process(delay=1)
    log = process.end(
        lambda: process.request(10),
        lambda: asyncio.get_running_loop().call_later(5, lambda: process.request(10_000, endless=True)),
    )
    process_cut = [moment for moment, what in log if what == "cut"]
    assert process_cut == [5.0]


def test_a_request_that_refuses_to_end_is_left_behind_and_so_is_a_client_that_reads_nothing(caplog):
    process = Process(delay=1, timeout=10)
    hooks = []

    async def hook():
        hooks.append("flushed")

    process.drain.at_end("telemetry", hook)
    log = process.end(lambda: process.request(10_000, deaf=True))
    assert log == [(1.0, "no new connections"), (11.0, "cut"), (11.0 + PATIENCE, "left")]
    assert hooks == ["flushed"]
    assert any("left behind" in record.message for record in caplog.records)


def test_hooks_run_when_all_is_closed_the_last_one_first_and_none_holds_up_the_end(caplog):
    process = Process(delay=0)

    def hook(name, *, seconds=0.0, error=None):
        async def do():
            process.note(name)
            await asyncio.sleep(seconds)
            if error:
                raise error

        process.drain.at_end(name, do)

    hook("first")
    hook("slow", seconds=1000)
    hook("broken", error=RuntimeError("canary"))
    log = process.end(lambda: process.request(1))
    assert log == [
        (0.0, "no new connections"),
        (1.0, "answered"),
        (1.0, "all closed"),
        (1.0, "broken"),
        (1.0, "slow"),
        (1.0 + HOOK_SECONDS, "first"),
    ]
    assert [record.step for record in caplog.records if record.levelno == logging.WARNING] == ["broken", "slow"]


def test_a_server_that_was_stopped_past_us_ends_during_the_delay():
    """Ctrl+C reaches the server first: it closes, and nobody waits for the rest of the delay."""
    process = Process(delay=60)

    def closes_by_itself():
        process._closing = asyncio.create_task(process._close())

    process.end(closes_by_itself)
    assert process.log == [(0.0, "all closed")]


def test_closing_without_any_signal_runs_the_hooks_too():
    drain, hooks = Drain(), []

    async def hook():
        hooks.append(1)

    drain.at_end("telemetry", hook)
    run_virtual(drain.closed())
    assert hooks == [1]


def test_it_counts_what_is_in_flight():
    async def main():
        drain = Drain()
        tickets = [drain.enter(), drain.enter()]
        assert drain.snapshot().in_flight == 2
        for ticket in tickets:
            drain.leave(ticket)
        return drain.snapshot()

    found = run_virtual(main())
    assert (found.phase, found.in_flight, found.cut) == (Phase.SERVING, 0, 0)
