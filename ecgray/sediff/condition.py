"""What the denoiser is told: the text t, the retrieved report r, and age, sex and heart rate (SE-Diff section 3.4).

Every part may be missing, by itself or all together (classifier-free guidance); a missing part is a learned token of
its own, so that "unknown" is something that the network has seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ecgray.sediff.diffusion_config import ConditionConfig

NUMBERS = ("age", "sex", "heart_rate_bpm")
"""The metadata, in the order of the last axis; sex is 1 for M and 0 for F."""
_CENTRE, _SPREAD = (60.0, 0.5, 80.0), (20.0, 0.5, 25.0)
_WAVES = 6
"""Sine and cosine pairs that a number is given as, besides itself: heart rates a few bpm apart must differ clearly."""


@dataclass(frozen=True)
class Condition:
    """What is known of each record of a batch, padded to the longest text."""

    text: Float[Tensor, "batch token text"]
    """Vectors of the text t; what stands in the padding does not matter."""
    text_known: Bool[Tensor, "batch token"]
    report: Float[Tensor, "batch piece text"]
    """Vectors of the retrieved report r."""
    report_known: Bool[Tensor, "batch piece"]
    numbers: Float[Tensor, "batch number=3"]
    """Age in years, sex (M: 1, F: 0), heart rate in bpm."""
    numbers_known: Bool[Tensor, "batch number=3"]

    def __len__(self) -> int:
        return len(self.numbers)

    def to(self, device: torch.device) -> Condition:
        """The same on another device."""
        return Condition(*(part.to(device) for part in vars(self).values()))

    def nothing(self) -> Condition:
        """As many records of which nothing is known."""
        return replace(
            self,
            text_known=torch.zeros_like(self.text_known),
            report_known=torch.zeros_like(self.report_known),
            numbers_known=torch.zeros_like(self.numbers_known),
        )

    def beside(self, other: Condition) -> Condition:
        """Both batches in one; of the same lengths of text."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Condition(*(torch.cat(pair) for pair in pairs))


def hide(condition: Condition, config: ConditionConfig, generator: torch.Generator) -> Condition:
    """Hide what a training step is not to see: everything at times, r and each number by itself at times."""
    batch, device = len(condition), condition.numbers.device
    draws = torch.rand(batch, 2 + len(NUMBERS), generator=generator, device=generator.device).to(device)
    told = draws[:, :1] >= config.drop_all
    each = (draws[:, 1:] >= config.drop_each) & told
    return replace(
        condition,
        text_known=condition.text_known & told,
        report_known=condition.report_known & each[:, :1],
        numbers_known=condition.numbers_known & each[:, 1:],
    )


class ConditionEncoder(nn.Module):
    """The condition as context tokens: [text..., r..., metadata], all of one width."""

    frequencies: Tensor
    centre: Tensor
    spread: Tensor
    places: Tensor

    def __init__(self, config: ConditionConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.text = nn.Linear(config.text_width, width)
        self.no_text = nn.Parameter(torch.zeros(width))
        if config.experience:
            self.report = nn.Linear(config.text_width, width)
            self.no_report = nn.Parameter(torch.zeros(width))
        if config.metadata:
            self.numbers = nn.Sequential(
                nn.Linear(len(NUMBERS) * (2 * _WAVES + 2), width), nn.SiLU(), nn.Linear(width, width)
            )
        self.register_buffer("frequencies", math.pi / 2 * 2.0 ** torch.arange(_WAVES), persistent=False)
        self.register_buffer("centre", torch.tensor(_CENTRE), persistent=False)
        self.register_buffer("spread", torch.tensor(_SPREAD), persistent=False)
        self.register_buffer("places", sinusoids(torch.arange(config.most_tokens), width), persistent=False)

    def forward(
        self, condition: Condition
    ) -> tuple[Float[Tensor, "batch context width"], Bool[Tensor, "batch context"]]:
        """The tokens, and which of them count; each part has one that counts at least."""
        tokens, known = [], []
        for vectors, there, project, missing in self._texts(condition):
            made = project(vectors)
            if self.config.tokens == "words":
                made = made + self.places[: made.shape[1]]
            none = ~there.any(dim=1)
            first = torch.zeros_like(there)
            first[:, 0] = none
            tokens.append(torch.where(first[..., None], missing.to(made), made))
            known.append(there | first)
        if self.config.metadata:
            tokens.append(self.numbers(self._features(condition))[:, None])
            known.append(torch.ones_like(known[0][:, :1]))
        return torch.cat(tokens, dim=1), torch.cat(known, dim=1)

    def _texts(self, condition: Condition) -> list[tuple[Tensor, Tensor, nn.Module, Tensor]]:
        parts: list[tuple[Tensor, Tensor, nn.Module, Tensor]] = [
            (condition.text, condition.text_known, self.text, self.no_text)
        ]
        if self.config.experience:
            parts.append((condition.report, condition.report_known, self.report, self.no_report))
        return parts

    def _features(self, condition: Condition) -> Float[Tensor, "batch feature"]:
        there = condition.numbers_known[..., None].float()
        value = torch.nan_to_num((condition.numbers - self.centre) / self.spread)[..., None]
        angle = value * self.frequencies
        return (torch.cat([value, angle.sin(), angle.cos(), torch.ones_like(value)], dim=-1) * there).flatten(1)


def sinusoids(place: Tensor, width: int, *, longest: float = 10_000.0) -> Float[Tensor, "place width"]:
    """Sines and cosines of falling frequency (Vaswani et al.), for tokens' places and for steps in time.

    >>> sinusoids(torch.tensor([0]), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    half = width // 2
    rates = torch.exp(-math.log(longest) * torch.arange(half, device=place.device) / half)
    angle = place.float()[:, None] * rates
    waves = torch.cat([angle.sin(), angle.cos()], dim=-1)
    return nn.functional.pad(waves, (0, width - 2 * half))
