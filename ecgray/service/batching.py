"""Many requests, one pass: a batch is what has come while the one before was under way.

There is no waiting for a batch to fill: alone, a request goes at once; under load, batches grow by themselves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(eq=False)
class _Waiting(Generic[Asked, Answer]):
    asked: Asked
    weight: int
    answer: asyncio.Future[Answer]


class Batcher(Generic[Asked, Answer]):
    """Hands what is asked to `answer`, a list at a time; `flights` lists may be under way at once.

    `weigh` says how much one request counts, and a batch holds at most `most` of that (a heavier one goes alone);
    `seen` is told what each weighs. One that is given up (cancelled) while it waits is left out.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        flights: int = 1,
        weigh: Callable[[Asked], int] = lambda _: 1,
        seen: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._answer, self._most, self._weigh, self._seen = answer, most, weigh, seen
        self._free = flights
        self._waiting: deque[_Waiting[Asked, Answer]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Answer:
        """The answer to this one."""
        waiting: _Waiting[Asked, Answer] = _Waiting(
            asked, self._weigh(asked), asyncio.get_running_loop().create_future()
        )
        self._waiting.append(waiting)
        self._start()
        return await waiting.answer

    def _start(self) -> None:
        while self._free and (batch := self._next()):
            self._free -= 1
            self._seen(sum(each.weight for each in batch))
            task = asyncio.get_running_loop().create_task(self._fly(batch))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _next(self) -> list[_Waiting[Asked, Answer]]:
        batch: list[_Waiting[Asked, Answer]] = []
        weight = 0
        while self._waiting and (not batch or weight + self._waiting[0].weight <= self._most):
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                weight += waiting.weight
        return batch

    async def _fly(self, batch: list[_Waiting[Asked, Answer]]) -> None:
        try:
            answers = await self._answer([each.asked for each in batch])
            for each, answer in [*zip(batch, answers, strict=True)]:  # as many as were asked, or none is given
                if not each.answer.done():
                    each.answer.set_result(answer)
        except BaseException as error:
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._free += 1
            self._start()
