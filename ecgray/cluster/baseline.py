"""Training of a baseline on Ray Train, on what SE-Diff is trained on, and what it draws for other patients."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Int64
from tqdm import tqdm

from ecgray.baselines.card import baseline_card
from ecgray.baselines.model import Baseline
from ecgray.baselines.signals import to_beats, to_strips, whole_beats
from ecgray.baselines.step import baseline_step
from ecgray.cluster.diffusion_score import picture_of, rate_figures
from ecgray.cluster.generator_job import EXAMPLES, GeneratorPlan, Learner, Trained, mean_losses, train_generator
from ecgray.errors import ConfigError
from ecgray.models.baseline import BaselineGenerator
from ecgray.parquet import table_folder
from ecgray.recipes.train_baseline import TrainBaselineConfig
from ecgray.sediff.beats import PeakTable
from ecgray.sediff.conditions import read_conditions
from ecgray.sediff.examples import Examples, make_examples
from ecgray.sediff.vae import parameter_count
from ecgray.tables import COUNTS_PER_MV
from ecgray.text.encoders import TextEncoder
from ecgray.training.shards import ordered_batches, select

if TYPE_CHECKING:
    from ecgray.sediff.diffusion import DiffusionBatch

    BaselinePlan = GeneratorPlan[TrainBaselineConfig]

_SCALED = 4096
"""Training signals that the scale is taken from, at the most."""


def train_baseline(config: TrainBaselineConfig) -> dict[str, Any]:
    """Train, export OUT/model, draw ECGs for held-out conditions; returns the figures."""
    return train_generator(
        config,
        config.settled(),
        purpose="baseline",
        rules=config.model.condition,
        gather=_gather,
        loop=baseline_loop,
        export=export,
    )


def _gather(plan: BaselinePlan, encoder: TextEncoder) -> Examples:
    """Strips or beats, and what is said of each record."""
    config = plan.config
    selection = select(table_folder(config.records, "records"), None, split="train")
    told = read_conditions(plan.sources, splits=("train",), wordings=config.wordings)
    place = pc.index_in(told.record_ids, value_set=selection.record_ids).to_numpy(zero_copy_only=False).astype(np.int64)
    kept = told.told()
    if not len(kept):
        raise ConfigError(
            f"none of {len(told)} training records has a text; give --labels where the archive has no reports."
        )
    peaks = _chosen_peaks(config, told.record_ids.take(pa.array(kept)))
    rows = np.repeat(kept, [len(each) for each in peaks]) if peaks is not None else kept
    if not len(rows):
        raise ConfigError(f"none of {len(kept)} training records has a whole beat; see the measure job's figures.")
    part = plan.out / EXAMPLES.with_name(".signals.npy")
    part.parent.mkdir(parents=True, exist_ok=True)
    signals = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(rows), *config.model.shape))
    part.unlink()  # its space is free when nobody maps it any more, however this ends
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))  # more of them only wait for each other
    at = done = 0
    with tqdm(total=len(kept), unit="record", desc="signals") as bar:
        for counts in ordered_batches(selection, place[kept], batch_size=64, rank=0, world=1, kind=np.float32):
            ecg = torch.from_numpy(counts / np.float32(COUNTS_PER_MV))
            made = to_strips(ecg) if peaks is None else to_beats(ecg, peaks[done : done + len(ecg)])
            signals[at : at + len(made)] = made
            at, done = at + len(made), done + len(ecg)
            bar.update(len(ecg))
    return make_examples(told.take(rows), signals, encoder, config.model.condition)


def _chosen_peaks(config: TrainBaselineConfig, record_ids: pa.Array) -> list[Int64[np.ndarray, " _"]] | None:
    """The R peaks of the beats that are learnt from; None where strips are."""
    if config.kind != "beatdiff" or config.intervals is None:
        return None
    table = PeakTable.read(table_folder(config.intervals, "intervals"))
    table.check(record_ids)
    return [whole_beats(each, most=config.beats_per_record) for each in table.of(record_ids)]


def baseline_loop(settings: dict[str, BaselinePlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Learner[TrainBaselineConfig]):
    """One worker's state between two steps."""

    def __init__(self, plan: BaselinePlan) -> None:
        super().__init__(plan)
        baseline = Baseline(self.config.model)
        baseline.set_scale(float(np.std(self.examples.latents[:_SCALED])))
        self.take_up(baseline, self.config.optimizer, unused=self.config.kind == "wgan")

    def descend(self, batch: DiffusionBatch, factor: float) -> dict[str, float]:
        """One step on strips or beats."""
        return baseline_step(
            self.wrapped,
            batch.latent,
            batch.condition,
            config=self.config.model,
            step=self.step,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=self.config.optimizer.clip_norm,
            generator=self.noise(),
            ema=self.ema,
            loss_scale=factor,
        )


def export(plan: BaselinePlan) -> dict[str, Any]:
    """Write the model folder, draw ECGs for held-out conditions and score them; returns the run's figures."""
    config, left = plan.config, Trained(plan, unit="signals")
    baseline = Baseline(config.model)
    baseline.load_state_dict(left.weights)
    generator = BaselineGenerator(baseline.to(left.device), left.encoder)
    prompts = [left.told.prompt(row) for row in range(len(left.told))]
    ecg = generator.draw(prompts, seed=config.seed, batch_size=64)
    scores, rates = rate_figures(ecg, left.told)
    said = f"{len(left.examples):,} signals of training patients; scored on {len(prompts):,} conditions of others."
    figures = left.keep(
        {"conditions": len(prompts), "figures": scores},
        picture_of(prompts[0], ecg[0], rates[0]),
        losses=losses_of(config, left.journal),
        parameters=f"{parameter_count(baseline):,}",
        sampling=config.model.sampling,
        card=functools.partial(baseline_card, config.model, records=said),
        save=generator.save,
    )
    return figures | {"kind": config.kind}


def losses_of(config: TrainBaselineConfig, rows: list[dict[str, Any]]) -> dict[str, float]:
    """The mean loss of these steps; of a GAN, whose networks learn in turns, each network's."""
    if config.kind != "wgan":
        return mean_losses(rows, "loss")
    turns = config.model.wgan.critic_steps + 1
    whose = {"critic_loss": [row for row in rows if row["step"] % turns]}
    whose["generator_loss"] = [row for row in rows if not row["step"] % turns]
    return {name: mean_losses(each, "loss")["loss"] for name, each in whose.items() if each}
