"""One training step of the autoencoder, without Ray: forward, backward, clip, step, average."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ecgray.sediff.config import OptimizerConfig, VaeConfig
from ecgray.sediff.input import to_grid
from ecgray.sediff.loss import Beats, vae_loss


@dataclass(frozen=True)
class Batch:
    """What one step learns from, on the model's device."""

    ecg: Float[Tensor, "batch lead=12 time=5000"]
    """mV at 500 Hz."""
    beats: Beats
    """Every whole beat of each record."""


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW; the weights of convolutions and linear layers decay, biases and norms do not."""
    decaying = {id(part.weight) for part in model.modules() if isinstance(part, nn.Linear | nn.Conv1d)}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if id(weight) in decaying], "weight_decay": config.weight_decay},
        {"params": [weight for weight in weights if id(weight) not in decaying], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))


def learning_rate(step: int, config: OptimizerConfig) -> float:
    """The learning rate of step 0, 1, ...: linear warm-up, then half a cosine, then the lowest.

    >>> plan = OptimizerConfig(learning_rate=1.0, learning_rate_last=0.1, warmup_steps=10, decay_steps=110)
    >>> [round(learning_rate(step, plan), 3) for step in (0, 9, 10, 60, 110, 500)]
    [0.1, 1.0, 1.0, 0.55, 0.1, 0.1]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    phase = min(1.0, (step - config.warmup_steps) / (config.decay_steps - config.warmup_steps))
    swing = config.learning_rate - config.learning_rate_last
    return config.learning_rate_last + swing * (1 + math.cos(math.pi * phase)) / 2


def make_schedule(optimizer: Optimizer, config: OptimizerConfig) -> LambdaLR:
    """`learning_rate` as a torch scheduler, stepped once a training step; its state goes into a checkpoint."""
    return LambdaLR(optimizer, lambda step: learning_rate(step, config) / config.learning_rate)


class Ema:
    """A moving average of a model's weights, in a copy that can be used as the model is.

    Its memory grows with the run: after n steps it keeps min(decay, (1 + n) / (10 + n)) of what it has, so that a short
    run ends with an average of its own last part, not with its first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @property
    def keeps(self) -> float:
        """How much of the average the next step keeps.

        >>> [round(Ema(nn.Identity(), decay).keeps, 2) for decay in (0.999, 0.05)]
        [0.1, 0.05]
        """
        return min(self.decay, (1 + self.steps) / (10 + self.steps))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards `model`, which must not be wrapped by DDP; buffers are copied."""
        mine, theirs = ([weight.detach() for weight in each.parameters()] for each in (self.model, model))
        torch._foreach_lerp_(mine, theirs, 1 - self.keeps)
        for own, its in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(its)
        self.steps += 1

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"steps": self.steps, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """From a checkpoint."""
        self.steps = int(state["steps"])  # type: ignore[call-overload]
        self.model.load_state_dict(state["model"])  # type: ignore[arg-type]


def descend(
    model: nn.Module,
    loss: Float[Tensor, ""],
    *,
    optimizer: Optimizer,
    schedule: LambdaLR,
    clip_norm: float,
    ema: Ema | None,
) -> Float[Tensor, ""]:
    """Backward, clip, step, average; returns the length of the gradient. `model` may be wrapped by DDP."""
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm if clip_norm > 0 else math.inf)
    optimizer.step()
    schedule.step()
    if ema is not None:
        ema.update(getattr(model, "module", model))
    return norm


def train_step(
    model: nn.Module,
    batch: Batch,
    *,
    config: VaeConfig,
    optimizer: Optimizer,
    schedule: LambdaLR,
    clip_norm: float,
    ema: Ema | None = None,
    generator: torch.Generator | None = None,
    loss_scale: float = 1.0,
    bf16: bool = False,
) -> dict[str, float]:
    """Learn from one batch; returns the terms of the loss, records without a beat, grad_norm and learning_rate.

    `model` may be wrapped by DDP. `loss_scale` weighs a batch that is smaller on this rank: its records times the
    number of ranks over the records of all ranks, so that DDP's mean is the mean over all records. The step of the
    schedule is the step of the KL term's warm-up.
    """
    rate, step = float(schedule.get_last_lr()[0]), schedule.last_epoch
    target = to_grid(batch.ecg, config)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(target.device.type, dtype=torch.bfloat16, enabled=bf16):
        output = model(target, generator=generator)
    losses = vae_loss(output, target, batch.beats, config=config.loss, step=step)
    norm = descend(
        model, losses.total * loss_scale, optimizer=optimizer, schedule=schedule, clip_norm=clip_norm, ema=ema
    )
    terms = torch.stack([losses.total.detach(), losses.full, losses.kl, losses.beat, losses.spectrum, norm])
    names = ("loss", "full", "kl", "beat", "spectrum", "grad_norm")
    return dict(zip(names, terms.tolist(), strict=True)) | {
        "learning_rate": rate,
        "without_beat": float(losses.without_beat),
    }
