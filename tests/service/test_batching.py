"""Batches: what has come while the one before was under way; each gets its own answer, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ecgray.service.batching import Batcher


class Backend:
    """Answers each number with its double; remembers what came together; waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.under_way = self.most_under_way = 0

    async def answer(self, many: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(many))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.free.wait()
        self.under_way -= 1
        if -1 in many:
            raise ValueError("a bad one")
        if 999 in many:
            return [0]
        return [2 * each for each in many]


async def asked(batcher: Batcher[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.ensure_future(batcher.ask(number)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


def test_alone_a_request_goes_at_once_and_a_batch_is_what_has_come_meanwhile():
    async def story() -> None:
        backend = Backend()
        seen: list[int] = []
        batcher = Batcher(backend.answer, most=3, seen=seen.append)
        tasks = await asked(batcher, 1, 2, 3, 4, 5)
        await asyncio.sleep(0)
        assert backend.batches == [[1]]
        backend.free.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
        assert backend.batches == [[1], [2, 3, 4], [5]]
        assert seen == [1, 3, 1]
        assert backend.most_under_way == 1

    asyncio.run(story())


def test_so_many_batches_are_under_way_at_once():
    async def story() -> None:
        backend = Backend()
        batcher = Batcher(backend.answer, most=1, flights=2)
        tasks = await asked(batcher, 1, 2, 3)
        await asyncio.sleep(0.01)
        assert backend.batches == [[1], [2]]
        backend.free.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6]
        assert backend.most_under_way == 2

    asyncio.run(story())


def test_a_heavy_request_goes_alone_and_nobody_overtakes_it():
    async def story() -> None:
        backend = Backend()
        batcher = Batcher(backend.answer, most=10, weigh=lambda number: number)
        tasks = await asked(batcher, 1, 4, 5, 50, 2, 3)
        backend.free.set()
        await asyncio.gather(*tasks)
        assert backend.batches == [[1], [4, 5], [50], [2, 3]]

    asyncio.run(story())


def test_one_that_is_given_up_while_it_waits_is_left_out():
    async def story() -> None:
        backend = Backend()
        batcher = Batcher(backend.answer, most=3)
        first, second, third = await asked(batcher, 1, 2, 3)
        second.cancel()
        await asyncio.sleep(0)
        first.cancel()
        backend.free.set()
        assert await third == 6
        assert backend.batches == [[1], [3]], "one under way is finished for nobody"
        assert first.cancelled()
        assert second.cancelled()
        assert await batcher.ask(7) == 14

    asyncio.run(story())


@pytest.mark.parametrize("bad", [-1, 999])
def test_a_batch_that_fails_fails_for_those_in_it_alone(bad: int):
    """Also one that comes back with too few answers; nobody waits for ever."""

    async def story() -> None:
        backend = Backend()
        batcher = Batcher(backend.answer, most=2)
        tasks = await asked(batcher, 1, bad, 2, 3)
        backend.free.set()
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1)
        assert found[0] == 2
        assert isinstance(found[1], ValueError)
        assert isinstance(found[2], ValueError)
        assert found[3] == 6
        assert await batcher.ask(5) == 10

    asyncio.run(story())
