"""What all routes share: settings, backends, gates, meters, and how an answer is written."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ecgray.service.backends import Backends, Measurer, Reader, Stamp, Writer
from ecgray.service.bodies import read_body
from ecgray.service.gate import Gate
from ecgray.service.meters import Meters
from ecgray.service.problems import Problem, not_ready, too_slow
from ecgray.service.settings import ServiceSettings

Answer = TypeVar("Answer")
READING = frozenset(
    f"/v1/{what}{end}"
    for what in ("classify", "embed", "measure", "explain", "read", "plot")
    for end in ("", "/file", "/batch")
) | {"/v2/models/classifier/infer"}
"""Paths behind the gate of recordings."""
WRITING = frozenset({"/v1/generate", "/v2/models/generator/infer"})
_VERSIONED = re.compile(r"(/v2/models/[a-z]+)/versions/[^/]+(/infer)")
FACTS_S = 2.0
INLINE_BYTES = 400_000
"""A body up to this size is read where it is; a larger one, and every file, beside the event loop."""
WORK = 1 << 30
"""The size of what is always done beside it."""


@dataclass(frozen=True)
class Service:
    """One app's parts."""

    settings: ServiceSettings
    backends: Backends
    meters: Meters = field(default_factory=Meters)
    reading: Gate = field(init=False)
    writing: Gate = field(init=False)
    bodies: Gate = field(init=False)
    explaining: Gate = field(init=False)
    _facts: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        gates = {
            "reading": "recordings",
            "writing": "ECGs to draw",
            "bodies": "uploads",
            "explaining": "answers to explain",
        }
        for name, what in gates.items():
            gate = Gate(getattr(self.settings, name), what)
            object.__setattr__(self, name, gate)
            self.meters.inside.labels(name).set_function(partial(getattr, gate, "inside"))

    @property
    def reader(self) -> Reader:
        """The classifier. Raises `Problem` where there is none."""
        if self.backends.reader is None:
            raise _without("classifier")
        return self.backends.reader

    @property
    def measurer(self) -> Measurer:
        """The delineator. Raises `Problem` where there is none."""
        if self.backends.measurer is None:
            raise _without("delineator")
        return self.backends.measurer

    @property
    def writer(self) -> Writer:
        """The generator. Raises `Problem` where there is none."""
        if self.backends.writer is None:
            raise _without("generator")
        return self.backends.writer

    async def body(self, request: Request, limit: int) -> bytes:
        """The body of a request."""
        return await read_body(request, limit, self.settings, self.bodies)

    def gate_of(self, path: str) -> Gate | None:
        """The gate behind a path, which the guard looks at before anything of a request is read."""
        plain = unversioned(path)
        if plain in WRITING:
            return self.writing
        return self.reading if plain in READING else None

    async def facts(self, name: str) -> dict[str, Any]:
        """What a model says of itself, asked every other second at the most: anybody may ask whether it is ready.

        Raises `Problem` not_ready where it does not answer, not_found where there is none of this name.
        """
        model = self.backends.named().get(name)
        if model is None:
            raise Problem(404, "not_found", "There is no model of this name; GET /v1/models lists them.")
        now = time.monotonic()
        asked_at, found = self._facts.get(name, (-FACTS_S, None))
        if now - asked_at >= FACTS_S:
            try:
                found = await self.in_time("model", model.facts(), seconds=FACTS_S)
            except Exception:
                found = None
            self._facts[name] = (time.monotonic(), found)
        if found is None:
            raise not_ready(name)
        return found

    async def in_time(self, what: str, answer: Awaitable[Answer], *, seconds: float | None = None) -> Answer:
        """The answer, or 504 where it takes too long."""
        try:
            async with asyncio.timeout(self.settings.answer_s if seconds is None else seconds):
                return await answer
        except TimeoutError:
            raise too_slow(what) from None


def unversioned(path: str) -> str:
    """The path of the same route without what a client calls the model's version.

    >>> unversioned("/v2/models/classifier/versions/7/infer")
    '/v2/models/classifier/infer'
    """
    found = _VERSIONED.fullmatch(path)
    return "".join(found.groups()) if found else path


def _without(what: str) -> Problem:
    return Problem(404, "not_found", f"This service was started without a {what}.")


async def aside(work: Callable[[], Answer], size: int) -> Answer:
    """Do it here where it is quick, else in a thread, so that nobody waits for it."""
    return work() if size <= INLINE_BYTES else await asyncio.to_thread(work)


def request_id(request: Request) -> str:
    """The number of this request, which its answer and its log line carry."""
    return request.scope["state"]["request_id"]


def stamped(stamp: Stamp) -> dict[str, str]:
    """The model that answered, as JSON has it."""
    return asdict(stamp)


def json_answer(value: dict[str, Any]) -> Response:
    """An answer; what is no number in it is a fault of ours and raises."""
    return Response(json.dumps(value, allow_nan=False).encode(), media_type="application/json")
