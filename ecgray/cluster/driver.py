"""A training run that counts steps, as the driver sees it: its workers are in `ecgray.cluster.stepping`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from ecgray.cluster.preflight import check_room
from ecgray.cluster.stepping import refuse_diverged
from ecgray.cluster.workers import CHECKPOINTS, Workers, run_workers
from ecgray.output import OutputFolder
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import live_bar


def drive(
    loop: Callable[[dict[str, Any]], dict[str, Any]],
    plan: object,
    *,
    folder: OutputFolder,
    steps: int,
    size: Workers,
    name: str,
    purpose: str,
    learning_rate: tuple[str, float],
) -> None:
    """Train on a connected cluster until `steps` are done, from the newest checkpoint of a run that was killed.

    `name` is the job's and stands at the bar, `purpose` stands in a refusal. Raises `ClusterError` where the cluster
    cannot hold so many workers, `TrainingError` where they died too often or the loss was no number; it advises to
    lower `learning_rate`, an option of the command line and its value.
    """
    check_room(workers=size.number, cpus=size.cpus, gpus=int(size.gpu), spare_cpus=0, purpose=purpose)
    before = newest_checkpoint(folder.path / CHECKPOINTS)
    if before is not None:
        tqdm.write(f"{name}: goes on from step {before.step}", file=sys.stderr)
    with live_bar(folder.path, name=name, total=steps):
        outcome = run_workers(loop, plan, workers=size, out=folder.path, name=folder.fingerprint)
    option, value = learning_rate
    refuse_diverged(outcome, learning_rate=value, field=option)
