"""The conditional diffusion of latents: schedule and denoiser, and what a batch costs (SE-Diff Eq. 17, 23)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ecgray.sediff.condition import Condition
from ecgray.sediff.config import LATENT_STEPS
from ecgray.sediff.diffusets import PeerUNet
from ecgray.sediff.diffusion_config import DiffusionConfig
from ecgray.sediff.schedule import Schedule
from ecgray.sediff.simulator_loss import BeatSimulator
from ecgray.sediff.unet import Context, FilmUNet
from ecgray.sediff.vae import Vae


class Diffusion(nn.Module):
    """A schedule and a denoiser; what is trained are the denoiser's weights."""

    def __init__(self, config: DiffusionConfig, *, latent_channels: int = 4) -> None:
        super().__init__()
        self.config, self.latent_channels = config, latent_channels
        self.schedule = Schedule(config.schedule)
        network: type[FilmUNet | PeerUNet] = FilmUNet if config.denoiser.kind == "film" else PeerUNet
        self.denoiser = network(config, latent_channels=latent_channels)

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and steps of a latent."""
        return self.latent_channels, LATENT_STEPS

    def context(self, condition: Condition) -> Context:
        """What every step of a sampling reads of its condition."""
        return self.denoiser.context(condition)

    def forward(
        self, noised: Float[Tensor, "batch latent step"], time: Int64[Tensor, " batch"], condition: Condition
    ) -> Float[Tensor, "batch latent step"]:
        """What the denoiser says of z_t, in float32."""
        return self.denoiser(noised, time, self.denoiser.context(condition)).float()


@dataclass(frozen=True)
class DiffusionBatch:
    """What one step learns from, on the model's device."""

    latent: Float[Tensor, "batch latent step"]
    """z_0: scaled latents, as jobs/encode.py writes them."""
    condition: Condition
    cls: Int64[Tensor, " batch"]
    """The class whose morphology the beat is judged by; -1 for none."""
    heart_rate_bpm: Float[Tensor, " batch"]
    """NaN where unknown; the denoiser may not be told, the simulator is."""


@dataclass(frozen=True)
class DiffusionLosses:
    """The terms of Eq. 23."""

    total: Float[Tensor, ""]
    ddpm: Float[Tensor, ""]
    euler: Float[Tensor, ""]
    inter_lead: Float[Tensor, ""]
    judged: int
    """Records that the simulator could judge."""


def diffusion_loss(
    model: nn.Module,
    batch: DiffusionBatch,
    *,
    config: DiffusionConfig,
    schedule: Schedule,
    vae: Vae,
    simulator: BeatSimulator,
    generator: torch.Generator,
    bf16: bool = False,
) -> DiffusionLosses:
    """Eq. 23 on a batch whose times and noises are drawn from `generator`.

    `model` is a `Diffusion`, perhaps wrapped by DDP; `vae` is frozen, gradients pass through its beat decoder.
    """
    latent, device = batch.latent, batch.latent.device
    time = schedule.draw_time(len(latent), generator).to(device)
    noise = torch.randn(latent.shape, generator=generator, device=generator.device).to(device)
    noised = schedule.noised(latent, noise, time)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        said = model(noised, time, batch.condition)
    apart = (said - schedule.target(latent, noise, time)).square().mean(dim=(1, 2))
    ddpm = (schedule.loss_weight(time) * apart).mean()
    rules = config.simulator
    if not (rules.lambda_euler or rules.gamma_inter_lead):
        zero = torch.zeros((), device=device)
        return DiffusionLosses(ddpm, ddpm.detach(), zero, zero, 0)
    clean = schedule.estimate(noised, said, time) if rules.beat_of == "estimate" else latent
    signal = schedule.signal[time].square()
    found = simulator.losses(
        vae.decode_beat(clean),
        batch.cls,
        batch.heart_rate_bpm,
        weight=signal if rules.weight == "signal" else torch.ones_like(signal),
        inter_lead=rules.inter_lead,
    )
    total = ddpm + rules.lambda_euler * found.euler + rules.gamma_inter_lead * found.inter_lead
    return DiffusionLosses(total, ddpm.detach(), found.euler.detach(), found.inter_lead.detach(), found.judged)
