"""What goes wrong, as RFC 9457 has it: a stable code and one sentence of ours, never a value of the request."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ecgray.errors import EcgInputError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = {429: 1, 503: 2}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """What a request is refused with. `field` names the place by our own words, as `queries[3]`."""

    def __init__(self, status: int, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.field = status, code, detail, field

    def document(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem as JSON has it."""
        title = HTTPStatus(self.status).phrase
        found = {"type": f"urn:ecgray:problem:{self.code}", "title": title, "status": self.status, "code": self.code}
        found["detail"] = self.detail
        if self.field is not None:
            found["field"] = self.field
        if request_id is not None:
            found["request_id"] = request_id
        return found


def of_recording(error: EcgInputError) -> Problem:
    """The problem of a recording that cannot be read."""
    return Problem(error.status, error.code, str(error))


def problem_response(problem: Problem, request_id: str) -> Response:
    """The answer that a problem gives."""
    headers = {}
    if problem.status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[problem.status])
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="ecgray"'
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED and isinstance(problem, NotAllowed):
        headers["Allow"] = ", ".join(problem.methods)
    content = json.dumps(problem.document(request_id)).encode()
    return Response(content, problem.status, headers, media_type=MEDIA_TYPE)


class NotAllowed(Problem):
    """A path that is there, asked in a way that it does not know."""

    def __init__(self, methods: list[str]) -> None:
        super().__init__(405, "method_not_allowed", f"This path takes {', '.join(methods)} only.")
        self.methods = methods


def internal() -> Problem:
    """A fault of ours."""
    return Problem(500, "internal", "Something went wrong inside the service; the log names the kind, not the content.")


def overloaded(what: str) -> Problem:
    """Too much at once."""
    return Problem(429, "overloaded", f"The service has as many {what} as it takes; ask again after Retry-After.")


def not_ready(what: str) -> Problem:
    """A model that is being loaded, or that has gone."""
    return Problem(503, "not_ready", f"The {what} is not ready; ask again after Retry-After.")


def too_slow(what: str) -> Problem:
    """An answer that took too long."""
    return Problem(504, "timeout", f"The {what} took longer than the service waits; ask again later, or for less.")
