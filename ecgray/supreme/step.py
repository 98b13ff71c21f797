"""One training step, without Ray: forward, backward, clip, step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ecgray.supreme.config import LossConfig, OptimizerConfig
from ecgray.supreme.loss import bce_loss


@dataclass(frozen=True)
class Batch:
    """What one step learns from, on the model's device."""

    ecg: Float[Tensor, "batch lead=12 time"]
    queries: Float[Tensor, "query text"]
    targets: Float[Tensor, "batch query"]


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW; only the matrices of linear layers decay, not biases, norms and embeddings."""
    matrices = {id(part.weight) for part in model.modules() if isinstance(part, nn.Linear)}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if id(weight) in matrices], "weight_decay": config.weight_decay},
        {"params": [weight for weight in weights if id(weight) not in matrices], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))


def learning_rate(step: int, config: OptimizerConfig) -> float:
    """The learning rate of step 0, 1, ...: linear warm-up, then cosine annealing with warm restarts, T_mult 1.

    >>> plan = OptimizerConfig(learning_rate=1.0, learning_rate_last=0.0, restart_steps=100)
    >>> [round(learning_rate(step, plan), 3) for step in (0, 50, 99, 100)]
    [1.0, 0.5, 0.0, 1.0]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    phase = (step - config.warmup_steps) % config.restart_steps / config.restart_steps
    swing = config.learning_rate - config.learning_rate_last
    return config.learning_rate_last + swing * (1 + math.cos(math.pi * phase)) / 2


def make_schedule(optimizer: Optimizer, config: OptimizerConfig) -> LambdaLR:
    """`learning_rate` as a torch scheduler, stepped once a training step; its state goes into a checkpoint."""
    return LambdaLR(optimizer, lambda step: learning_rate(step, config) / config.learning_rate)


def train_step(
    model: nn.Module,
    batch: Batch,
    *,
    optimizer: Optimizer,
    schedule: LambdaLR,
    loss: LossConfig,
    clip_norm: float,
    pos_weight: Float[Tensor, " query"] | None = None,
    loss_scale: float = 1.0,
    bf16: bool = False,
) -> dict[str, float]:
    """Learn from one batch; returns loss, grad_norm and learning_rate.

    `model` may be wrapped by DDP. `loss_scale` weighs a batch that is smaller on this rank: its records times the
    number of ranks over the records of all ranks, so that DDP's mean is the mean over all records.
    """
    rate = float(schedule.get_last_lr()[0])
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(batch.ecg.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits = model(batch.ecg, batch.queries)
    value = bce_loss(logits, batch.targets, config=loss, pos_weight=pos_weight)
    (value * loss_scale).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm if clip_norm > 0 else math.inf)
    optimizer.step()
    schedule.step()
    return {"loss": value.item(), "grad_norm": norm.item(), "learning_rate": rate}
