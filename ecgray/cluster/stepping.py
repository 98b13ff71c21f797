"""A training run that counts steps: what every such worker does between two of them, and how it takes up again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ecgray.cluster.workers import CHECKPOINTS, Ranks
from ecgray.errors import TrainingError
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.step import Ema, make_optimizer, make_schedule
from ecgray.training.checkpoints import Checkpoint, pack_optimizer, save_checkpoint, unpack_optimizer
from ecgray.training.journal import Journal

if TYPE_CHECKING:
    from ecgray.recipes.train_generator import TrainGeneratorConfig
    from ecgray.recipes.train_vae import TrainVaeConfig


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


class Averaged(Stepping):
    """A run of the generator's networks: one optimiser, one schedule, and a running average of the weights.

    Whoever inherits makes the model, whose first weights are seeded by then, and calls `take_up`.
    """

    model: nn.Module
    wrapped: nn.Module
    ema: Ema
    schedule: LambdaLR

    def __init__(self, config: TrainVaeConfig | TrainGeneratorConfig, *, out: Path) -> None:
        ranks = Ranks(gpu=config.gpu, cpus=config.cpus_per_worker)
        super().__init__(ranks, out=out, steps=config.steps, checkpoint_every=config.checkpoint_every)
        self.seed = config.seed
        torch.manual_seed(config.seed)

    def take_up(self, model: nn.Module, config: OptimizerConfig, *, unused: bool = False) -> None:
        """Train this model, from where the newest checkpoint stands; `unused`: a part of it rests in some steps."""
        self.model = model.to(self.ranks.device)
        self.ema = Ema(self.model, config.ema)
        self.optimizer = make_optimizer(self.model, config)
        self.restore()
        self.schedule = make_schedule(self.optimizer, config)
        for _ in range(self.step):
            self.schedule.step()
        self.wrapped = self.ranks.wrap(self.model, unused=unused)

    def noise(self) -> torch.Generator:
        """What this step and this worker draw from; dropout, which knows only torch's own, gets a stream beside it."""
        seed = (self.seed * 1_000_003 + self.step) * 1009 + self.ranks.rank
        torch.manual_seed(~seed)
        drawn = torch.Generator(self.ranks.device)
        drawn.manual_seed(seed)
        return drawn

    def sets(self) -> dict[str, dict[str, Tensor]]:
        """The network's weights, their average, and how many steps that has seen."""
        average: dict[str, Tensor] = self.ema.model.state_dict()
        return {"model": self.model.state_dict(), "average": average, "ema": {"steps": torch.tensor(self.ema.steps)}}

    def load_sets(self, sets: dict[str, dict[str, Tensor]]) -> None:
        """Take them up again."""
        self.model.load_state_dict(sets["model"])
        self.ema.load_state_dict({"steps": int(sets["ema"]["steps"]), "model": sets["average"]})


def trained_weights(last: Checkpoint, config: OptimizerConfig) -> dict[str, Tensor]:
    """What is exported of a run that is averaged: the average, where one was kept."""
    return last.tensors["average" if config.ema else "model"]


def refuse_diverged(outcome: dict[str, Any], *, learning_rate: float, field: str) -> None:
    """Raise `TrainingError` where a run ended because its loss was no number."""
    if "diverged" in outcome:
        raise TrainingError(
            f"training diverged at step {outcome['diverged']}: the loss is no number; lower {field} "
            f"({learning_rate:g}) and give another --out."
        )
