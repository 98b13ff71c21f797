"""One training step of the scorer, without Ray: symmetric InfoNCE, in which equal texts are no negatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Batch:
    """What one step learns from, on the model's device; row n of each belongs to record n."""

    ecg: Float[Tensor, "batch lead=12 time"]
    text: Float[Tensor, "batch vector"]
    """The text encoder's vector of the record's text."""
    number: Int[Tensor, " batch"]
    """Which text it is: equal numbers, equal texts."""


@dataclass(frozen=True)
class Embedded:
    """The pairs among which each must find its own."""

    ecg: Float[Tensor, "pair width"]
    text: Float[Tensor, "pair width"]
    number: Int[Tensor, " pair"]
    scale: Float[Tensor, ""]


Gather = Callable[[Embedded], Embedded]
"""Brings together what several workers embedded, gradients through one's own."""


def contrastive_loss(pairs: Embedded) -> Float[Tensor, ""]:
    """Symmetric InfoNCE: each ECG finds its text among all, each text its ECG; the mean of both cross entropies.

    Another record with the same text is neither right nor wrong: it is left out of the sum.

    >>> one = Embedded(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), torch.tensor(1.0))
    >>> round(contrastive_loss(one).item(), 4)
    0.3133
    """
    logits = pairs.scale * pairs.ecg @ pairs.text.T
    same = pairs.number[:, None] == pairs.number[None, :]
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(same & ~own, -math.inf)
    right = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def train_step(
    model: nn.Module,
    batch: Batch,
    *,
    optimizer: Optimizer,
    schedule: LambdaLR,
    clip_norm: float,
    gather: Gather | None = None,
    world: int = 1,
    bf16: bool = False,
) -> dict[str, float]:
    """Learn from one batch; returns loss, temperature, grad_norm and learning_rate.

    `model` may be wrapped by DDP over `world` workers. Each of them then computes the loss over everybody's pairs and
    the gradient through its own; DDP takes the mean of what has to be summed, so the loss counts `world` times.
    """
    rate = float(schedule.get_last_lr()[0])
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(batch.ecg.device.type, dtype=torch.bfloat16, enabled=bf16):
        ecg, text, scale = model(batch.ecg, batch.text)
    pairs = Embedded(ecg, text, batch.number, scale)
    loss = contrastive_loss(gather(pairs) if gather else pairs)
    (loss * world).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm if clip_norm > 0 else math.inf)
    optimizer.step()
    schedule.step()
    return {
        "loss": loss.item(),
        "temperature": 1 / scale.item(),
        "grad_norm": norm.item(),
        "learning_rate": rate,
    }
