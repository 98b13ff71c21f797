"""A training run as a kill leaves it, made of a finished one: no second run needs to be trained for it."""

from __future__ import annotations

import shutil
from pathlib import Path


def cut_run(finished: Path, out: Path, *, last: int) -> None:
    """Copy the OUT of a training job without its model, its figures and its last checkpoint, that of step `last`."""
    shutil.copytree(finished, out)
    (out / "figures.json").unlink()
    shutil.rmtree(out / "model")
    shutil.rmtree(out / "train" / "checkpoints" / f"step-{last:09d}")
