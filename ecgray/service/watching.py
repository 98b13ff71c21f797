"""Follow a model folder: when another model is put in its place, it answers from then on, and nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from ecgray.artifact import SUMS
from ecgray.errors import EcgrayError
from ecgray.service.guard import LOG

_GONE = 3
"""Looks in which a folder without checksums is taken for one that is just being replaced."""


class Watch:
    """A thread that looks at a folder's checksums every `every_s` seconds, and calls `take` when they have changed.

    Where `take` raises, the model before stays, and the next change is waited for. `seen` are the checksums from before
    the model was loaded, so that a change in between is found.
    """

    def __init__(self, folder: Path, take: Callable[[], object], *, every_s: float, seen: bytes | None = None) -> None:
        self._folder, self._take, self._every_s = folder, take, every_s
        self._seen = sums_of(folder) if seen is None else seen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        gone = 0
        while not self._ended.wait(self._every_s):
            now = sums_of(self._folder)
            gone = gone + 1 if now is None else 0
            if gone == _GONE:
                LOG.error("the model before stays: %s has been taken away", self._folder)
            if now is None or now == self._seen:
                continue
            self._seen = now
            try:
                self._take()
            except EcgrayError as error:
                LOG.error("the model before stays: %s", error)
            except Exception as error:
                LOG.error("the model before stays: its folder cannot be loaded (%s)", type(error).__name__)


def sums_of(folder: Path) -> bytes | None:
    """The folder's checksums; None while it is being replaced."""
    try:
        return (folder / SUMS).read_bytes()
    except OSError:
        return None
