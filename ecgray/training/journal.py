"""The journal of a training run: one JSON line a step in metrics.jsonl, the same for TensorBoard, a live bar.

A run that goes on from step n first takes out what came after n, so that every step stands there exactly once.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ecgray.output import write_bytes

METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class Journal:
    """Writes the journal in `folder`, keeping the rows up to step `after`. One process at a time."""

    def __init__(self, folder: Path, *, after: int) -> None:
        from tensorboardX import SummaryWriter

        rows = [row for row in read_journal(folder) if row["step"] <= after]
        text = "".join(_line(row) for row in rows)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / METRICS, text.encode())
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        self._file = (folder / METRICS).open("a")
        self._board = SummaryWriter(str(folder / TENSORBOARD), flush_secs=10)
        for row in rows:
            self._show(row)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row; it has a `step`, and NaN is refused."""
        self._file.write(_line(row))
        self._file.flush()
        self._show(row)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish both files."""
        self._file.close()
        self._board.close()

    def _show(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if name != "step":
                self._board.add_scalar(name, value, row["step"])


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The rows of a journal, without a last line that a killed process left half written."""
    path = folder / METRICS
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


@contextlib.contextmanager
def live_bar(folder: Path, *, name: str, total: int, shown: bool = True) -> Iterator[None]:
    """A bar on stderr that follows a journal which another process writes."""
    stopped = threading.Event()
    with tqdm(total=total, desc=name, unit="step", file=sys.stderr, disable=not shown) as bar:
        figures: dict[str, str] = {}

        def follow() -> None:
            while not stopped.wait(0.5):
                _advance(bar, folder, figures)

        thread = threading.Thread(target=follow, name="live-bar", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()
            _advance(bar, folder, figures)


def _advance(bar: tqdm, folder: Path, figures: dict[str, str]) -> None:
    """Bring the bar to the last row; what that row does not say stays as it was."""
    row = _last_row(folder / METRICS)
    if row is None or row["step"] == bar.n:
        return
    if not figures or row["step"] < bar.n:  # the first step, also of a run that goes on: time before was no training
        bar.reset()
        bar.initial = row["step"] - 1
    figures.update({name: f"{row[key]:.4g}" for name, key in _SHOWN.items() if key in row})
    bar.set_postfix(figures, refresh=False)
    bar.n = row["step"]
    bar.refresh()


_SHOWN = {"loss": "loss", "records/s": "records_per_s", "val AUC": "val_macro_auc"}


def _last_row(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            whole = file.read().rpartition(b"\n")[0]
    except FileNotFoundError:
        return None
    line = whole.rpartition(b"\n")[2]
    return json.loads(line) if line.startswith(b"{") else None
