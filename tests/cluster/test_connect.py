"""Starting a Ray of our own on a busy machine."""

from __future__ import annotations

from typing import Any

import pytest

from ecgray.cluster import connect
from ecgray.errors import ClusterError

LATE = "The current node timed out during startup. This could happen because some of the raylet failed to startup."


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3)])
def test_a_slow_start_is_tried_again(monkeypatch: pytest.MonkeyPatch, failures: int, calls: int):
    """Ray waits 30 s for its node, fixed; a machine that slow cannot be had for a test, so the call stands in."""
    asked: list[dict[str, Any]] = []

    def init(**settings: Any) -> None:
        asked.append(settings)
        if len(asked) <= failures:
            raise Exception(LATE)

    monkeypatch.setattr(connect.ray, "init", init)
    connect._start_own(2)
    assert len(asked) == calls
    assert all(settings["address"] == "local" and settings["num_cpus"] == 2 for settings in asked)


@pytest.mark.parametrize(("message", "kind"), [(LATE, ClusterError), ("no such option", RuntimeError)])
def test_it_gives_up_in_a_sentence_and_hides_nothing_else(
    monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception]
):
    def init(**_: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(connect.ray, "init", init)
    with pytest.raises(kind):
        connect._start_own(None)
