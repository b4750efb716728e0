"""The pictures of the simulations, drawn from their tables."""

import math
from collections.abc import Sequence

import outage_day as day_simulation
import overload as ramp_simulation
from svg import Line, Panel, chart
from tables import Table, from_csv, means

OFFERED = "offered"


def _lines(
    table: Table, xs: Sequence[float], columns: dict[str, str], size: int = 1, within: tuple[float, float] = (0.0, math.inf)
) -> list[Line]:
    """Lines of some columns, each point the mean of ``size`` rows, drawn in the middle of them."""
    middles = [x or 0.0 for x in means([x + 0.5 for x in xs], size)]

    def points(column: str) -> list[tuple[float, float | None]]:
        both = zip(middles, means(table[column], size), strict=True)
        return [(x, y) for x, y in both if within[0] - size <= x <= within[1] + size]

    return [Line(name, points(column)) for name, column in columns.items()]


def _clock(minute: float) -> str:
    return f"{int(minute // 60):02d}:{int(minute % 60):02d}"


def outage_day(table: Table, variants: Sequence[str], outage: tuple[float, float], brown_out: tuple[float, float]) -> str:
    """Calls that reach the service, and the share of callers that get an answer.

    Args:
        table: by minute of the day.
        variants: names of the pipelines.
        outage: minutes of the day.
        brown_out: minutes of the day.
    """
    minutes = [minute or 0.0 for minute in table["minute"]]
    upstream = {OFFERED: "offered"} | {name: f"upstream: {name}" for name in variants}
    answered = {name: f"answered: {name}" for name in variants}
    most = 1.2 * max(value or 0.0 for column in upstream.values() for value in table[column])
    spans = ((*outage, "total outage"), (*brown_out, "brown-out"))

    def near(span: tuple[float, float], what: str, title: str, top: float, notes: Sequence[tuple[float, str]]) -> Panel:
        middle = sum(span) / 2
        return Panel(
            title=title,
            x_name="time of day",
            y_name="calls per minute",
            lines=_lines(table, minutes, upstream, within=(span[0] - 10, span[1] + 20)),
            x_range=(span[0] - 10, span[1] + 20),
            y_range=(0, top),
            x_step=15,
            x_label=_clock,
            spans=((*span, what),),
            notes=[(middle, y, words) for y, words in notes],
        )

    def answers(span: tuple[float, float], what: str) -> Panel:
        return Panel(
            title="Callers who get an answer",
            x_name="time of day",
            y_name="% of calls",
            lines=_lines(table, minutes, answered, within=(span[0] - 10, span[1] + 20)),
            x_range=(span[0] - 10, span[1] + 20),
            y_range=(0, 125),
            x_step=15,
            x_label=_clock,
            spans=((*span, what),),
            height=200,
        )

    whole = Panel(
        title="Calls that reach the service, the whole day",
        x_name="time of day",
        y_name="calls per minute",
        lines=_lines(table, minutes, upstream, size=5),
        x_range=(0, 1440),
        y_range=(0, most),
        x_step=120,
        x_label=_clock,
        spans=spans,
        height=240,
    )
    return chart(
        "A day of 200 callers: one hour of total outage, one of brown-out",
        "Calls that reach a service against the time of day, for four pipelines. In the outage, retries alone send four times the "
        "offered calls; the retry budget bounds that to a fifth more; with the circuit breaker only its probes are left. In the "
        "brown-out, when three calls in ten fail, retries answer nearly all callers; with the budget they answer about six in "
        "seven, and send the ailing service a fifth more calls instead of two fifths.",
        [
            [whole],
            [
                near(
                    outage,
                    "total outage",
                    "The outage: calls that reach the service",
                    most,
                    [
                        (0.655 * most, "retries alone: four times the offered calls"),
                        (0.285 * most, "retries within their budget: a fifth more"),
                        (0.035 * most, "with the circuit breaker: only its probes"),
                    ],
                ),
                near(
                    brown_out,
                    "30 % errors, latency × 10",
                    "The brown-out: calls that reach the service",
                    0.45 * most,
                    [(0.345 * most, "every retry: two fifths more"), (0.135 * most, "within the budget: a fifth more")],
                ),
            ],
            [answers(outage, "total outage"), answers(brown_out, "30 % errors, latency × 10")],
        ],
    )


def overload(table: Table, variants: Sequence[str], *, capacity: float, patience: float) -> str:
    """Goodput, latency and limit of a ramp.

    Args:
        table: by second.
        variants: names of the limits, the first being none.
        capacity: calls a second that the service can do.
        patience: seconds that a caller waits.
    """
    seconds = [second or 0.0 for second in table["second"]]
    length = max(seconds) + 1
    limited = {name: f"limit: {name}" for name in variants if f"limit: {name}" in table}
    plateau = [second for second, rate in zip(seconds, table["rate"], strict=True) if rate == 10.0]
    spans = ((min(plateau), max(plateau), "10 × capacity"),)

    def panel(
        title: str,
        name: str,
        lines: list[Line],
        most: float,
        notes: Sequence[tuple[float, float, str]] = (),
        *,
        least: float = 0.0,
        last: bool = False,
    ) -> Panel:
        return Panel(
            title=title,
            x_name="seconds" if last else "",
            y_name=name,
            lines=lines,
            x_range=(0, length),
            y_range=(least, most),
            x_step=20,
            spans=spans,
            logarithmic=least > 0,
            notes=notes,
            height=190,
        )

    goodput = _lines(table, seconds, {name: f"goodput: {name}" for name in variants}, size=4)
    latency = _lines(table, seconds, {name: f"latency: {name}" for name in variants}, size=2)
    return chart(
        "Ten times more than a service can do",
        "Four panels against time: calls offered, rising from half of the capacity to ten times of it and back; goodput, latency "
        "and limit for no limit, AIMD, Vegas and Gradient2. Without a limit goodput falls to nothing while the service works for "
        "callers that have gone; with each of the limits it stays at the capacity.",
        [
            [panel("Calls offered", "times capacity", _lines(table, seconds, {OFFERED: "rate"}), 13.5)],
            [
                panel(
                    f"Goodput: answers in time, of a capacity of {capacity:g}/s",
                    "answers/s",
                    goodput,
                    1.4 * capacity,
                    [
                        (110, 0.08 * capacity, "no limit: all work is done for callers who have gone"),
                        (110, 0.8 * capacity, "any limit: the service goes on at its capacity"),
                    ],
                )
            ],
            [
                panel(
                    f"Median latency at the service; callers wait {patience:g} s",
                    "seconds (log)",
                    latency,
                    60.0,
                    [
                        (110, 4.0, "no limit: the line at the service is full"),
                        (110, 0.33, "AIMD: learns from timeouts alone"),
                        (110, 0.075, "Vegas, Gradient2: keep the line short"),
                    ],
                    least=0.05,
                )
            ],
            [
                panel(
                    "Calls at once that are allowed",
                    "limit",
                    _lines(table, seconds, limited),
                    140.0,
                    [(110, 33, "Vegas, Gradient2: a little more than the ten that are worked on"), (195, 102, "AIMD")],
                    last=True,
                )
            ],
        ],
    )


def of_day(text: str) -> str:
    """The picture of a day's table."""
    day = day_simulation.Day()
    spans = [(begin / 60, end / 60) for begin, end in (day.outage, day.brown_out)]
    return outage_day(from_csv(text), list(day_simulation.variants()), *spans)


def of_ramp(text: str) -> str:
    """The picture of a ramp's table."""
    ramp = ramp_simulation.Ramp()
    return overload(from_csv(text), list(ramp_simulation.variants()), capacity=ramp.capacity, patience=ramp.patience)
