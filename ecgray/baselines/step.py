"""One training step of a baseline, without Ray: forward, backward, clip, step, average."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ecgray.baselines.config import BaselineConfig
from ecgray.sediff.condition import Condition, hide
from ecgray.sediff.step import Ema, descend


def baseline_step(
    model: nn.Module,
    signal: Float[Tensor, "batch lead=8 sample"],
    condition: Condition,
    *,
    config: BaselineConfig,
    step: int,
    optimizer: Optimizer,
    schedule: LambdaLR,
    clip_norm: float,
    generator: torch.Generator,
    ema: Ema | None = None,
    loss_scale: float = 1.0,
) -> dict[str, float]:
    """Learn from one batch; returns loss, grad_norm and learning_rate.

    `model` is a `Baseline`, perhaps wrapped by DDP; `generator` draws what is hidden and all noise. `loss_scale` weighs
    a batch that is smaller on this rank (see `ecgray.sediff.step.train_step`).
    """
    rate = float(schedule.get_last_lr()[0])
    seen = hide(condition, config.condition, generator)
    optimizer.zero_grad(set_to_none=True)
    loss = model(signal, seen, generator=generator, step=step)
    norm = descend(model, loss * loss_scale, optimizer=optimizer, schedule=schedule, clip_norm=clip_norm, ema=ema)
    return {"loss": float(loss.detach()), "grad_norm": float(norm), "learning_rate": rate}
