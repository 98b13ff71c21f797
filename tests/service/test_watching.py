"""A model folder that is replaced, damaged, or taken away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgray.artifact import SUMS
from ecgray.errors import ArtifactError
from ecgray.service.watching import Watch


def until(holds: Callable[[], bool]) -> None:
    patience = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_it_takes_what_has_changed_once_and_goes_on_after_a_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / SUMS).write_text("one")
    taken: list[str] = []

    def take() -> None:
        taken.append((tmp_path / SUMS).read_text())
        if taken[-1] == "damaged":
            raise ArtifactError("the folder is damaged; copy it again.")
        if taken[-1] == "odd":
            raise OSError("a secret path")

    watch = Watch(tmp_path, take, every_s=0.02)
    try:
        time.sleep(0.1)
        assert taken == []
        for number, text in enumerate(["two", "damaged", "odd", "three"], 1):
            (tmp_path / SUMS).write_text(text)
            until(lambda number=number: len(taken) == number)
        time.sleep(0.1)
        assert taken == ["two", "damaged", "odd", "three"]
        for _ in range(4):  # each time being replaced
            (tmp_path / SUMS).unlink()
            time.sleep(0.03)
            (tmp_path / SUMS).write_text("three")
            time.sleep(0.1)
        assert len(taken) == 4
        assert "taken away" not in caplog.text
        (tmp_path / SUMS).unlink()
        until(lambda: "taken away" in caplog.text)
        time.sleep(0.2)
        assert caplog.text.count("taken away") == 1
    finally:
        watch.close()
    assert "copy it again" in caplog.text
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text
    assert not any(thread.name == "watch" for thread in threading.enumerate())
