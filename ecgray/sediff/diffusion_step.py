"""One training step of the diffusion, without Ray: forward, backward, clip, step, average."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ecgray.sediff.condition import hide
from ecgray.sediff.diffusion import DiffusionBatch, diffusion_loss
from ecgray.sediff.diffusion_config import DiffusionConfig
from ecgray.sediff.schedule import Schedule
from ecgray.sediff.simulator_loss import BeatSimulator
from ecgray.sediff.step import Ema, descend
from ecgray.sediff.vae import Vae


def diffusion_step(
    model: nn.Module,
    batch: DiffusionBatch,
    *,
    config: DiffusionConfig,
    noise_schedule: Schedule,
    vae: Vae,
    simulator: BeatSimulator,
    optimizer: Optimizer,
    schedule: LambdaLR,
    clip_norm: float,
    generator: torch.Generator,
    ema: Ema | None = None,
    loss_scale: float = 1.0,
    bf16: bool = False,
) -> dict[str, float]:
    """Learn from one batch; returns the terms of the loss, records judged, grad_norm and learning_rate.

    `generator` draws what is hidden, the times and the noise. `model` may be wrapped by DDP; `loss_scale` weighs a
    batch that is smaller on this rank (see `ecgray.sediff.step.train_step`).
    """
    rate = float(schedule.get_last_lr()[0])
    seen = DiffusionBatch(
        batch.latent, hide(batch.condition, config.condition, generator), batch.cls, batch.heart_rate_bpm
    )
    optimizer.zero_grad(set_to_none=True)
    losses = diffusion_loss(
        model,
        seen,
        config=config,
        schedule=noise_schedule,
        vae=vae,
        simulator=simulator,
        generator=generator,
        bf16=bf16,
    )
    norm = descend(
        model, losses.total * loss_scale, optimizer=optimizer, schedule=schedule, clip_norm=clip_norm, ema=ema
    )
    terms = torch.stack([losses.total.detach(), losses.ddpm, losses.euler, losses.inter_lead, norm])
    names = ("loss", "ddpm", "euler", "inter_lead", "grad_norm")
    return dict(zip(names, terms.tolist(), strict=True)) | {"learning_rate": rate, "judged": float(losses.judged)}
