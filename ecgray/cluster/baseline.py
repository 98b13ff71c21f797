"""Training of a baseline on Ray Train, on what SE-Diff is trained on, and what it draws for other patients."""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
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
from ecgray.cluster.connect import connected
from ecgray.cluster.diffusion import EXAMPLES, held_out_conditions, write_examples
from ecgray.cluster.diffusion_score import picture_of, rate_figures
from ecgray.cluster.driver import drive
from ecgray.cluster.stepping import Averaged, trained_weights
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers, run_once
from ecgray.errors import ConfigError
from ecgray.models.baseline import BaselineGenerator
from ecgray.models.loading import check_width
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.sediff.beats import PeakTable
from ecgray.sediff.conditions import Sources, read_conditions
from ecgray.sediff.examples import Examples, make_examples
from ecgray.sediff.vae import parameter_count
from ecgray.settings import to_json
from ecgray.tables import COUNTS_PER_MV, table_folder
from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal
from ecgray.training.order import Order
from ecgray.training.patients import refuse_shared_patients
from ecgray.training.shards import ordered_batches, select

if TYPE_CHECKING:
    from ecgray.recipes.train_baseline import TrainBaselineConfig

_TOGETHER = 64
"""Records that are drawn from next to each other in the order of training, as in a row group."""
_SCALED = 4096
"""Training signals that the scale is taken from, at the most."""


@dataclass(frozen=True)
class BaselinePlan:
    """What the driver settled before the workers start; paths are absolute."""

    config: TrainBaselineConfig
    out: Path

    @property
    def sources(self) -> Sources:
        """The tables."""
        return Sources(self.config.records, self.config.labels, self.config.intervals)


def train_baseline(config: TrainBaselineConfig) -> dict[str, Any]:
    """Train, export OUT/model, draw ECGs for held-out conditions; returns the figures.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    check_width(encoder, config.model.condition)
    refuse_shared_patients(table_folder(config.records, "records"))
    named = {
        name: getattr(config, name) for name in ("records", "labels", "intervals") if getattr(config, name) is not None
    }
    absolute: dict[str, Any] = {name: path.absolute() for name, path in named.items()}
    plan = BaselinePlan(dataclasses.replace(config.settled(), **absolute), config.out.absolute())
    with output_folder(config.out, config, inputs=named) as folder:
        if folder.done is not None:
            return folder.done
        if not (plan.out / EXAMPLES).is_dir():
            _gather(plan, encoder)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            drive(
                baseline_loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name="train_baseline",
                purpose="baseline",
                learning_rate=("--optimizer.learning-rate", config.optimizer.learning_rate),
            )
            return folder.finish(run_once(export, plan, cpus=size.cpus, gpus=int(size.gpu)))


def _gather(plan: BaselinePlan, encoder: TextEncoder) -> None:
    """Write the training examples: strips or beats, and what is said of each record."""
    config = plan.config
    selection = select(table_folder(config.records, "records"), None, split="train")
    told = read_conditions(plan.sources, splits=("train",), wordings=config.wordings)
    place = pc.index_in(told.record_ids, value_set=selection.record_ids).to_numpy(zero_copy_only=False).astype(np.int64)
    kept = told.told()
    if not len(kept):
        raise ConfigError(
            f"none of {len(told)} training records has a text; give --labels where the archive has no reports."
        )
    peaks = _chosen_peaks(plan, told.record_ids.take(pa.array(kept)))
    rows = np.repeat(kept, [len(each) for each in peaks]) if peaks is not None else kept
    if not len(rows):
        raise ConfigError(f"none of {len(kept)} training records has a whole beat; see the measure job's figures.")
    part = plan.out / EXAMPLES.with_name(".signals.npy")
    part.parent.mkdir(parents=True, exist_ok=True)
    signals = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(rows), *config.model.shape))
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))  # more of them only wait for each other
    at = done = 0
    with tqdm(total=len(kept), unit="record", desc="signals") as bar:
        for counts in ordered_batches(selection, place[kept], batch_size=64, rank=0, world=1, kind=np.float32):
            ecg = torch.from_numpy(counts / np.float32(COUNTS_PER_MV))
            made = to_strips(ecg) if peaks is None else to_beats(ecg, peaks[done : done + len(ecg)])
            signals[at : at + len(made)] = made
            at, done = at + len(made), done + len(ecg)
            bar.update(len(ecg))
    write_examples(plan.out, make_examples(told.take(rows), signals, encoder, config.model.condition))
    part.unlink()


def _chosen_peaks(plan: BaselinePlan, record_ids: pa.Array) -> list[Int64[np.ndarray, " _"]] | None:
    """The R peaks of the beats that are learnt from; None where strips are."""
    config = plan.config
    if config.kind != "beatdiff" or config.intervals is None:
        return None
    table = PeakTable.read(table_folder(config.intervals, "intervals"))
    table.check(record_ids)
    return [whole_beats(each, most=config.beats_per_record) for each in table.of(record_ids)]


def baseline_loop(settings: dict[str, BaselinePlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Averaged):
    """One worker's state between two steps."""

    def __init__(self, plan: BaselinePlan) -> None:
        self.config = config = plan.config
        ranks = Ranks(gpu=config.gpu, cpus=config.cpus_per_worker)
        super().__init__(ranks, out=plan.out, steps=config.steps, checkpoint_every=config.checkpoint_every)
        torch.manual_seed(config.seed)
        self.examples = Examples.load(plan.out / EXAMPLES)
        baseline = Baseline(config.model)
        baseline.set_scale(float(np.std(self.examples.latents[:_SCALED])))
        self.take_up(baseline, config.optimizer, unused=config.kind == "wgan")
        self.order = Order(
            np.arange(len(self.examples)) // _TOGETHER,
            batch_size=config.batch_size,
            seed=config.seed,
            window_groups=10**9,
        )

    def learn(self) -> dict[str, float]:
        """One step on this worker's share of the records."""
        start, config, ranks = time.perf_counter(), self.config, self.ranks
        rows, factor = self.order.share(self.step, rank=ranks.rank, world=ranks.world)
        batch = self.examples.batch(rows, np.random.default_rng([config.seed, self.step, ranks.rank]))
        row = baseline_step(
            self.wrapped,
            batch.latent.to(ranks.device),
            batch.condition.to(ranks.device),
            config=config.model,
            step=self.step,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=config.optimizer.clip_norm,
            generator=self.noise(config.seed),
            ema=self.ema,
            loss_scale=factor,
        )
        row["loss"] = ranks.sum(row["loss"] * factor) / ranks.world
        return row | {"records_per_s": self.order.batch_records(self.step) / (time.perf_counter() - start)}


def export(plan: BaselinePlan) -> dict[str, Any]:
    """Write the model folder, draw ECGs for held-out conditions and score them; returns the run's figures."""
    last, config = newest_checkpoint(plan.out / CHECKPOINTS), plan.config
    assert last is not None
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))
    baseline = Baseline(config.model)
    baseline.load_state_dict(trained_weights(last, config.optimizer))
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    generator = BaselineGenerator(baseline.to("cuda" if config.gpu else "cpu"), encoder)
    told = held_out_conditions(plan.sources, wordings=config.wordings, most=config.score_records, seed=config.seed)
    prompts = [told.prompt(row) for row in range(len(told))]
    ecg = generator.draw(prompts, seed=config.seed, batch_size=64)
    scores, rates = rate_figures(ecg, told)
    write_json(plan.out / "results.json", {"conditions": len(told), "figures": scores})
    write_bytes(plan.out / "generated.svg", picture_of(prompts[0], ecg[0], rates[0]).encode())
    final = list(itertools.islice(reversed(read_journal(plan.out)), 200))
    signals = len(Examples.load(plan.out / EXAMPLES))
    figures = {"steps": last.step, "signals": signals, "loss": sum(row["loss"] for row in final) / len(final)} | scores
    settings = {
        name: value for name, value in to_json(config).items() if name not in {"records", "labels", "intervals", "out"}
    }
    generator.save(
        plan.out / "model",
        card=baseline_card(
            config.model,
            records=f"{signals:,} signals of training patients; scored on {len(told):,} conditions of others.",
            training={
                "steps": last.step,
                "signals a step": config.batch_size,
                "parameters": f"{parameter_count(baseline):,}",
                "seed": config.seed,
            },
            figures=scores,
        ),
        details={
            "figures": figures,
            "settings": settings,
            "trained_on": input_hash(config.records),
            "sampling": to_json(config.model.sampling),
        },
    )
    return figures | {"kind": config.kind, "model": str(plan.out / "model")}
