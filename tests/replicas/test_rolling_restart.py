"""A new version comes, one replica after the other, while people work."""

import asyncio

from support.cluster import until
from support.load import Line, Member, Tally, crowd

REQUESTS = 20_000
USERS = 60


async def test_a_rolling_restart_loses_no_request(replicas, a_user, figure):
    tally = Tally()
    users = [await a_user() for _ in range(USERS)]
    members = [Member(Line(replicas.address, user), number, tally) for number, user in enumerate(users)]
    restarted: list[int] = []
    codes: list[int | None] = []

    def roll() -> None:
        for replica in replicas.replicas:
            before = replica.pid
            codes.append(replica.drain())
            replica.start(patience=120)
            until(replicas.all_up, 60)
            restarted.append(before)

    async def rolling() -> None:
        await asyncio.to_thread(until, lambda: tally.asked >= 500)  # in full swing
        await asyncio.to_thread(roll)

    roller = asyncio.create_task(rolling())
    # Less than the machine can do: what is refused for an overload would be lost here as well.
    await crowd(members, lambda: (roller.done() and tally.asked >= REQUESTS) or len(tally.losses) > 50, pause=0.2)
    await roller
    assert tally.losses == []
    assert tally.asked >= REQUESTS
    assert codes == [0, 0, 0, 0]
    assert len({*restarted, *(each.pid for each in replicas.replicas)}) == 8, "every one of the four is another process"
    figure(
        f"rolling restart: {tally.asked} requests, {len(tally.losses)} lost, of {dict(tally.routes)}; "
        f"p50 {tally.quantile(0.5) * 1000:.1f} ms, p99 {tally.quantile(0.99) * 1000:.0f} ms"
    )
