"""The routes that tell of the service itself: models, lists of questions, samples, version, meters, the page."""

from __future__ import annotations

import asyncio
import html
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ecgray import __version__
from ecgray.errors import ConfigError
from ecgray.service.core import Service, json_answer
from ecgray.service.openapi import answers
from ecgray.service.problems import Problem
from ecgray.service.samples import samples
from ecgray.service.settings import NOTICE
from ecgray.text.tasks import load_task

PAGE = Path(__file__).with_name("page")
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
_LISTS = {
    "ptbxl-super": "PTB-XL, superclasses",
    "ptbxl-rhythm": "PTB-XL, rhythm",
    "ptbxl-form": "PTB-XL, form",
    "ptbxl-sub": "PTB-XL, subclasses",
    "cpsc2018": "CPSC 2018",
    "csn-exact": "Chapman-Shaoxing-Ningbo",
}


def router(service: Service) -> APIRouter:
    """All routes."""
    routes = APIRouter(tags=["about"])
    files = _page_files()

    @routes.get("/v1/models", summary="The models that answer, and what is known of them", responses=answers(None))
    async def models() -> Response:
        found = [await service.facts(name) for name in service.backends.named()]
        return json_answer(
            {"models": [{k: v for k, v in each.items() if k != "card"} for each in found], "notice": NOTICE}
        )

    @routes.get("/v1/models/{model}/card", summary="A model's card, in Markdown", responses=_gives("text/markdown"))
    async def card(model: str) -> Response:
        found = await service.facts(model)
        return Response(found["card"].encode(), media_type="text/markdown; charset=utf-8")

    @routes.get("/v1/queries", summary="Lists of questions", responses=answers(None))
    async def queries() -> Response:
        return json_answer({"lists": [_list(name, title) for name, title in _LISTS.items()]})

    @routes.get("/v1/samples", summary="Drawn ECGs to try with", responses=answers(None))
    async def listed() -> Response:
        found = await asyncio.to_thread(samples)
        return json_answer(
            {
                "samples": [
                    {"name": each.name, "title": each.title, "truth": list(each.truth)} for each in found.values()
                ]
            }
        )

    @routes.get(
        "/v1/samples/{name}",
        summary="A drawn ECG as a WFDB record in a zip",
        responses=_gives("application/zip", {"type": "string", "format": "binary"}),
    )
    async def sample(name: str) -> Response:
        found = (await asyncio.to_thread(samples)).get(name)
        if found is None:
            raise Problem(404, "not_found", "There is no sample of this name; GET /v1/samples lists them.")
        headers = {"Content-Disposition": f'attachment; filename="{found.name}.zip"'}
        return Response(found.archive, media_type="application/zip", headers=headers)

    @routes.get("/version", summary="Versions", responses=answers(None))
    async def versions() -> Response:
        return json_answer({"ecgray": __version__, "api": "v1", "torch": version("torch"), "ray": version("ray")})

    @routes.get("/metrics", summary="Meters for Prometheus", responses=_gives("text/plain"))
    async def metrics() -> Response:
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return Response(_docs(request.app.openapi()).encode(), headers=PAGE_HEADERS, media_type=_KINDS[".html"])

    @routes.get("/", include_in_schema=False)
    async def index() -> Response:
        return _file(files, "index.html")

    @routes.get("/page/{name:path}", include_in_schema=False)
    async def page(name: str) -> Response:
        return _file(files, name)

    return routes


def _gives(kind: str, schema: dict[str, Any] | None = None) -> dict[int | str, Any]:
    return answers(None, also={kind: {"schema": schema or {"type": "string"}}})


def _list(name: str, title: str) -> dict[str, Any]:
    try:
        classes = load_task(name).classes
    except ConfigError:
        classes = ()
    return {"name": name, "title": title, "queries": [{"query": each.query} for each in classes]}


def _page_files() -> dict[str, tuple[str, bytes]]:
    """Every file of the page, read once: a client's path is only ever compared with these names."""
    if not PAGE.is_dir():
        return {}
    found = [path for path in sorted(PAGE.rglob("*")) if path.is_file() and path.suffix in _KINDS]
    return {path.relative_to(PAGE).as_posix(): (_KINDS[path.suffix], path.read_bytes()) for path in found}


def _file(files: dict[str, tuple[str, bytes]], name: str) -> Response:
    if name not in files:
        raise Problem(404, "not_found", "There is no such page; / is the first.")
    kind, content = files[name]
    return Response(content, media_type=kind, headers=PAGE_HEADERS)


def _docs(document: dict[str, Any]) -> str:
    """The OpenAPI document as a page without scripts."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        "<title>ecgray: the API</title><link rel='stylesheet' href='/page/docs.css'><main><h1>The API</h1>",
        f"<p>{html.escape(NOTICE)} <a href='/openapi.json'>openapi.json</a></p>",
    ]
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            parts.append(
                f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(about['summary'])}</p>"
            )
            bodies = about.get("requestBody", {}).get("content", {})
            parts += [
                f"<p>{html.escape(kind)}</p><pre>{_example(body, document)}</pre>" for kind, body in bodies.items()
            ]
    return "".join([*parts, "</main></html>"])


def _example(body: dict[str, Any], document: dict[str, Any]) -> str:
    """The body's example with its long texts cut; else what its schema says."""
    if "example" in body:
        return html.escape(re.sub(r'("[^"]{60})[^"]{20,}"', r'\1..."', json.dumps(body["example"], indent=1)))
    name = body["schema"].get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"].get(name, body["schema"])
    return html.escape(json.dumps(found.get("properties", found), indent=1)[:3000])
