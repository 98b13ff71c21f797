"""What every training worker runs: SuPreME's step on its share of each batch, looks at held-out patients, checkpoints.

Nothing here depends on where a run was interrupted. The order of records is a function of seed and step, every step
draws its dropout from seed, step and rank, and a checkpoint holds the rest. On a CPU a run that was resumed ends with
the same weights to the bit, for the same number of workers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray.train
import torch
from torch import distributed

from ecgray.cluster.workers import CHECKPOINTS, Ranks
from ecgray.metrics.auroc import score_classes
from ecgray.supreme.loss import bce_loss, positive_weights
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import preprocess
from ecgray.supreme.step import Batch, make_optimizer, make_schedule, train_step
from ecgray.supreme.stopping import EarlyStopping
from ecgray.training.checkpoints import (
    Checkpoint,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)
from ecgray.training.journal import Journal
from ecgray.training.order import Order
from ecgray.training.shards import Kind, Selection, Share, ordered_batches, select, training_shares

if TYPE_CHECKING:
    from collections.abc import Generator

    from jaxtyping import Float, Float32, Int64, Real
    from torch import Tensor

    from ecgray.recipes.pretrain import PretrainConfig

LOOK_BATCH = 64
"""Held-out records that a worker computes at a time."""


@dataclass(frozen=True)
class Plan:
    """What the driver settled before the workers start. Paths are absolute: workers run in folders of their own."""

    config: PretrainConfig
    records: Path
    labels: Path
    out: Path
    terms: tuple[str, ...]
    queries: Float32[np.ndarray, "term text"]
    """The terms as the frozen text encoder gives them."""
    steps: int
    """Steps at the most."""
    steps_per_epoch: int

    def open_split(self, split: str) -> Selection:
        """The records of a split that this run may see."""
        unseen = self.config.unseen_terms
        return select(self.records, self.labels, split=split, terms=self.terms, unseen_terms=unseen)


def train_loop(settings: dict[str, Plan]) -> dict[str, Any]:
    """Train until the budget or patience runs out; what rank 0 returns reaches the driver."""
    plan = settings["plan"]
    if plan.config.gpu:
        torch.set_float32_matmul_precision("high")  # what autocast leaves in float32 may use TF32
    return _Run(plan).train()


class _Run:
    """One worker's state between two steps."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.config = plan, plan.config
        self.ranks = Ranks(gpu=self.config.gpu, cpus=self.config.cpus_per_worker)
        self.rank, self.world, self.device = self.ranks.rank, self.ranks.world, self.ranks.device
        self.kind: Kind = np.int16 if self.config.gpu else np.float32
        self.selection = plan.open_split("train")
        self.val = plan.open_split("val")
        self.val_records = drawn_records(len(self.val), self.config.val_records, self.config.seed)
        self.queries = torch.from_numpy(plan.queries).to(self.device)
        self.pos_weight = self._pos_weight()

        torch.manual_seed(self.config.seed)
        self.model = Supreme(self.config.model).to(self.device)
        self.optimizer = make_optimizer(self.model, self.config.optimizer)
        self.schedule = make_schedule(self.optimizer, self.config.optimizer)
        self.stopping = EarlyStopping(patience=self.config.patience)
        self.best: dict[str, Tensor] = {}
        self.step = 0
        self.seconds = 0.0
        self.seen = 0
        self._restore()
        self.wrapped = self._wrap()

    def train(self) -> dict[str, Any]:
        """All steps that are left."""
        with contextlib.ExitStack() as stack:
            journal = stack.enter_context(Journal(self.plan.out, after=self.step)) if self.rank == 0 else None
            shares = stack.enter_context(contextlib.closing(self._shares()))
            self.clock = time.perf_counter()
            for share in shares:
                row = self._learn(share)
                if self.step == self.plan.steps or self.step % self._evaluate_every == 0:
                    row |= self._look()
                if not all(math.isfinite(value) for value in row.values()):  # the same on every rank
                    return {"diverged": {name: f"{value:.4g}" for name, value in row.items()}}
                if journal is not None:
                    journal.write(row)
                if self._last or self.step % self.config.checkpoint_every == 0:
                    self._save()
                if "val_macro_auc" in row:
                    ray.train.report(
                        {"step": self.step, "look": self.stopping.looks, "best_val_macro_auc": self.stopping.best}
                    )
                if self._last:
                    break
                self.clock = time.perf_counter()
        return {"steps": self.step}

    @property
    def _last(self) -> bool:
        return self.step >= self.plan.steps or self.stopping.stop

    @property
    def _evaluate_every(self) -> int:
        return self.config.evaluate_every or self.plan.steps_per_epoch

    def _shares(self) -> Generator[Share]:
        order = Order(
            self.selection.group,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            window_groups=self.config.window_groups,
        )
        steps = range(self.step, self.step if self._last else self.plan.steps)
        memory_bytes = self.config.memory_mb * 1e6
        return training_shares(
            self.selection,
            order,
            steps=steps,
            rank=self.rank,
            world=self.world,
            memory_bytes=memory_bytes,
            kind=self.kind,
        )

    def _learn(self, share: Share) -> dict[str, float]:
        """One step: this worker's share of the batch, the average of all gradients."""
        _seed(self.config.seed, share.step, self.rank)
        figures = train_step(
            self.wrapped,
            Batch(self._scaled(share.ecg), self.queries, torch.from_numpy(share.target).to(self.device)),
            optimizer=self.optimizer,
            schedule=self.schedule,
            loss=self.config.loss,
            clip_norm=self.config.optimizer.clip_norm,
            pos_weight=self.pos_weight,
            loss_scale=share.factor,
            bf16=self.config.bf16,
        )
        figures["loss"] = self.ranks.sum(figures["loss"] * share.factor) / self.world
        took = time.perf_counter() - self.clock
        self.step = share.step + 1
        self.seconds += took
        self.seen += share.records
        return {
            "step": self.step,
            "epoch": share.step // self.plan.steps_per_epoch,
            **figures,
            "records_per_s": share.records / took,
        }

    def _look(self) -> dict[str, float]:
        """How the model does on held-out patients: every rank computes a part, all see the same figures."""
        targets = torch.from_numpy(self.val.targets(self.val_records))
        batches = ordered_batches(self.val, self.val_records, batch_size=LOOK_BATCH, rank=self.rank, world=self.world)
        self.model.eval()
        with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
            parts = [self.model(self._scaled(ecg), self.queries).float() for ecg in batches]
        self.model.train()
        logits = self._gather(parts, len(targets))
        auc = self.ranks.from_first(_macro_auc(targets, logits))
        self.stopping = self.stopping.look(auc)
        if self.stopping.improved and self.rank == 0:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        return {"val_loss": bce_loss(logits, targets).item(), "val_macro_auc": auc}

    def _scaled(self, ecg: Real[np.ndarray, "batch lead=12 time"]) -> Float[Tensor, "batch lead=12 time"]:
        return preprocess(torch.from_numpy(ecg).to(self.device), self.config.preprocess)

    def _wrap(self) -> Any:
        # A query that only attends to itself leaves that layer's query and key weights without a gradient.
        unused = self.config.model.fusion.query_self_attention != "full"
        wrapped = self.ranks.wrap(self.model, unused=unused)
        return torch.compile(wrapped) if self.config.compile else wrapped

    def _pos_weight(self) -> Float[Tensor, " term"] | None:
        positives = np.bincount(self.selection.term_index, minlength=len(self.plan.terms))
        weight = positive_weights(torch.from_numpy(positives).float(), len(self.selection), self.config.loss)
        return None if weight is None else weight.to(self.device)

    def _save(self) -> None:
        if self.rank != 0:
            return
        optimizer, groups = pack_optimizer(self.optimizer)
        stopping = dataclasses.asdict(self.stopping)
        if not math.isfinite(stopping["best"]):
            stopping["best"] = None  # JSON has no infinity
        state = {
            "optimizer_groups": groups,
            "schedule": self.schedule.state_dict(),
            "stopping": stopping,
            "seconds": self.seconds,
            "seen": self.seen,
        }
        tensors = {"model": self.model.state_dict(), "best": self.best, "optimizer": optimizer}
        save_checkpoint(self.plan.out / CHECKPOINTS, Checkpoint(self.step, state, tensors))

    def _restore(self) -> None:
        """Take up the newest whole checkpoint."""
        found = self.ranks.newest(self.plan.out / CHECKPOINTS)
        if found is None:
            return
        state = found.state
        self.model.load_state_dict(found.tensors["model"])
        unpack_optimizer(self.optimizer, found.tensors["optimizer"], state["optimizer_groups"])
        self.schedule.load_state_dict(state["schedule"])
        best = -math.inf if state["stopping"]["best"] is None else state["stopping"]["best"]
        self.stopping = EarlyStopping(**(state["stopping"] | {"best": best}))
        self.best = found.tensors["best"]
        self.step, self.seconds, self.seen = found.step, state["seconds"], state["seen"]

    def _gather(self, parts: list[Float[Tensor, "batch term"]], total: int) -> Float[Tensor, "record term"]:
        """The rows of all ranks, one rank after another, on every rank."""
        mine = torch.cat([*parts, torch.zeros(0, len(self.plan.terms), device=self.device)])
        if self.world == 1:
            return mine.cpu()
        longest = -(-total // self.world)
        padded = torch.nn.functional.pad(mine, (0, 0, 0, longest - len(mine)))
        gathered = [torch.empty_like(padded) for _ in range(self.world)]
        distributed.all_gather(gathered, padded)
        sizes = [len(rows) for rows in np.array_split(np.arange(total), self.world)]
        return torch.cat([rows[:size] for rows, size in zip(gathered, sizes, strict=True)]).cpu()


def _macro_auc(targets: Float[Tensor, "record term"], logits: Float[Tensor, "record term"]) -> float:
    """Over the terms with a positive and a negative; NaN where an answer is not a number."""
    if not logits.isfinite().all():
        return math.nan
    truth, score = targets.numpy() > 0.5, logits.numpy()
    return score_classes(truth, score, patients=np.arange(len(truth)), resamples=0).macro


def drawn_records(total: int, limit: int, seed: int) -> Int64[np.ndarray, "record"]:
    """`limit` of `total` records, drawn once, in order; all where `limit` is 0."""
    if limit == 0 or limit >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, limit, replace=False))


def _seed(seed: int, step: int, rank: int) -> None:
    """Every step draws its dropout anew from seed, step and rank, so that no state has to be kept."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1))
