"""How much is let in: what is beyond is refused at once, so that what is inside is answered in time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ecgray.service.problems import overloaded


class Gate:
    """Counts what is inside; not for use from several threads.

    >>> gate = Gate(1, "recordings")
    >>> with gate.entered(1):
    ...     gate.inside, gate.is_full()
    (1, True)
    >>> gate.inside
    0
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self.inside = most, what, 0

    def is_full(self) -> bool:
        """Whether nothing more is let in."""
        return self.inside >= self.most

    def refuse_where_full(self) -> None:
        """Raise `Problem` overloaded where nothing more is let in."""
        if self.is_full():
            raise overloaded(self.what)

    @contextlib.contextmanager
    def entered(self, weight: int = 1) -> Iterator[None]:
        """Hold so many places while the block runs. Raises `Problem` overloaded where there is none.

        What is heavier than half the gate counts as that half: a large request need not wait for all others to go.
        """
        weight = min(weight, max(1, self.most // 2))
        if self.inside + weight > self.most:
            raise overloaded(self.what)
        self.inside += weight
        try:
            yield
        finally:
            self.inside -= weight
