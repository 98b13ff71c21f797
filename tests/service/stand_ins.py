"""Readers and writers that do what the models that ship never do: wait, raise, lack. As a script: a service of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from ecgray.service.backends import Accepted, Answered, Asked, Backends, Commission, Drawn, Explained, Progress, Stamp

STAMP = Stamp("classifier", "stand-in", "0", "000000000000", "none")


class QuickReader:
    """Answers at once: each question with its number of letters."""

    async def answer(self, asked: Asked) -> Answered:
        values = [np.array([len(query) for query in queries], np.float32) for queries in asked.queries]
        return Answered(
            values if any(asked.queries) else [np.zeros(8, np.float32) for _ in asked.counts],
            STAMP,
            {query: () for queries in asked.queries for query in queries},
        )

    async def explain(self, counts: np.ndarray, query: str) -> Explained:
        return Explained(1.0, 0.0, np.zeros((12, 100), np.float32), STAMP)

    async def facts(self) -> dict[str, Any]:
        return {"name": "classifier", "card": "", "details": {}, "sha256": "0"}


class SlowReader(QuickReader):
    """Answers once it is let go, or after so many seconds."""

    def __init__(self, seconds: float = 30) -> None:
        self.seconds, self.asked, self.given_up = seconds, 0, 0
        self.free = threading.Event()

    async def answer(self, asked: Asked) -> Answered:
        self.asked += 1
        try:
            for _ in range(round(self.seconds * 100)):
                if self.free.is_set():
                    break
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().answer(asked)


class RaisingReader(QuickReader):
    """Fails with a text that nobody may see."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def answer(self, asked: Asked) -> Answered:
        raise self.error

    async def explain(self, counts: np.ndarray, query: str) -> Explained:
        raise self.error from ValueError(str(self.error))

    async def facts(self) -> dict[str, Any]:
        raise self.error


class StandInWriter:
    """Draws flat lines in three steps; raises after the first where it is told to, or stays there."""

    def __init__(self, error: Exception | None = None, *, stays_s: float = 0) -> None:
        self.error, self.stays_s, self.closed = error, stays_s, 0

    async def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn]:
        yield Accepted(3, "ddim", 1.0, STAMP, ((),) * len(commission.prompts))
        try:
            for step in range(1, 4):
                yield Progress(step, 3)
                if self.error is not None:
                    raise self.error
                await asyncio.sleep(self.stays_s)
            yield Drawn(np.zeros((len(commission.prompts), 12, 5000), np.int16), STAMP)
        finally:
            self.closed += 1

    async def facts(self) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {"name": "generator", "card": "", "details": {}, "sha256": "0"}


class ChildService:
    """The app over a quick reader, in a process of its own."""

    def __enter__(self) -> ChildService:
        places = {"PYTHONPATH": str(Path(__file__).parents[2])}  # this ecgray, wherever another is installed
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, text=True, env=os.environ | places
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def cpu_s(self) -> float:
        """Seconds of the processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def resident_mb(self, field: str = "VmRSS") -> float:
        """Its memory; `VmHWM`: at the most since `forget`."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

    def forget(self) -> None:
        """The most memory is counted from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


if __name__ == "__main__":
    import signal

    from running_service import running

    with running(Backends(QuickReader(), None, StandInWriter())) as address:
        print(address, flush=True)
        signal.sigwait({signal.SIGTERM})
