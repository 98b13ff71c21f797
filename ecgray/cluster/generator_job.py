"""A generator's training on Ray Train, SE-Diff's and the baselines': examples once, steps on them, a model folder."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.driver import drive
from ecgray.cluster.stepping import Averaged, trained_weights
from ecgray.cluster.workers import CHECKPOINTS, Workers, run_once
from ecgray.errors import ConfigError
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.parquet import table_folder
from ecgray.sediff.conditions import Conditions, Sources, read_conditions
from ecgray.sediff.diffusion import DiffusionBatch
from ecgray.sediff.examples import Examples
from ecgray.settings import to_json
from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal
from ecgray.training.order import Order
from ecgray.training.patients import refuse_shared_patients

if TYPE_CHECKING:
    from ecgray.recipes.train_generator import TrainGeneratorConfig
    from ecgray.sediff.diffusion_config import ConditionConfig
    from ecgray.sediff.sampling_config import SamplingConfig

Config = TypeVar("Config", bound="TrainGeneratorConfig")

EXAMPLES = Path("train") / "examples"
_TOGETHER = 64
"""Records that are drawn from next to each other in the order of training, as in a row group."""


@dataclass(frozen=True)
class GeneratorPlan(Generic[Config]):
    """What the driver settled before the workers start; paths are absolute."""

    config: Config
    out: Path

    @property
    def sources(self) -> Sources:
        """The tables."""
        given = self.config.inputs()
        return Sources(given["records"], *(given.get(name) for name in ("labels", "intervals", "experience")))

    def held_out(self) -> Conditions:
        """Conditions of patients in val and test; raises `ConfigError` where there are none."""
        told = read_conditions(self.sources, splits=("val", "test"), wordings=self.config.wordings)
        if not len(rows := told.told()):
            raise ConfigError(
                f"none of {len(told)} held-out records (split val or test) of {self.config.records} has a text, and a "
                "generator is scored on such; ingest more patients, or give --labels where there are no reports."
            )
        return told.take(rows)


def train_generator(
    config: Config,
    settled: Config,
    *,
    purpose: str,
    rules: ConditionConfig,
    gather: Callable[[GeneratorPlan[Config], TextEncoder], Examples],
    loop: Callable[[dict[str, Any]], dict[str, Any]],
    export: Callable[[GeneratorPlan[Config]], dict[str, Any]],
) -> dict[str, Any]:
    """Gather examples, train, export; returns the figures. `settled` is what `config` comes to, `purpose` the job's.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    named = config.inputs()
    absolute: dict[str, Any] = {name: path.absolute() for name, path in (named | {"out": config.out}).items()}
    plan = GeneratorPlan(dataclasses.replace(settled, **absolute), absolute["out"])
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    if encoder.width != rules.text_width:
        raise ConfigError(
            f"text encoder {encoder.name!r} gives {encoder.width} numbers a text and the network reads "
            f"{rules.text_width}; set --model.condition.text-width {encoder.width}."
        )
    refuse_shared_patients(table_folder(config.records, "records"))
    with output_folder(config.out, config, inputs=named) as folder:
        if folder.done is not None:
            return folder.done
        if not (plan.out / EXAMPLES).is_dir():
            plan.held_out()  # refuses now what would fail after the last step
            _write(plan.out / EXAMPLES, gather(plan, encoder))
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            drive(
                loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name=f"train_{purpose}",
                purpose=purpose,
                learning_rate=("--optimizer.learning-rate", config.optimizer.learning_rate),
            )
            figures = run_once(export, plan, cpus=size.cpus, gpus=int(size.gpu))
            if figures.get("gate_says"):
                tqdm.write(f"train_{purpose}: {figures['gate_says']}; train longer", file=sys.stderr)
            return folder.finish(figures)


def _write(folder: Path, examples: Examples) -> None:
    """Whole or not at all."""
    part = folder.with_name(".examples")
    shutil.rmtree(part, ignore_errors=True)
    examples.save(part)
    part.rename(folder)


class Learner(Averaged, Generic[Config]):
    """One worker's state between two steps on examples.

    Whoever inherits makes the model and calls `take_up`.
    """

    def __init__(self, plan: GeneratorPlan[Config]) -> None:
        self.config = config = plan.config
        super().__init__(config, out=plan.out)
        self.examples = Examples.load(plan.out / EXAMPLES)
        group = np.arange(len(self.examples)) // _TOGETHER
        self.order = Order(group, batch_size=config.batch_size, seed=config.seed, window_groups=10**9)

    @abstractmethod
    def descend(self, batch: DiffusionBatch, factor: float) -> dict[str, float]:
        """Learn from a batch whose loss counts `factor`; returns the journal's row, its `loss` without the factor."""

    def learn(self) -> dict[str, float]:
        """One step on this worker's share of the examples."""
        start, ranks = time.perf_counter(), self.ranks
        rows, factor = self.order.share(self.step, rank=ranks.rank, world=ranks.world)
        batch = self.examples.batch(rows, np.random.default_rng([self.seed, self.step, ranks.rank]))
        latent, condition = batch.latent.to(ranks.device), batch.condition.to(ranks.device)
        cls, rate = batch.cls.to(ranks.device), batch.heart_rate_bpm.to(ranks.device)
        row = self.descend(DiffusionBatch(latent, condition, cls, rate), factor)
        row["loss"] = ranks.sum(row["loss"] * factor) / ranks.world
        return row | {"records_per_s": self.order.batch_records(self.step) / (time.perf_counter() - start)}


class Trained:
    """What the last step left and what its generator is judged by, in the process that exports it."""

    def __init__(self, plan: GeneratorPlan[Any], *, unit: str) -> None:
        """`unit` is what the examples are called."""
        last, config = newest_checkpoint(plan.out / CHECKPOINTS), plan.config
        assert last is not None
        torch.set_num_threads(max(1, int(config.cpus_per_worker)))
        self.plan, self.unit, self.step = plan, unit, last.step
        self.weights = trained_weights(last, config.optimizer)
        self.device = "cuda" if config.gpu else "cpu"
        self.journal = read_journal(plan.out)[-200:]
        self.examples = Examples.load(plan.out / EXAMPLES)
        self.encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
        told = plan.held_out()
        chosen = np.random.default_rng(config.seed).permutation(len(told))[: config.score_records]
        self.told = told.take(np.sort(chosen))

    def keep(
        self,
        results: dict[str, Any],
        picture: str,
        *,
        losses: dict[str, float],
        parameters: str,
        sampling: SamplingConfig,
        card: Callable[..., str],
        save: Callable[..., None],
    ) -> dict[str, Any]:
        """Write OUT/results.json, OUT/generated.svg and OUT/model; returns the run's figures.

        `card` is given `training` and `figures`; `save` the folder, that card and what config.json says of the run.
        """
        out, config, scores = self.plan.out, self.plan.config, results["figures"]
        write_json(out / "results.json", results)
        write_bytes(out / "generated.svg", picture.encode())
        figures = {"steps": self.step, self.unit: len(self.examples)} | losses | scores
        training = {"steps": self.step, f"{self.unit} a step": config.batch_size, "parameters": parameters}
        training["seed"] = config.seed
        apart = {*config.INPUTS, "out"}
        details = {
            "figures": figures,
            "settings": {name: value for name, value in to_json(config).items() if name not in apart},
            "trained_on": input_hash(config.records),
            "sampling": to_json(sampling),
        }
        save(out / "model", card=card(training=training, figures=scores), details=details)
        return figures | {"model": str(out / "model")}


def mean_losses(rows: Sequence[dict[str, Any]], *names: str) -> dict[str, float]:
    """Means over rows of the journal."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in names}
