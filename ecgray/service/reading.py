"""The routes that read ECGs: classify, embed, measure, explain, plot, and read as it is."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from ecgray.errors import EcgrayError
from ecgray.leads import LEADS
from ecgray.service.backends import Asked
from ecgray.service.bodies import NDJSON, check_json, check_raw, parsed
from ecgray.service.core import WORK, Service, aside, json_answer, request_id, stamped
from ecgray.service.inputs import Taken, as_values, options_of, take, take_file, upload_settings
from ecgray.service.openapi import answers, asks_file, asks_json
from ecgray.service.problems import Problem
from ecgray.service.schema import (
    Classified,
    ClassifiedBatch,
    Classify,
    ClassifyBatch,
    ClassifyItem,
    Embedded,
    Explain,
    ExplainedOut,
    Measured,
    Plot,
    Read,
    Recorded,
    check_letters,
    checked_queries,
    checked_query,
    held,
)
from ecgray.service.settings import NOTICE, UNCALIBRATED
from ecgray.waveform.paper import draw_paper

STEP_S = 0.1
_METHOD = "integrated gradients"
SVG_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}

Reply = Callable[[Request, Taken, Any], Awaitable[Response]]


class Reading:
    """Each route in two forms: a JSON body, and a raw file whose settings stand in the query string."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter(tags=["read ECGs"])
        self._both(
            router, "/v1/classify", Classify, Classified, self.classify, _ask_classify, "Ask questions of an ECG"
        )
        self._both(router, "/v1/embed", Recorded, Embedded, self.embed, _ask_nothing, "One vector of an ECG")
        self._both(router, "/v1/measure", Recorded, Measured, self.measure, _ask_nothing, "Heart rate and intervals")
        self._both(
            router, "/v1/explain", Explain, ExplainedOut, self.explain, _ask_explain, "Where an answer comes from"
        )
        self._both(router, "/v1/read", Recorded, Read, self.read, _ask_nothing, "An ECG as it is read: 12 leads, 10 s")
        self._both(router, "/v1/plot", Plot, None, self.plot, _ask_plot, "An ECG on standard paper, as SVG")
        router.post(
            "/v1/classify/batch",
            summary="Ask questions of up to 64 ECGs",
            openapi_extra=asks_json(ClassifyBatch, also=NDJSON),
            responses=answers(ClassifiedBatch),
        )(self.classify_batch)
        return router

    def _both(
        self,
        router: APIRouter,
        path: str,
        kind: type[Recorded],
        gives: Any,
        reply: Reply,
        ask: Callable[[Request], dict[str, Any]],
        summary: str,
    ) -> None:
        service = self.service

        file_extra = asks_file(kind)

        async def by_json(request: Request) -> Response:
            check_json(request)
            content = await service.body(request, service.settings.json_bytes)
            with service.reading.entered():
                body = held(kind, parsed(content, service.settings))
                taken = await aside(lambda: take(body), len(content) if body.ecg is not None else WORK)
                return await reply(request, taken, body)

        async def by_file(request: Request) -> Response:
            check_raw(request)
            content = await service.body(request, service.settings.raw_bytes)
            with service.reading.entered():
                query = request.query_params
                _check_names(query, file_extra)
                settings, options = upload_settings(query), options_of(query)
                body = held(kind, {"options": options.model_dump(), **ask(request)})
                return await reply(request, await aside(lambda: take_file(content, settings, options), WORK), body)

        name = path.rpartition("/")[2]
        found = answers(gives, svg=gives is None)
        for end, endpoint, extra in (("", by_json, asks_json(kind)), ("/file", by_file, file_extra)):
            what = f"{summary}{' sent as a file' if end else ''}"
            router.post(path + end, name=name + end, summary=what, openapi_extra=extra, responses=found)(endpoint)

    async def classify(self, request: Request, taken: Taken, body: Classify) -> Response:
        """Results in the order of the questions."""
        queries = checked_queries(body.queries, self.service.settings)
        answered = await self._answer(Asked(taken.counts[None], (queries,)))
        return json_answer(
            {
                "request_id": request_id(request),
                "model": stamped(answered.stamp),
                "results": results(queries, answered.values[0], answered.flags),
                **taken.described(),
                "notice": UNCALIBRATED,
            }
        )

    async def classify_batch(self, request: Request) -> Response:
        """Each recording's results, or its error; one bad recording does not spoil the others."""
        service, settings = self.service, self.service.settings
        kind = check_json(request, NDJSON)
        content = await service.body(request, settings.batch_bytes)
        values, common = await aside(lambda: _items(content, kind, settings), WORK)
        if not 1 <= len(values) <= settings.batch:
            raise Problem(422, "param_out_of_range", f"1 to {settings.batch} items are answered.", field="items")
        with service.reading.entered(len(values)):
            entries = await aside(
                lambda: [self._item(number, each, common) for number, each in enumerate(values)], WORK
            )
            good = [entry for entry in entries if "error" not in entry]
            check_letters((query for entry in good for query in entry["queries"]), settings)
            stamp = None
            if good:
                asked = Asked(
                    np.stack([entry.pop("taken").counts for entry in good]),
                    tuple(entry.pop("queries") for entry in good),
                )
                answered = await self._answer(asked)
                stamp = stamped(answered.stamp)
                for entry, queries, logits in zip(good, asked.queries, answered.values, strict=True):
                    entry["results"] = results(queries, logits, answered.flags)
        return json_answer(
            {
                "request_id": request_id(request),
                "model": stamp,
                "count": len(entries),
                "errors": len(entries) - len(good),
                "items": entries,
                "notice": UNCALIBRATED,
            }
        )

    def _item(self, number: int, value: Any, common: list[Any] | None) -> dict[str, Any]:
        field = f"items[{number}]"
        try:
            if isinstance(value, Problem):
                raise value
            body = held(ClassifyItem, value, field=field)
            asked = common if body.queries is None else body.queries
            if asked is None:
                raise Problem(
                    422, "param_missing", f"{field}.queries is missing, and there are none for all.", field=field
                )
            queries = checked_queries(asked, self.service.settings, field=f"{field}.queries")
            taken = take(body)
        except Problem as problem:
            return {"index": number, "error": problem.document()}
        return {"index": number, "queries": queries, "taken": taken, **taken.described()}

    async def embed(self, request: Request, taken: Taken, body: Recorded) -> Response:
        """The mean of the encoder's tokens."""
        answered = await self._answer(Asked(taken.counts[None], ()))
        vector = answered.values[0].tolist()
        found = {"model": stamped(answered.stamp), "embedding": vector, "width": len(vector), **taken.described()}
        return json_answer({"request_id": request_id(request), **found, "notice": NOTICE})

    async def measure(self, request: Request, taken: Taken, body: Recorded) -> Response:
        """Intervals of the ten seconds."""
        (found,) = await self.service.in_time("measuring", self.service.measurer.measure(taken.counts[None]))
        self.service.meters.recordings.labels("measured").inc()
        return json_answer({"request_id": request_id(request), **found, **taken.described(), "notice": NOTICE})

    async def explain(self, request: Request, taken: Taken, body: Explain) -> Response:
        """Parts of the logit by lead and time."""
        query = checked_query(body.query, self.service.settings)
        with self.service.explaining.entered():
            found = await self.service.in_time("explaining", self.service.reader.explain(taken.counts, query))
        return json_answer(
            {
                "request_id": request_id(request),
                "model": stamped(found.stamp),
                "query": query,
                "flags": found.flags,
                "probability": probability(found.logit),
                "logit": found.logit,
                "baseline_logit": found.baseline_logit,
                "method": _METHOD,
                "leads": list(LEADS),
                "step_s": STEP_S,
                "contributions": [[round(part, 6) for part in row] for row in found.parts.tolist()],
                **taken.described(),
                "notice": UNCALIBRATED,
            }
        )

    async def read(self, request: Request, taken: Taken, body: Recorded) -> Response:
        """The recording as it is read."""
        found = {
            "request_id": request_id(request),
            "ecg": as_values(taken.counts),
            **taken.described(),
            "notice": NOTICE,
        }
        return json_answer(found)

    async def plot(self, request: Request, taken: Taken, body: Plot) -> Response:
        """The recording on paper."""
        subtitle = "; ".join(taken.quality["flags"])[:110]
        svg = await aside(
            lambda: draw_paper(
                taken.counts,
                title=body.title,
                subtitle=subtitle,
                layout=body.layout,
                speed_mm_s=body.speed_mm_s,
                gain_mm_mv=body.gain_mm_mv,
            ),
            WORK,
        )
        return Response(svg.encode(), media_type="image/svg+xml", headers=SVG_HEADERS)

    async def _answer(self, asked: Asked) -> Any:
        try:
            answered = await self.service.in_time("classifying", self.service.reader.answer(asked))
        except EcgrayError:
            raise Problem(422, "query_invalid", "A question cannot be read.", field="queries") from None
        self.service.meters.recordings.labels("classified" if asked.queries else "embedded").inc(len(asked.counts))
        return answered


def _items(content: bytes, kind: str, settings: Any) -> tuple[list[Any], list[Any] | None]:
    """The items of a batch (or what is wrong with a line of them), and the questions that are for all."""
    if kind != NDJSON:
        body = held(ClassifyBatch, parsed(content, settings))
        return body.items, body.queries
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) > settings.batch:
        return lines, None
    found: list[Any] = []
    for line in lines:
        try:
            found.append(parsed(line, settings))
        except Problem as problem:
            found.append(problem)
    return found, None


def results(queries: tuple[str, ...], logits: np.ndarray, flags: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """One entry a question."""
    pairs = zip(queries, logits.tolist(), strict=True)
    return [
        {"query": query, "probability": probability(logit), "logit": logit, "flags": flags[query]}
        for query, logit in pairs
    ]


def probability(logit: float) -> float:
    """The logistic function.

    >>> probability(0.0), probability(-1000.0), probability(1000.0)
    (0.5, 0.0, 1.0)
    """
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    small = math.exp(max(logit, -700.0)) if logit > -745 else 0.0
    return small / (1 + small)


def _check_names(query: QueryParams, extra: dict[str, Any]) -> None:
    """A setting that is misspelt must not be passed over."""
    known = [each["name"] for each in extra["parameters"]]
    if not query.keys() <= set(known):
        raise Problem(422, "param_unknown", f"A query parameter is not known; taken are {', '.join(known)}.")


def _ask_nothing(request: Request) -> dict[str, Any]:
    return {}


def _ask_classify(request: Request) -> dict[str, Any]:
    return {"queries": request.query_params.getlist("q")}


def _ask_explain(request: Request) -> dict[str, Any]:
    asked = request.query_params.getlist("q")
    if len(asked) != 1:
        raise Problem(422, "query_count", "Give one question, as q.", field="q")
    return {"query": asked[0]}


def _ask_plot(request: Request) -> dict[str, Any]:
    query = request.query_params
    found: dict[str, Any] = {name: query[name] for name in ("layout", "title") if name in query}
    for name in ("speed_mm_s", "gain_mm_mv"):
        if name in query:
            if not query[name].isdecimal() or len(query[name]) > 3:
                raise Problem(422, "param_invalid", f"{name} is no whole number.", field=name)
            found[name] = int(query[name])
    return found
