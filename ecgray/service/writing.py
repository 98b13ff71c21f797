"""The route that writes ECGs: text in, synthetic ECGs out, step by step where the client wants to see it."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import zipfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter
from jaxtyping import Int16
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ecgray.errors import ConfigError
from ecgray.leads import frontal_residual
from ecgray.sediff.assumptions import assumed_rate
from ecgray.sediff.prompts import Prompt, understood
from ecgray.service.backends import Accepted, Commission, Drawn, Progress, Stamp
from ecgray.service.bodies import check_json, parsed
from ecgray.service.core import WORK, Service, aside, json_answer, request_id, stamped
from ecgray.service.guard import LOG
from ecgray.service.inputs import as_values
from ecgray.service.openapi import answers, asks_json
from ecgray.service.problems import Problem, internal, too_slow
from ecgray.service.reading import SVG_HEADERS
from ecgray.service.schema import Generate, Generated, held
from ecgray.service.settings import NOTICE
from ecgray.waveform.paper import draw_paper
from ecgray.waveform.write import recording_bytes

EVENTS = "text/event-stream"
_MEASURED = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtcf_ms")

Answer = TypeVar("Answer")
Event = tuple[str, dict[str, Any]]


class Writing:
    """Generate: an answer at the end, or events on the way; both end when the client goes."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter(tags=["write ECGs"])
        also = {
            EVENTS: {"schema": {"type": "string", "description": "queued, progress, then result or error."}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/svg+xml": {"schema": {"type": "string"}},
        }
        router.post(
            "/v1/generate",
            summary="Draw ECGs from clinical text",
            openapi_extra=asks_json(Generate),
            responses=answers(Generated, also=also),
        )(self.generate)
        return router

    async def generate(self, request: Request) -> Response:
        """Draw."""
        check_json(request)
        service = self.service
        content = await service.body(request, service.settings.json_bytes)
        body = held(Generate, parsed(content, service.settings))
        prompt = _prompt(body)
        if body.n > service.settings.ecgs or (body.steps or 0) > service.settings.steps:
            raise Problem(422, "param_out_of_range", "n or steps is more than this service draws.", field="n")
        if body.format == "svg" and body.n != 1:
            raise Problem(422, "param_out_of_range", "A page holds one ECG; ask for svg with n=1.", field="n")
        if _wants_events(request):
            if body.format != "json":
                raise Problem(422, "param_invalid", "Events end with JSON; leave format out.", field="format")
            service.writing.refuse_where_full()  # once more, before anything is sent
            return EventStream(self._events(request, body, prompt))
        return await until_gone(request.receive, self._at_once(request, body, prompt))

    async def _at_once(self, request: Request, body: Generate, prompt: Prompt) -> Response:
        accepted, drawn, seed = None, None, _seed(body)
        async with aclosing(self._draw(body, prompt, seed)) as events:
            async for event in events:
                accepted = event if isinstance(event, Accepted) else accepted
                drawn = event if isinstance(event, Drawn) else drawn
        if accepted is None or drawn is None:
            raise internal()
        if body.format == "json":
            return json_answer(await self._answer(request, body, prompt, seed, accepted, drawn))
        answer = await aside(lambda: _as_file(body, drawn, accepted, seed), WORK)
        answer.headers["X-Ecgray-Flags"] = ", ".join(accepted.flags[0])
        return answer

    async def _events(self, request: Request, body: Generate, prompt: Prompt) -> AsyncGenerator[Event]:
        yield "queued", {"request_id": request_id(request)}
        accepted, drawn, seed = None, None, _seed(body)
        try:
            async with aclosing(self._draw(body, prompt, seed)) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        yield "progress", {"step": event.step, "of": event.of}
                    accepted = event if isinstance(event, Accepted) else accepted
                    drawn = event if isinstance(event, Drawn) else drawn
            if accepted is None or drawn is None:
                raise internal()
            yield "result", await self._answer(request, body, prompt, seed, accepted, drawn)
        except Problem as problem:
            self.service.meters.refused.labels(problem.code).inc()
            yield "error", problem.document(request_id(request))
        except Exception as error:
            LOG.error("request %s failed: %s", request_id(request), type(error).__name__)
            yield "error", internal().document(request_id(request))

    async def _draw(self, body: Generate, prompt: Prompt, seed: int) -> AsyncGenerator[Accepted | Progress | Drawn]:
        service = self.service
        commission = Commission((prompt,) * body.n, seed, body.steps, body.sampler, body.guidance_scale)
        with service.writing.entered(body.n):
            end = asyncio.get_running_loop().time() + service.settings.generate_s
            try:
                async with aclosing(service.writer.draw(commission)) as events:
                    while True:
                        async with asyncio.timeout_at(end):  # never across a yield: another task's time would count
                            event = await anext(events, None)
                        if event is None:
                            break
                        yield event
            except ConfigError:
                detail = "This generator cannot draw with that sampler and guidance; leave them out."
                raise Problem(422, "param_out_of_range", detail, field="sampler") from None
            except TimeoutError:
                raise too_slow("drawing") from None
        service.meters.generated.inc(body.n)

    async def _answer(
        self, request: Request, body: Generate, prompt: Prompt, seed: int, accepted: Accepted, drawn: Drawn
    ) -> dict[str, Any]:
        wanted = understood(prompt)
        measured = await self._measured(drawn.counts)
        return {
            "request_id": request_id(request),
            "model": stamped(drawn.stamp),
            "synthetic": True,
            "seed": seed,
            "steps": accepted.steps,
            "sampler": accepted.sampler,
            "guidance_scale": accepted.guidance_scale,
            "flags": list(accepted.flags[0]),
            "asked": {"age": wanted.age, "sex": wanted.sex, "heart_rate_bpm": wanted.heart_rate_bpm},
            "ecgs": [
                {
                    "index": number,
                    "ecg": as_values(counts),
                    "assumed": {"heart_rate_bpm": assumed_rate(prompt, seed, number)},
                    **measured[number],
                    "identity_residual_uv": residual_uv(counts),
                }
                for number, counts in enumerate(drawn.counts)
            ],
            "notice": NOTICE,
        }

    async def _measured(self, counts: Int16[np.ndarray, "ecg lead=12 time=5000"]) -> list[dict[str, Any]]:
        """Of each ECG what was measured, and why what was not."""
        nothing: dict[str, Any] = {"measured": dict.fromkeys(_MEASURED), "reasons": {}}
        if self.service.backends.measurer is None:
            return [nothing for _ in counts]
        try:
            found = await self.service.in_time("measuring", self.service.measurer.measure(counts))
        except Problem:  # what was drawn is not lost for what could not be measured
            return [nothing for _ in counts]
        return [
            {
                "measured": {name: each["intervals"][name] for name in _MEASURED},
                "reasons": {name: reason for name, reason in each["reasons"].items() if name in _MEASURED},
            }
            for each in found
        ]


def _prompt(body: Generate) -> Prompt:
    try:
        return Prompt(text=body.prompt, age=body.age, sex=body.sex, heart_rate_bpm=body.heart_rate)
    except ConfigError:
        detail = "The prompt is empty or holds control characters; write what the ECG is to show, as plain text."
        raise Problem(422, "param_out_of_range", detail, field="prompt") from None


def _seed(body: Generate) -> int:
    return secrets.randbelow(2**32) if body.seed is None else body.seed


def _wants_events(request: Request) -> bool:
    return EVENTS in request.headers.get("accept", "")


def residual_uv(counts: Int16[np.ndarray, "lead=12 time=5000"]) -> float:
    """How far the frontal leads are from the identities (SE-Diff Eq. 19), in uV: at the most, what rounding leaves."""
    return float(np.abs(frontal_residual(counts.astype(np.float64))).max())


def _as_file(body: Generate, drawn: Drawn, accepted: Accepted, seed: int) -> Response:
    """The ECGs as WFDB records in a zip, as an array, or one on paper; each says that it is synthetic."""
    if body.format == "npy":
        stream = io.BytesIO()
        np.save(stream, drawn.counts, allow_pickle=False)
        return Response(stream.getvalue(), media_type="application/octet-stream", headers=_named("synthetic.npy"))
    if body.format == "svg":
        words = "; ".join([f"generated by ecgray, {accepted.steps} steps, seed {seed}", *accepted.flags[0]])
        svg = draw_paper(drawn.counts[0], title="Synthetic ECG", subtitle=words, synthetic=True)
        return Response(svg.encode(), media_type="image/svg+xml", headers=SVG_HEADERS)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, counts in enumerate(drawn.counts):
            name = f"synthetic-{seed}-{number}"
            header, content = recording_bytes(
                name, counts, comments=_comments(body, accepted, drawn.stamp, seed, number)
            )
            archive.writestr(f"{name}.hea", header)
            archive.writestr(f"{name}.dat", content)
    return Response(stream.getvalue(), media_type="application/zip", headers=_named("synthetic.zip"))


def _comments(body: Generate, accepted: Accepted, stamp: Stamp, seed: int, number: int) -> list[str]:
    """What a header says: never the prompt, which may speak of a patient."""
    how = f"sampler {accepted.sampler} steps {accepted.steps} guidance {accepted.guidance_scale:g}"
    first = "synthetic: generated by ecgray; not a recording of a patient; research use only"
    odd = [f"flags {' '.join(accepted.flags[0])}"] if accepted.flags[0] else []
    rate = assumed_rate(_prompt(body), seed, number)
    odd += [] if rate is None else [f"heart rate {rate:g} bpm assumed"]
    return [first, f"model {stamp.sha256}", f"seed {seed} index {number}", how, *odd]


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


class EventStream(Response):
    """Server-sent events; when the client goes, the iterator is closed."""

    def __init__(self, events: AsyncGenerator[Event]) -> None:
        super().__init__(media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.events = events
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send event after event."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await until_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self.events) as events:
            async for name, value in events:
                text = f"event: {name}\ndata: {json.dumps(value, allow_nan=False)}\n\n"
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_gone(receive: Callable[[], Awaitable[Any]], work: Awaitable[Answer]) -> Answer:
    """What `work` gives; cancelled as soon as the client closes the connection, which raises `ClientDisconnect`."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
