"""One training step of the delineator."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from ecgray.waveform.delineator.examples import Batch
from ecgray.waveform.delineator.marks import UNMARKED

WARM_UP = 50
"""Steps in which the learning rate rises."""
CLIP = 1.0


def learning_rate(highest: float, step: int, steps: int) -> float:
    """Rises over 50 steps, falls as a cosine to nearly nothing.

    >>> [round(learning_rate(1.0, step, 1000), 3) for step in (0, 49, 500, 999)]
    [0.02, 0.994, 0.5, 0.0]
    """
    return highest * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def delineator_step(
    network: Any, batch: Batch, *, optimizer: torch.optim.Optimizer, rate: float, bf16: bool, device: torch.device
) -> float:
    """Cross-entropy over the marked samples, one step down; returns the loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        logits = network(batch.signal.to(device), batch.seen.to(device))
    loss = F.cross_entropy(logits.float().transpose(1, 2), batch.labels.to(device), ignore_index=UNMARKED)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, *, step: int, stays: float) -> None:
    """Move the averaged weights a little towards the network's; faster in the first steps, so that short runs work."""
    part = 1 - min(stays, (step + 1) / (step + 10))
    mine: dict[str, Tensor] = average.state_dict()
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            mine[name].lerp_(value, part)
        else:
            mine[name].copy_(value)
