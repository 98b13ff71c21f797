"""A request's body: no more bytes than are taken, no longer than is waited, of a kind that is read."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from ecgray.service.gate import Gate
from ecgray.service.problems import Problem
from ecgray.service.settings import ServiceSettings
from ecgray.service.strict_json import parse

JSON = "application/json"
NDJSON = "application/x-ndjson"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain")
"""What a page of another address may send without being asked first: never a recording's kind."""


async def read_body(request: Request, limit: int, settings: ServiceSettings, gate: Gate) -> bytes:
    """All of it. Raises `Problem` payload_too_large, timeout, media_unsupported, overloaded."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "media_unsupported", "Compressed requests are not read; send the body as it is.")
    length = request.headers.get("content-length")
    if length is not None and (not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > limit):
        raise _too_large(limit)
    with gate.entered(max(1, limit if length is None else int(length))):
        try:
            async with asyncio.timeout(settings.body_s):
                return await _gathered(request, limit)
        except TimeoutError:
            raise Problem(
                408, "timeout", f"The body took longer than {settings.body_s:g} s to arrive; send it faster."
            ) from None


async def _gathered(request: Request, limit: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(limit: int) -> Problem:
    return Problem(413, "payload_too_large", f"The body has more than the {limit:,} bytes that are read here.")


def media_type(request: Request) -> str:
    """What the body is said to be."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_json(request: Request, *also: str) -> str:
    """Raise `Problem` media_unsupported where the body is not said to be JSON (or one of `also`)."""
    kind = media_type(request)
    if kind != JSON and kind not in also:
        taken = " or ".join((JSON, *also))
        raise Problem(415, "media_unsupported", f"The body must be {taken}, and say so in Content-Type.")
    return kind


def check_raw(request: Request) -> None:
    """Raise `Problem` media_unsupported where a raw recording is said to be a form."""
    if not media_type(request) or media_type(request) in _FORMS:
        raise Problem(
            415, "media_unsupported", "Send the recording as it is, with Content-Type: application/octet-stream."
        )


def parsed(content: bytes, settings: ServiceSettings) -> Any:
    """The JSON value of a body. Raises `Problem` json_invalid."""
    return parse(content, depth=settings.depth)
