"""The condition as one vector: the mean of SE-Diff's tokens, and two layers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ecgray.baselines.config import BaselineConfig
from ecgray.sediff.condition import Condition, ConditionEncoder


class Told(nn.Module):
    """What a baseline is told."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.tokens = ConditionEncoder(config.condition, config.told)
        self.layers = nn.Sequential(nn.Linear(config.told, config.told), nn.SiLU(), nn.Linear(config.told, config.told))

    def forward(self, condition: Condition) -> Float[Tensor, "batch told"]:
        """One vector a record."""
        tokens, known = self.tokens(condition)
        return self.layers((tokens * known[..., None]).sum(dim=1) / known.sum(dim=1, keepdim=True))
