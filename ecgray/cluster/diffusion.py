"""Training of SE-Diff's latent diffusion on Ray Train, and what it draws for patients that it never saw."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecgray.cluster.diffusion_score import score_generator
from ecgray.cluster.generator_job import GeneratorPlan, Learner, Trained, mean_losses, train_generator
from ecgray.errors import ConfigError
from ecgray.models.generator import Generator
from ecgray.parquet import parquet_files, read_columns, table_folder
from ecgray.recipes.train_diffusion import TrainDiffusionConfig
from ecgray.sediff.conditions import read_conditions
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_step import diffusion_step
from ecgray.sediff.examples import Examples, make_examples
from ecgray.sediff.folder import load_vae
from ecgray.sediff.generator_card import generator_card
from ecgray.sediff.simulator_loss import BeatSimulator
from ecgray.sediff.vae import Vae, parameter_count
from ecgray.settings import to_json
from ecgray.tables import LATENTS
from ecgray.text.encoders import TextEncoder
from ecgray.waveform.fitting import Fit
from ecgray.waveform.morphologies import fitted

if TYPE_CHECKING:
    from pathlib import Path

    from ecgray.sediff.diffusion import DiffusionBatch

    DiffusionPlan = GeneratorPlan[TrainDiffusionConfig]

_HABITS = {
    *("schedule.min_snr_gamma", "schedule.skipped_ends", "schedule.clip", "denoiser.dropout"),
    *("condition.drop_all", "condition.drop_each"),
}
"""How a network is trained and sampled, not what it reads and says: in these a start may differ."""


def train_diffusion(config: TrainDiffusionConfig) -> dict[str, Any]:
    """Train, export OUT/model, draw ECGs for held-out conditions; returns the figures."""
    return train_generator(
        config,
        config.settled(),
        purpose="diffusion",
        rules=config.model.condition,
        gather=_gather,
        loop=diffusion_loop,
        export=export,
    )


def _gather(plan: DiffusionPlan, encoder: TextEncoder) -> Examples:
    """Latents, and what is said of each record."""
    config, vae = plan.config, load_vae(plan.config.vae)
    figures = table_folder(config.latents, "latents").parent / "figures.json"
    if figures.exists() and (theirs := json.loads(figures.read_text()).get("vae")) not in (None, vae.fingerprint):
        raise ConfigError(
            f"{config.latents} was encoded with autoencoder {theirs}, and {config.vae} is {vae.fingerprint}; encode "
            "the records again, or give the autoencoder that they were encoded with."
        )
    if config.start is not None:
        refuse_other_start(Generator.load(config.start, text_encoder=encoder), config, vae.vae)
    told = read_conditions(plan.sources, splits=("train",), wordings=config.wordings, classes=_fit(config).classes)
    latents = _latents(config.latents)
    place = pc.index_in(told.record_ids, value_set=latents["record_id"].combine_chunks())
    kept = told.told()
    kept = kept[place.is_valid().to_numpy(zero_copy_only=False)[kept]]
    if not len(kept):
        raise ConfigError(
            f"none of {len(told)} training records has both a latent and a text; encode the same records, and give "
            "labels where the archive has no reports."
        )
    values = latents["latent"].combine_chunks().take(place.take(pa.array(kept)))
    flat = np.frombuffer(values.buffers()[1], "<f4", len(values) * 512, values.offset * 2048).reshape(-1, 4, 128)
    return make_examples(told.take(kept), flat, encoder, config.model.condition)


def refuse_other_start(start: Generator, config: TrainDiffusionConfig, vae: Vae) -> None:
    """Raise `ConfigError` where a start reads or says other things than what is to be trained."""
    for part in ("schedule", "denoiser", "condition"):
        mine, theirs = (to_json(getattr(each, part)) for each in (config.model, start.diffusion.config))
        for name, value in theirs.items():
            if mine[name] != value and f"{part}.{name}" not in _HABITS:
                raise ConfigError(
                    f"{config.start} has {part}.{name}={value} and this run {mine[name]}; a start must have the same "
                    f"schedule, denoiser and condition: give another one, or set --model.{part} as it has it."
                )
    own, its = vae.state_dict(), start.vae.state_dict()
    same = own.keys() == its.keys() and all(own[name].half().equal(its[name].half()) for name in own)
    if not same:  # but for the rounding of a start that was stored by halves
        raise ConfigError(
            f"{config.start} was trained on latents of another autoencoder than {config.vae}; give the start's folder "
            "as --vae, and latents that were encoded with it."
        )


def _latents(source: Path) -> pa.Table:
    fields = [LATENTS.field("record_id"), LATENTS.field("latent")]
    return pa.concat_tables(read_columns(file, fields) for file in parquet_files(table_folder(source, "latents")))


def _fit(config: TrainDiffusionConfig) -> Fit:
    """The simulator's morphologies."""
    return fitted() if config.eta is None else Fit.read(config.eta)


def diffusion_loop(settings: dict[str, DiffusionPlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Learner[TrainDiffusionConfig]):
    """One worker's state between two steps."""

    def __init__(self, plan: DiffusionPlan) -> None:
        super().__init__(plan)
        config, device = self.config, self.ranks.device
        self.vae = load_vae(config.vae).vae.requires_grad_(False).to(device)
        self.simulator = BeatSimulator(_fit(config), phases=config.model.simulator.phases).to(device)
        diffusion = Diffusion(config.model, latent_channels=self.vae.config.latent_channels)
        if config.start is not None:
            diffusion.load_state_dict(Generator.load(config.start).diffusion.state_dict())
        self.take_up(diffusion, config.optimizer)
        self.path = diffusion.schedule

    def descend(self, batch: DiffusionBatch, factor: float) -> dict[str, float]:
        """One step on latents."""
        row = diffusion_step(
            self.wrapped,
            batch,
            config=self.config.model,
            noise_schedule=self.path,
            vae=self.vae,
            simulator=self.simulator,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=self.config.optimizer.clip_norm,
            generator=self.noise(),
            ema=self.ema,
            loss_scale=factor,
            bf16=self.config.bf16,
        )
        return row | {"judged": self.ranks.sum(row["judged"])}


def export(plan: DiffusionPlan) -> dict[str, Any]:
    """Write the model folder, draw ECGs for held-out conditions and score them; returns the run's figures."""
    config, left = plan.config, Trained(plan, unit="records")
    vae = load_vae(config.vae, device=left.device).vae
    diffusion = Diffusion(config.model, latent_channels=vae.config.latent_channels)
    diffusion.load_state_dict(left.weights)
    generator = Generator(vae, diffusion.to(left.device), left.encoder)
    sampling, bf16 = config.sampling, config.bf16 and config.gpu
    results, picture = score_generator(
        generator, left.told, left.examples.latents, sampling=sampling, seed=config.seed, bf16=bf16
    )
    said = f"{len(left.examples):,} training ECGs, split by patient; scored on {len(left.told):,} conditions of others."
    figures = left.keep(
        results,
        picture,
        losses=mean_losses(left.journal, "loss", "ddpm", "euler", "inter_lead"),
        parameters=f"{parameter_count(diffusion):,} in the denoiser, {parameter_count(vae):,} in the autoencoder",
        sampling=sampling,
        card=functools.partial(generator_card, config.model, sampling, records=said),
        save=functools.partial(generator.save, half=config.half),
    )
    return figures | {"preset": config.model.preset_name}
