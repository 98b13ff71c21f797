"""Models at work: a folder loaded, requests answered, batch by batch. One engine of each kind in a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from ecgray.artifact import CARD, CONFIG
from ecgray.models.classifier import Classifier
from ecgray.models.drawing import DrawingLoop, Order, Ticket
from ecgray.models.generator import Generator
from ecgray.models.loading import sampling_of
from ecgray.models.questions import question_flags
from ecgray.sediff.prompts import flags
from ecgray.service.backends import Accepted, Answered, Asked, Commission, Drawn, Explained, Progress, Stamp, stack
from ecgray.tables import COUNTS_PER_MV, FS
from ecgray.waveform.delineator.reader import WaveReader

_NICE = 15
MOST_RECORDINGS = 64
"""In one pass of the classifier."""


def stands_back() -> None:
    """Let this thread work with what others of the machine leave, where the system allows that."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class ClassifierEngine:
    """A classifier and its stamp."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.classifier = Classifier.load(folder, device=device)
        self.stamp, self._told = _told("classifier", folder, self.classifier.fingerprint)
        self._learnt = frozenset(map(str, self.classifier.details.get("terms", ())))

    def answer(self, many: Sequence[Asked]) -> list[Answered]:
        """Each request's logits or embeddings, in one pass over all recordings."""
        asking = [asked for asked in many if asked.queries]
        logits: list[Any] = []
        if asking:
            together = stack(asking)
            logits = self.classifier.logits_each(together.counts, together.queries)
        embedding = [asked for asked in many if not asked.queries]
        vectors = [self.classifier.embed(asked.counts) for asked in embedding]
        found, rows, parts = [], iter(logits), iter(vectors)
        for asked in many:
            values = [next(rows) for _ in asked.counts] if asked.queries else list(next(parts))
            flags = {query: question_flags(query, self._learnt) for query in set().union(*asked.queries)}
            found.append(Answered(values, self.stamp, flags))
        return found

    def explain(self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str) -> Explained:
        """Where one answer comes from."""
        logit, baseline, parts = self.classifier.explain(counts, query)
        return Explained(logit, baseline, parts, self.stamp, question_flags(query, self._learnt))

    def facts(self) -> dict[str, Any]:
        """What is told of it."""
        return self._told


class WaveEngine:
    """The delineator that ships."""

    def __init__(self, *, device: str = "cpu") -> None:
        self.reader = WaveReader.load(device=device)

    def measure(self, counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> list[dict[str, Any]]:
        """Intervals of each recording."""
        found = self.reader.measure(counts.astype(np.float32) / COUNTS_PER_MV)
        return [
            {
                "intervals": {name: None if value is None else round(value, 3) for name, value in each.values.items()},
                "reasons": each.reasons,
                "r_peaks_s": [round(peak / FS, 3) for peak in each.r_peaks.tolist()],
            }
            for each in found
        ]


class GeneratorEngine:
    """A generator, its stamp, and the loop that draws."""

    def __init__(
        self, folder: Path, *, device: str = "cpu", most: int = 32, bf16: bool = False, stand_back: bool = False
    ) -> None:
        self._device = device
        self._held = self._load(folder)
        self.loop = DrawingLoop(self._held[0], most=most, bf16=bf16, begin=stands_back if stand_back else lambda: None)

    def _load(self, folder: Path) -> tuple[Generator, Stamp, dict[str, Any]]:
        generator = Generator.load(folder, device=self._device)
        return generator, *_told("generator", folder, generator.fingerprint)

    @property
    def generator(self) -> Generator:
        """Who draws from now on."""
        return self._held[0]

    def replace(self, folder: Path) -> None:
        """Take another model folder; what is under way keeps the one it began with."""
        self._held = self._load(folder)
        self.loop.replace(self.generator)

    def facts(self) -> dict[str, Any]:
        """What is told of it."""
        return self._held[2]

    async def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn]:
        """See `ecgray.service.backends.Writer`."""
        generator, stamp, _ = self._held
        sampling = sampling_of(
            generator.details,
            steps=commission.steps,
            sampler=commission.sampler,
            guidance_scale=commission.guidance_scale,
        )
        generator.check_sampling(sampling)
        odd = {prompt: tuple(flags(prompt, generator.limits)) for prompt in set(commission.prompts)}
        yield Accepted(
            sampling.steps,
            sampling.sampler,
            sampling.guidance_scale,
            stamp,
            tuple(odd[prompt] for prompt in commission.prompts),
        )
        events: asyncio.Queue[Progress | Drawn | BaseException] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def stepped(step: int, of: int) -> None:
            loop.call_soon_threadsafe(events.put_nowait, Progress(step, of))

        def drawn(counts: np.ndarray | BaseException, fingerprint: str) -> None:
            last = counts if isinstance(counts, BaseException) else Drawn(counts, stamp)
            loop.call_soon_threadsafe(events.put_nowait, last)

        order = Order(prompts=commission.prompts, seed=commission.seed, sampling=sampling)
        ticket = Ticket(order, stepped, drawn, generator)
        self.loop.submit(ticket)
        try:
            while True:
                event = await events.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Drawn):
                    return
        finally:
            self.loop.give_up(ticket)


def _told(name: str, folder: Path, fingerprint: str) -> tuple[Stamp, dict[str, Any]]:
    """A model's stamp, and what /v1/models says of it."""
    folder = folder / "model" if (folder / "model").is_dir() else folder
    config = json.loads((folder / CONFIG).read_bytes())
    stamp = Stamp(name, config["kind"], config["version"], fingerprint, config["preset"])
    details = config.get("details", {})
    told = {
        key: details[key] for key in ("figures", "records", "terms", "data", "sampling", "limits") if key in details
    }
    return stamp, {**asdict(stamp), "details": told, "card": (folder / CARD).read_text()}
