"""How wrong the answers are: binary cross entropy over all terms, plain, weighted or asymmetric."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecgray.supreme.config import LossConfig

_PLAIN = LossConfig()


def positive_weights(
    positives: Float[Tensor, " query"], records: int, config: LossConfig = _PLAIN
) -> Float[Tensor, " query"] | None:
    """What one positive of each term counts: (negatives / positives) ** power, between 1 / limit and limit.

    >>> import torch
    >>> positive_weights(torch.tensor([50.0, 10.0, 0.0]), 100, LossConfig(pos_weight_power=0.5)).tolist()
    [1.0, 3.0, 10.0]
    """
    if config.pos_weight_power == 0:
        return None
    odds = (records - positives) / positives.clamp(min=1)
    return odds.pow(config.pos_weight_power).clamp(1 / config.pos_weight_limit, config.pos_weight_limit)


def bce_loss(
    logits: Float[Tensor, "batch query"],
    targets: Float[Tensor, "batch query"],
    *,
    config: LossConfig = _PLAIN,
    pos_weight: Float[Tensor, " query"] | None = None,
) -> Float[Tensor, ""]:
    """Mean binary cross entropy over records and terms.

    >>> import torch
    >>> round(bce_loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item(), 4)
    0.6931
    """
    logits = logits.float()
    if config.gamma_positive == config.gamma_negative == config.margin == 0:
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=pos_weight)
    return _asymmetric(logits, targets, config, pos_weight).mean()


def _asymmetric(
    logits: Float[Tensor, "batch query"],
    targets: Float[Tensor, "batch query"],
    config: LossConfig,
    pos_weight: Float[Tensor, " query"] | None,
) -> Float[Tensor, "batch query"]:
    """Focusing by (1 - p) ** gamma, and negatives below the margin forgiven (Ridnik et al., 2021)."""
    positive = logits.sigmoid()
    negative = (1 - positive + config.margin).clamp(max=1)
    weight = 1.0 if pos_weight is None else pos_weight
    gained = targets * weight * (1 - positive).pow(config.gamma_positive) * F.logsigmoid(logits)
    spared = (1 - targets) * (1 - negative).pow(config.gamma_negative) * negative.clamp(min=1e-8).log()
    return -(gained + spared)
