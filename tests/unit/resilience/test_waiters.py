"""Waking: from the waiter's own loop, from another thread, and when its loop is gone."""

import asyncio
import threading

from sengol_api.resilience.testing import VirtualLoop, run_virtual
from sengol_api.resilience.waiters import LoopWaiter, ThreadWaiter


def test_a_coroutine_is_woken_in_its_own_loop_once():
    async def main():
        waiter = LoopWaiter()
        assert waiter.wake()
        assert waiter.wake()
        await waiter.woken

    run_virtual(main())


def test_a_coroutine_is_woken_from_another_thread():
    async def main():
        waiter = LoopWaiter()
        assert await asyncio.to_thread(waiter.wake)
        await waiter.woken

    run_virtual(main())


def test_a_coroutine_is_woken_from_another_loop():
    async def main():
        waiter = LoopWaiter()

        def elsewhere():
            async def wake():
                return waiter.wake()

            return run_virtual(wake())

        assert await asyncio.to_thread(elsewhere)
        await waiter.woken

    run_virtual(main())


def test_a_cancelled_coroutine_can_be_woken_without_harm():
    async def main():
        waiter = LoopWaiter()
        waiter.woken.cancel()
        assert waiter.wake()

    run_virtual(main())


def test_a_coroutine_of_a_closed_loop_is_beyond_reach():
    loop = VirtualLoop()

    async def stand():
        return LoopWaiter()

    waiter = loop.run_until_complete(stand())
    loop.close()
    assert not waiter.wake()


def test_a_thread_is_woken():
    waiter = ThreadWaiter()
    thread = threading.Thread(target=waiter.woken.wait)
    thread.start()
    assert waiter.wake()
    thread.join()
