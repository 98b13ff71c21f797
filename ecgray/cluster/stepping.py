"""A training run that counts steps: what every such worker does between two of them, and how it takes up again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import ray.train
from torch import Tensor
from torch.optim import Optimizer

from ecgray.cluster.workers import CHECKPOINTS, Ranks
from ecgray.errors import TrainingError
from ecgray.training.checkpoints import Checkpoint, pack_optimizer, save_checkpoint, unpack_optimizer
from ecgray.training.journal import Journal


class Stepping(ABC):
    """One worker's state between two steps.

    Whoever inherits makes model and optimiser, then calls `restore`, then wraps the model for its ranks.
    """

    optimizer: Optimizer

    def __init__(self, ranks: Ranks, *, out: Path, steps: int, checkpoint_every: int) -> None:
        self.ranks, self.out = ranks, out
        self.steps, self.checkpoint_every = steps, checkpoint_every
        self.step = 0

    @abstractmethod
    def learn(self) -> dict[str, float]:
        """Do step number `self.step`; returns the journal's row, whose `loss` is the same on every rank."""

    @abstractmethod
    def sets(self) -> dict[str, dict[str, Tensor]]:
        """The named sets of tensors that a checkpoint holds besides the optimiser's."""

    @abstractmethod
    def load_sets(self, sets: dict[str, dict[str, Tensor]]) -> None:
        """Take them up again."""

    def train(self) -> dict[str, Any]:
        """All steps that are left; tells the driver how many, or at which one the loss was no number."""
        journal = Journal(self.out, after=self.step) if self.ranks.rank == 0 else None
        try:
            while self.step < self.steps:
                row = self.learn()
                self.step += 1
                if not math.isfinite(row["loss"]):
                    return {"diverged": self.step}
                if journal is not None:
                    journal.write({"step": self.step} | row)
                if self.step == self.steps or self.step % self.checkpoint_every == 0:
                    self._save()
                    ray.train.report({"step": self.step})
        finally:
            if journal is not None:
                journal.close()
        return {"steps": self.step}

    def restore(self) -> None:
        """Take up the newest whole checkpoint, where there is one."""
        found = self.ranks.newest(self.out / CHECKPOINTS)
        if found is None:
            return
        unpack_optimizer(self.optimizer, found.tensors.pop("optimizer"), found.state["optimizer_groups"])
        self.load_sets(found.tensors)
        self.step = found.step

    def _save(self) -> None:
        if self.ranks.rank != 0:
            return
        optimizer, groups = pack_optimizer(self.optimizer)
        tensors = self.sets() | {"optimizer": optimizer}
        save_checkpoint(self.out / CHECKPOINTS, Checkpoint(self.step, {"optimizer_groups": groups}, tensors))


def refuse_diverged(outcome: dict[str, Any], *, learning_rate: float, field: str) -> None:
    """Raise `TrainingError` where a run ended because its loss was no number."""
    if "diverged" in outcome:
        raise TrainingError(
            f"training diverged at step {outcome['diverged']}: the loss is no number; lower {field} "
            f"({learning_rate:g}) and give another --out."
        )
