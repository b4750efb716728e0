"""Run the simulations and draw them: ``make simulate``. Takes about a minute, most of it for the million calls of the day.

The callers of the day pause for 60 s on average, so that 24 hours are 290,000 calls for each pipeline. Callers that pause for 3 s
are simulated around an outage only, for the figures that are printed.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import outage_day
import overload
import pictures
from tables import to_csv

from sengol_api.resilience import Bulkhead, CircuitBreaker, Retry, Timeout

FOLDER = Path(__file__).parents[1] / "docs" / "resilience" / "pictures"


def day_record(name: str) -> outage_day.Record:
    """The day with one of the pipelines."""
    return outage_day.run(outage_day.variants()[name], outage_day.Day())


def ramp_record(name: str) -> overload.Record:
    """The ramp with one of the limits."""
    return overload.run(overload.variants()[name], overload.Ramp())


def busy_outage(seed: int) -> outage_day.Opening:
    """A short outage under 67 calls a second, with the defaults of all policies but the bulkhead's, which has room for all."""
    day = outage_day.busy(seed)
    return outage_day.opening(outage_day.run((Retry(), CircuitBreaker(), Bulkhead(max_concurrent=200), Timeout()), day), day)


def tell(days: dict[str, outage_day.Record], openings: list[outage_day.Opening], ramps: dict[str, overload.Record]) -> None:
    """Print the figures that have a target."""
    day, ramp = outage_day.Day(), overload.Ramp()
    print(f"A day, {day.callers} callers that pause for {day.think:g} s:")
    for name, record in days.items():
        hour = range(int(day.outage[0] // 60), int(day.outage[1] // 60))
        offered, upstream = (sum(counts[minute] for minute in hour) for counts in (record.offered, record.upstream))
        print(f"  {name:<30} in the outage {upstream:7,} calls for {offered:,} offered, {upstream / offered:.2f} times")
    offered, upstream = sum(each.offered for each in openings), sum(each.upstream for each in openings)
    print(f"Outage under 67 calls a second, {len(openings)} seeds, default options:")
    times = f"{upstream} calls for {offered} offered, {upstream / offered:.3f} times"
    print(f"  until the breaker opened        {times}   target at most 1.1")
    probes = sum(each.probes for each in openings) / sum(each.half_openings for each in openings)
    print(f"  then                            {probes:.1f} calls each time it let probes through   target only probes")
    print(f"  full traffic again after        {max(each.closed_after for each in openings):.1f} s at most   target 60 s + a probe")
    print("Ten minutes of 30 % errors under 20 calls a second, five seeds, by what opens the breaker:")
    for name, breaker in outage_day.breakers().items():
        shares = [outage_day.browned_out(breaker, seed) for seed in range(1, 6)]
        print(f"  {name:<30} {100 * sum(shares) / len(shares):5.1f} % answered")
    print(f"Ramp to 10 times of {ramp.capacity:g} calls a second:")
    peak = max(overload.goodput(each, start, start + 10) for each in ramps.values() for start in range(int(ramp.length) - 9))
    for name, seen in ramps.items():
        kept = overload.goodput(seen, *overload.plateau(ramp))
        goal = "" if name == "no limit" else "   target at least 95 %"
        print(f"  {name:<30} goodput {kept:5.1f}/s, {100 * kept / peak:3.0f} % of the best ten seconds of all, {peak:.1f}/s{goal}")


def main() -> None:
    """Run, write the tables and the pictures, print."""
    started = time.perf_counter()
    day, ramp = outage_day.Day(), overload.Ramp()
    with ProcessPoolExecutor() as pool:
        running_days = {name: pool.submit(day_record, name) for name in outage_day.variants()}
        running_ramps = {name: pool.submit(ramp_record, name) for name in overload.variants()}
        openings = list(pool.map(busy_outage, range(1, 11)))
        days = {name: running.result() for name, running in running_days.items()}
        ramps = {name: running.result() for name, running in running_ramps.items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    day_table, ramp_table = outage_day.table(days, day), overload.table(ramps, ramp)
    (FOLDER / "outage-day.csv").write_text(to_csv(day_table))
    (FOLDER / "overload.csv").write_text(to_csv(ramp_table))
    (FOLDER / "outage-day.svg").write_text(pictures.of_day(to_csv(day_table)))
    (FOLDER / "overload.svg").write_text(pictures.of_ramp(to_csv(ramp_table)))
    tell(days, openings, ramps)
    print(f"Written to {FOLDER} in {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
