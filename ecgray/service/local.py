"""Backends in this process: what a replica of Ray Serve holds, and all that a test or a look at the page needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int16

from ecgray.service.backends import Accepted, Answered, Asked, Backends, Commission, Drawn, Explained, Progress
from ecgray.service.batching import Batcher
from ecgray.service.engines import MOST_RECORDINGS, ClassifierEngine, GeneratorEngine, WaveEngine, stands_back

Result = TypeVar("Result")


class _Alone:
    """One thread for one model: passes do not compete, and the event loop stays free."""

    def __init__(self, name: str, *, begin: Callable[[], None] | None = None) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=begin)

    async def do(self, work: Callable[[], Result]) -> Result:
        """Run it there."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class LocalReader:
    """The classifier of a folder."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.folder, self._device = folder, device
        self.engine = ClassifierEngine(folder, device=device)
        self._alone = _Alone("classifier")
        self._batcher = Batcher(self._pass, most=MOST_RECORDINGS, weigh=lambda asked: len(asked.counts))

    async def _pass(self, many: Sequence[Asked]) -> Sequence[Answered]:
        engine = self.engine
        return await self._alone.do(lambda: engine.answer(many))

    async def answer(self, asked: Asked) -> Answered:
        """In one pass with whatever else has come."""
        return await self._batcher.ask(asked)

    async def answer_all(self, many: Sequence[Asked]) -> list[Answered]:
        """As `answer`, of several requests."""
        return list(await asyncio.gather(*(self.answer(asked) for asked in many)))

    async def explain(self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str) -> Explained:
        """Where an answer comes from."""
        engine = self.engine
        return await self._alone.do(lambda: engine.explain(counts, query))

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return self.engine.facts()

    def reload(self) -> None:
        """Take what the folder holds now: from one pass to the next, once it is loaded."""
        self.engine = ClassifierEngine(self.folder, device=self._device)


class LocalMeasurer:
    """The delineator."""

    def __init__(self, *, device: str = "cpu", stand_back: bool = False) -> None:
        self.engine = WaveEngine(device=device)
        self._alone = _Alone("delineator", begin=stands_back if stand_back else None)
        self._batcher: Batcher[np.ndarray, list[dict[str, Any]]] = Batcher(self._pass, most=16, weigh=len)

    async def _pass(self, many: Sequence[np.ndarray]) -> Sequence[list[dict[str, Any]]]:
        found = iter(await self._alone.do(lambda: self.engine.measure(np.concatenate(list(many)))))
        return [[next(found) for _ in counts] for counts in many]

    async def measure(self, counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> list[dict[str, Any]]:
        """In one pass with whatever else has come."""
        return await self._batcher.ask(counts)


class LocalWriter:
    """The generator of a folder."""

    def __init__(
        self, folder: Path, *, device: str = "cpu", most: int = 32, bf16: bool = False, stand_back: bool = False
    ) -> None:
        self.folder = folder
        self.engine = GeneratorEngine(folder, device=device, most=most, bf16=bf16, stand_back=stand_back)

    def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn]:
        """Step by step, together with what others have asked for."""
        return self.engine.draw(commission)

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return self.engine.facts()

    def reload(self) -> None:
        """Take what the folder holds now; what is under way keeps the model it began with."""
        self.engine.replace(self.folder)


def local_backends(classifier: Path | None, generator: Path | None) -> Backends:
    """All of them here."""
    return Backends(
        None if classifier is None else LocalReader(classifier),
        LocalMeasurer(),
        None if generator is None else LocalWriter(generator),
    )
