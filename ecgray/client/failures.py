"""What may go wrong between a client and the service.

ServiceError         the service refused, or failed: a code, an HTTP status, a sentence
 |- Overloaded       it is busy, or still loading (429, 503): `retry_after_s` says when to come again
 `- Unreachable      nobody answered (status 0): no connection, no certificate that holds, no answer in time

Exit status of a command: 2 where the request is at fault, 1 where the service is.
"""

from __future__ import annotations

from ecgray.errors import EcgrayError


class ServiceError(EcgrayError):
    """The service did not do what was asked.

    `code` is a stable word (docs/data.md, docs/service.md), `detail` one sentence, `request_id` what the service's log
    calls the request, `field` the part of the request that is at fault, where it is one.

    >>> error = ServiceError("too_short", 422, "The recording lasts 1.2 s; at least 2.5 s are needed.", "r-1")
    >>> error.code, error.status, error.request_id, error.exit_status
    ('too_short', 422, 'r-1', 2)
    """

    def __init__(
        self, code: str, status: int, detail: str, request_id: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(detail)
        self.code, self.status, self.detail = code, status, detail
        self.request_id, self.field = request_id, field
        self.exit_status = 2 if 400 <= status < 500 and status not in (408, 429) else 1

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way between processes."""
        return type(self), (self.code, self.status, self.detail, self.request_id, self.field)


class Overloaded(ServiceError):  # noqa: N818 - what it is, not that it is one
    """The service is busy, or its model is still loading; come again after `retry_after_s` seconds."""

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        request_id: str | None = None,
        field: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, status, detail, request_id, field)
        self.retry_after_s = retry_after_s
        self.exit_status = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way between processes."""
        return type(self), (self.code, self.status, self.detail, self.request_id, self.field, self.retry_after_s)


class Unreachable(ServiceError):  # noqa: N818
    """Nobody answered.

    >>> Unreachable("http://127.0.0.1:8000 does not answer; start it with `make serve`.").status
    0
    """

    def __init__(self, detail: str) -> None:
        super().__init__("unreachable", 0, detail)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way between processes."""
        return type(self), (self.detail,)
