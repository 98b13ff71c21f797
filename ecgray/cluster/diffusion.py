"""Training of SE-Diff's latent diffusion on Ray Train, and what it draws for patients that it never saw."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.diffusion_score import score_generator
from ecgray.cluster.driver import drive
from ecgray.cluster.stepping import Averaged, trained_weights
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers, run_once
from ecgray.errors import ConfigError
from ecgray.models.generator import Generator
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.sediff.conditions import Conditions, Sources, Wordings, read_conditions
from ecgray.sediff.diffusion import Diffusion, DiffusionBatch
from ecgray.sediff.diffusion_step import diffusion_step
from ecgray.sediff.examples import Examples, make_examples
from ecgray.sediff.folder import load_vae
from ecgray.sediff.generator_card import generator_card
from ecgray.sediff.simulator_loss import BeatSimulator
from ecgray.sediff.vae import Vae, parameter_count
from ecgray.settings import to_json
from ecgray.tables import LATENTS, parquet_files, read_columns, table_folder
from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal
from ecgray.training.order import Order
from ecgray.training.patients import refuse_shared_patients
from ecgray.waveform.fitting import Fit
from ecgray.waveform.morphologies import fitted

if TYPE_CHECKING:
    from ecgray.recipes.train_diffusion import TrainDiffusionConfig

EXAMPLES = Path("train") / "examples"
_TOGETHER = 64
"""Records that are drawn from next to each other in the order of training, as in a row group."""


@dataclass(frozen=True)
class DiffusionPlan:
    """What the driver settled before the workers start; paths are absolute."""

    config: TrainDiffusionConfig
    out: Path

    @property
    def sources(self) -> Sources:
        """The tables."""
        config = self.config
        return Sources(config.records, config.labels, config.intervals, config.experience)

    def fit(self) -> Fit:
        """The simulator's morphologies."""
        if self.config.eta is None:
            return fitted()
        return Fit.from_json(json.loads(self.config.eta.read_text()))

    def vae(self) -> Vae:
        """The frozen autoencoder."""
        return load_vae(self.config.vae).vae.requires_grad_(False)


def train_diffusion(config: TrainDiffusionConfig) -> dict[str, Any]:
    """Train, export OUT/model, draw ECGs for held-out conditions; returns the figures.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    settled = config.settled()
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    refuse_unfit(config, encoder)
    refuse_shared_patients(table_folder(config.records, "records"))
    named = {
        name: getattr(config, name)
        for name in ("records", "latents", "vae", "labels", "intervals", "experience", "eta", "start")
        if getattr(config, name) is not None
    }
    absolute = {name: path.absolute() for name, path in (named | {"out": config.out}).items()}
    plan = DiffusionPlan(_replace(settled, absolute), absolute["out"])
    with output_folder(config.out, config, inputs=named) as folder:
        if folder.done is not None:
            return folder.done
        if not (plan.out / EXAMPLES).is_dir():
            _gather(plan, encoder)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            drive(
                diffusion_loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name="train_diffusion",
                purpose="diffusion",
                learning_rate=("--optimizer.learning-rate", config.optimizer.learning_rate),
            )
            figures = run_once(export, plan, cpus=size.cpus, gpus=int(size.gpu))
            if not figures["gate"]:
                tqdm.write(f"train_diffusion: {figures['gate_says']}; train longer", file=sys.stderr)
            return folder.finish(figures)


def _replace(config: TrainDiffusionConfig, paths: dict[str, Path]) -> TrainDiffusionConfig:
    return dataclasses.replace(config, **paths)  # type: ignore[arg-type]


def refuse_unfit(config: TrainDiffusionConfig, encoder: TextEncoder) -> None:
    """Raise `ConfigError` where autoencoder, latents, text encoder and start do not go together."""
    width = config.model.condition.text_width
    if encoder.width != width:
        raise ConfigError(
            f"text encoder {encoder.name!r} gives {encoder.width} numbers a text and the denoiser reads {width}; set "
            f"--model.condition.text-width {encoder.width}."
        )
    mine = load_vae(config.vae).fingerprint
    figures = table_folder(config.latents, "latents").parent / "figures.json"
    if figures.exists() and (theirs := json.loads(figures.read_text()).get("vae")) not in (None, mine):
        raise ConfigError(
            f"{config.latents} was encoded with autoencoder {theirs}, and {config.vae} is {mine}; encode the records "
            "again, or give the autoencoder that they were encoded with."
        )
    if config.start is not None:
        start = Generator.load(config.start)
        if start.diffusion.config.denoiser != config.settled().model.denoiser:
            raise ConfigError(f"{config.start} has another denoiser than --model; a start must have the same sizes.")


def _gather(plan: DiffusionPlan, encoder: TextEncoder) -> None:
    """Write the training examples, whole or not at all."""
    config = plan.config
    told = read_conditions(plan.sources, splits=("train",), wordings=config.wordings, classes=plan.fit().classes)
    latents = _latents(config.latents)
    place = pc.index_in(told.record_ids, value_set=latents["record_id"].combine_chunks())
    kept = told.told()
    kept = kept[place.is_valid().to_numpy(zero_copy_only=False)[kept]]
    if not len(kept):
        raise ConfigError(
            f"none of {len(told)} training records has both a latent and a text; encode the same records, and give "
            "labels where the archive has no reports."
        )
    rows = told.take(kept)
    values = latents["latent"].combine_chunks().take(place.take(pa.array(kept)))
    flat = np.frombuffer(values.buffers()[1], "<f4", len(values) * 512, values.offset * 2048).reshape(-1, 4, 128)
    write_examples(plan.out, make_examples(rows, flat, encoder, config.model.condition))


def write_examples(out: Path, examples: Examples) -> None:
    """Write OUT/train/examples, whole or not at all."""
    part = out / EXAMPLES.with_name(".examples")
    shutil.rmtree(part, ignore_errors=True)
    examples.save(part)
    part.rename(out / EXAMPLES)


def _latents(source: Path) -> pa.Table:
    fields = [LATENTS.field("record_id"), LATENTS.field("latent")]
    return pa.concat_tables(read_columns(file, fields) for file in parquet_files(table_folder(source, "latents")))


def diffusion_loop(settings: dict[str, DiffusionPlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Averaged):
    """One worker's state between two steps."""

    def __init__(self, plan: DiffusionPlan) -> None:
        self.config = config = plan.config
        ranks = Ranks(gpu=config.gpu, cpus=config.cpus_per_worker)
        super().__init__(ranks, out=plan.out, steps=config.steps, checkpoint_every=config.checkpoint_every)
        torch.manual_seed(config.seed)
        self.vae = plan.vae().to(ranks.device)
        self.simulator = BeatSimulator(plan.fit(), phases=config.model.simulator.phases).to(ranks.device)
        diffusion = Diffusion(config.model, latent_channels=self.vae.config.latent_channels)
        if config.start is not None:
            diffusion.load_state_dict(Generator.load(config.start).diffusion.state_dict())
        self.take_up(diffusion, config.optimizer)
        self.path = diffusion.schedule
        self.examples = Examples.load(plan.out / EXAMPLES)
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
        row = diffusion_step(
            self.wrapped,
            DiffusionBatch(
                batch.latent.to(ranks.device),
                batch.condition.to(ranks.device),
                batch.cls.to(ranks.device),
                batch.heart_rate_bpm.to(ranks.device),
            ),
            config=config.model,
            noise_schedule=self.path,
            vae=self.vae,
            simulator=self.simulator,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=config.optimizer.clip_norm,
            generator=self.noise(config.seed),
            ema=self.ema,
            loss_scale=factor,
            bf16=config.bf16,
        )
        row["loss"] = ranks.sum(row["loss"] * factor) / ranks.world
        row["judged"] = ranks.sum(row["judged"])
        records = self.order.batch_records(self.step)
        return row | {"records_per_s": records / (time.perf_counter() - start)}


def export(plan: DiffusionPlan) -> dict[str, Any]:
    """Write the model folder, draw ECGs for held-out conditions and score them; returns the run's figures."""
    last, config = newest_checkpoint(plan.out / CHECKPOINTS), plan.config
    assert last is not None
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))
    vae = plan.vae()
    diffusion = Diffusion(config.model, latent_channels=vae.config.latent_channels)
    diffusion.load_state_dict(trained_weights(last, config.optimizer))
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    generator = Generator(vae, diffusion, encoder)
    for network in (vae, diffusion):
        network.to("cuda" if config.gpu else "cpu")
    examples = Examples.load(plan.out / EXAMPLES)
    results, picture = score_generator(
        generator,
        held_out_conditions(plan.sources, wordings=config.wordings, most=config.score_records, seed=config.seed),
        examples.latents,
        sampling=config.sampling,
        seed=config.seed,
        bf16=config.bf16 and config.gpu,
    )
    write_json(plan.out / "results.json", results)
    write_bytes(plan.out / "generated.svg", picture.encode())
    final = list(itertools.islice(reversed(read_journal(plan.out)), 200))
    losses = {name: sum(row[name] for row in final) / len(final) for name in ("loss", "ddpm", "euler", "inter_lead")}
    figures = {"steps": last.step, "records": len(examples)} | losses | results["figures"]
    inputs = {"records", "latents", "vae", "labels", "intervals", "experience", "eta", "start", "out"}
    settings = {name: value for name, value in to_json(config).items() if name not in inputs}
    training = {
        "steps": last.step,
        "records a step": config.batch_size,
        "parameters": f"{parameter_count(diffusion):,} in the denoiser, {parameter_count(vae):,} in the autoencoder",
        "seed": config.seed,
    }
    said = (
        f"{len(examples):,} training ECGs, split by patient; scored on {results['conditions']:,} conditions of others."
    )
    generator.save(
        plan.out / "model",
        card=generator_card(config.model, config.sampling, records=said, training=training, figures=results["figures"]),
        details={
            "figures": figures,
            "settings": settings,
            "trained_on": input_hash(config.records),
            "sampling": to_json(config.sampling),
        },
        half=config.half,
    )
    return figures | {"preset": config.model.preset_name, "model": str(plan.out / "model")}


def held_out_conditions(sources: Sources, *, wordings: Wordings, most: int, seed: int) -> Conditions:
    """Conditions of patients in val and test, drawn once."""
    told = read_conditions(sources, splits=("val", "test"), wordings=wordings)
    rows = told.told()
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    return told.take(rows[drawn])
