"""Many small problems descended at once, none of which knows of the others: AdamW, then L-BFGS (SE-Diff App. C).

A loss takes parameters (*batch, parameter) and gives one value for each problem. AdamW works element by element, so the
sum of the losses serves. L-BFGS does not: with one memory for all, its curvature is that of an average problem. Here
every problem has its own memory and its own step length, for the price of one evaluation of all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ecgray.waveform.fitting_config import FitConfig

Loss = Callable[[Tensor], Tensor]


def adamw(loss: Loss, raw: Float[Tensor, "*batch parameter"], config: FitConfig) -> Float[Tensor, "*batch parameter"]:
    """AdamW with warm-up and cosine decay, element by element, without weight decay (that is what priors are for)."""
    raw = raw.clone().requires_grad_()
    optimizer = torch.optim.AdamW([raw], lr=config.learning_rate, weight_decay=0.0, foreach=False)
    for step in range(config.adamw_steps):
        optimizer.param_groups[0]["lr"] = config.learning_rate * _rate(step, config)
        optimizer.zero_grad()
        loss(raw).sum().backward()
        optimizer.step()
    return raw.detach()


def _rate(step: int, config: FitConfig) -> float:
    """The share of the learning rate at step 0, 1, ...: up in a line, down as half a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    return (1 + math.cos(math.pi * (step - config.warmup_steps) / max(config.adamw_steps - config.warmup_steps, 1))) / 2


def lbfgs(
    loss: Loss, raw: Float[Tensor, "*batch parameter"], *, steps: int, memory: int = 10
) -> Float[Tensor, "*batch parameter"]:
    """L-BFGS with a memory and a step length of its own for each problem of the batch; no loss ever rises."""
    value, slope = _evaluate(loss, raw)
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=memory)
    curvature = torch.ones_like(value)[..., None]
    for step in range(steps):
        way = -_newton(slope, pairs, curvature)
        way = torch.where(((way * slope).sum(-1, keepdim=True) < 0), way, -slope)
        if step == 0:
            way = way / slope.norm(dim=-1, keepdim=True).clamp(min=1.0)
        new, new_value, new_slope = _descend(loss, raw, value, slope, way)
        moved, bent = new - raw, new_slope - slope
        product = (moved * bent).sum(-1, keepdim=True)
        good = product > 1e-10 * moved.norm(dim=-1, keepdim=True) * bent.norm(dim=-1, keepdim=True)
        pairs.append((moved, bent, torch.where(good, 1 / product, 0.0)))
        curvature = torch.where(good, product / bent.square().sum(-1, keepdim=True), curvature)
        raw, value, slope = new, new_value, new_slope
    return raw


def _evaluate(loss: Loss, raw: Tensor) -> tuple[Tensor, Tensor]:
    """Each problem's loss and its gradient."""
    with torch.enable_grad():
        raw = raw.detach().requires_grad_()
        value = loss(raw)
        (slope,) = torch.autograd.grad(value.sum(), raw)
    return value.detach(), slope


def _newton(slope: Tensor, pairs: deque[tuple[Tensor, Tensor, Tensor]], curvature: Tensor) -> Tensor:
    """The inverse Hessian, as the last steps tell it, times the gradient: the two loops of L-BFGS."""
    way, shares = slope, []
    for moved, bent, inverse in reversed(pairs):
        share = inverse * (moved * way).sum(-1, keepdim=True)
        way = way - share * bent
        shares.append(share)
    way = curvature * way
    for (moved, bent, inverse), share in zip(pairs, reversed(shares), strict=True):
        way = way + moved * (share - inverse * (bent * way).sum(-1, keepdim=True))
    return way


def _descend(
    loss: Loss, raw: Tensor, value: Tensor, slope: Tensor, way: Tensor, *, tries: int = 5
) -> tuple[Tensor, Tensor, Tensor]:
    """A step along `way` that lowers each loss enough (Armijo), shorter where need be; where none does, no step."""
    expected = (way * slope).sum(-1)
    length = torch.ones_like(value)
    done = expected > -1e-14  # nothing to be had
    best, best_value, best_slope = raw, value, slope
    for _ in range(tries):
        trial = torch.where(done[..., None], best, raw + length[..., None] * way)
        trial_value, trial_slope = _evaluate(loss, trial)
        fine = ~done & (trial_value <= value + 1e-4 * length * expected) & torch.isfinite(trial_slope).all(-1)
        best, best_slope = (
            torch.where(fine[..., None], new, old) for new, old in ((trial, best), (trial_slope, best_slope))
        )
        best_value = torch.where(fine, trial_value, best_value)
        done = done | fine
        if done.all():
            break
        length = torch.where(done, length, length / 4)
    return best, best_value, best_slope
