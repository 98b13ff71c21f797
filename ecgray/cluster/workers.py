"""The workers of a training job: Ray Train starts them and outlives their crashes; what they tell each other.

A loop keeps its own checkpoints (docs/decisions/0007) under OUT/train/checkpoints. A worker that dies costs the steps
since the newest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.exceptions import RayError, RayTaskError
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer
from torch import distributed

from ecgray.errors import EcgrayError, TrainingError
from ecgray.training.checkpoints import Checkpoint, newest_checkpoint, read_checkpoint

CHECKPOINTS = Path("train") / "checkpoints"
MAX_FAILURES = 8
"""Crashes of a worker after which a run gives up."""
COLLECTIVE_TIMEOUT_S = 600
"""A worker that waits for the others longer than this counts as crashed."""


@dataclass(frozen=True)
class Workers:
    """How many processes train, and what each of them gets."""

    number: int
    """0: the calling process itself, for tests."""
    cpus: float
    gpu: bool


def run_workers(
    loop: Callable[[dict[str, Any]], dict[str, Any]],
    plan: object,
    *,
    workers: Workers,
    out: Path,
    name: str,
    callbacks: Sequence[UserCallback] = (),
) -> dict[str, Any]:
    """Run `loop({"plan": plan})` on every worker until all are through; returns what rank 0's returns.

    `name` tells this run from others of the same OUT. Raises `TrainingError` where workers died too often.
    """
    resources = {"CPU": workers.cpus} | ({"GPU": 1.0} if workers.gpu else {})
    trainer = TorchTrainer(  # mypy sees the classes of Ray Train V1 under these names
        loop,  # type: ignore[arg-type]
        train_loop_config={"plan": plan},
        torch_config=TorchConfig(timeout_s=COLLECTIVE_TIMEOUT_S),
        scaling_config=ScalingConfig(
            num_workers=workers.number, use_gpu=workers.gpu, resources_per_worker=resources if workers.number else None
        ),
        run_config=RunConfig(  # type: ignore[call-arg]
            name=name,
            storage_path=str(out / "train"),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            logging_config=LoggingConfig(log_level="WARNING"),
            callbacks=list(callbacks),  # type: ignore[arg-type]
        ),
    )
    try:
        outcome: dict[str, Any] = trainer.fit().return_value  # type: ignore[attr-defined]
    except SystemExit:  # so Ray Train answers Ctrl-C
        raise KeyboardInterrupt from None
    except TrainingFailedError as error:
        reason = " ".join(str(error).split())[-300:]
        raise TrainingError(
            f"training failed {MAX_FAILURES + 1} times; the last time: {reason}. Put it right and run the same command "
            "again: it goes on from the newest checkpoint."
        ) from error
    return outcome


def run_once(function: Callable[..., dict[str, Any]], *args: object, cpus: float, gpus: int) -> dict[str, Any]:
    """What `function` returns, run once where the cluster has so many CPUs and GPUs free: the driver may have none.

    An error of ours is raised as it was; raises `TrainingError` where the process ended.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(function)
    try:
        found: dict[str, Any] = ray.get(task.remote(*args))
    except RayTaskError as error:
        if isinstance(error.cause, EcgrayError):
            raise error.cause from None
        raise
    except RayError as error:
        raise TrainingError(
            f"the process that was to run {function.__name__} ended ({type(error).__name__}); see to its memory, and "
            "run the same command again: what was trained is kept."
        ) from None
    return found


class Ranks:
    """A worker among the others, and its device."""

    def __init__(self, *, gpu: bool, cpus: float) -> None:
        """Called in a worker; `cpus` are its threads."""
        torch.set_num_threads(max(1, int(cpus)))
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device() if gpu else torch.device("cpu")

    def wrap(self, module: torch.nn.Module, *, unused: bool = False) -> Any:
        """The module with gradients averaged over the ranks; `unused`: some of its weights may get none."""
        if self.world == 1:
            return module
        return ray.train.torch.prepare_model(
            module, move_to_device=self.device, parallel_strategy_kwargs={"find_unused_parameters": unused}
        )

    def sum(self, value: float) -> float:
        """The sum over all ranks."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.item()

    def from_first(self, value: float) -> float:
        """Rank 0's value on every rank: what steers the run must not differ in the last bit."""
        if self.world == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, src=0)
        return told.item()

    def newest(self, folder: Path) -> Checkpoint | None:
        """The newest whole checkpoint of a folder; rank 0 says which, so that all take the same."""
        found = newest_checkpoint(folder) if self.rank == 0 else None
        step = int(self.from_first(found.step if found else -1))
        if step < 0:
            return None
        return found or read_checkpoint(folder, step)
