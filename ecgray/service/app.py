"""The FastAPI app over any backends."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from ecgray import __version__
from ecgray.service import about
from ecgray.service.core import Service, request_id
from ecgray.service.guard import Guard
from ecgray.service.inference_protocol import InferenceProtocol
from ecgray.service.openapi import complete
from ecgray.service.problems import NotAllowed, Problem, internal, problem_response
from ecgray.service.reading import Reading
from ecgray.service.settings import NOTICE
from ecgray.service.writing import Writing

_ABOUT = (
    "Ask any cardiac question of an ECG in words, and get a probability; write clinical text, and get a 12-lead ECG. "
    f"{NOTICE}"
)


def build_app(service: Service) -> FastAPI:
    """The app; everything that goes wrong in it is answered with a problem document."""
    app = FastAPI(
        title="ecgray", version=__version__, description=_ABOUT, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service = service
    for router in (Reading(service).router(), Writing(service).router(), InferenceProtocol(service).router()):
        app.include_router(router)
    app.include_router(about.router(service))
    app.add_middleware(Guard, settings=service.settings, meters=service.meters, gate_of=service.gate_of)

    async def problem(request: Request, error: Exception) -> Response:
        found = error if isinstance(error, Problem) else internal()
        service.meters.refused.labels(found.code).inc()
        return problem_response(found, request_id(request))

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            return await problem(request, NotAllowed(_methods(app, request)))
        if status == 404:
            return await problem(
                request, Problem(404, "not_found", "There is nothing at this path; /docs lists the API.")
            )
        return await problem(request, Problem(status, "request_invalid", "The request cannot be answered."))

    async def invalid(request: Request, error: Exception) -> Response:
        return await problem(request, Problem(422, "param_invalid", "A parameter is not what is taken."))

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What the path takes."""
    found: set[str] = set()
    for route in app.routes:
        if route.matches(request.scope)[0] == Match.PARTIAL:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)
