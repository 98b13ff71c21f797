"""The peer's denoiser, DiffuSETS: seven levels from 4 to 256 channels, kernels of 7, attention in every block (App. D).

Written anew from what its public code computes. Its condition is one vector, text and raw age, sex and heart rate side
by side, repeated for every step: all keys are the same, so that its cross-attention adds the same to every step. Here
that vector is one token. Attention over one key or over many equal ones is the same, and costs less.

With texts of 1,536 numbers there are 13,017,436 weights. The peer stores 14,177,792 (14.18 M): 832,000 more are 13
tables of sines, and 328,356 belong to a convolution of each block that is never called.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.sediff.condition import NUMBERS, Condition, ConditionEncoder
from ecgray.sediff.diffusion_config import DiffusionConfig
from ecgray.sediff.unet import Context

KERNEL, HEADS = 7, 8
MIDDLE_KERNEL, MIDDLE_HEADS, MIDDLE_HIDDEN = 3, 4, 32
TIME_WAVES, TIME_HIDDEN = 64, 128


class JoinedCondition(nn.Module):
    """Text, age, sex and heart rate as one token; the numbers raw, as the peer reads them.

    The peer always knows all of it. Here what is unknown counts as 0, as the text of an empty report does.
    """

    def __init__(self, text_width: int) -> None:
        super().__init__()
        self.width = text_width + len(NUMBERS)

    def forward(
        self, condition: Condition
    ) -> tuple[Float[Tensor, "batch context=1 width"], Bool[Tensor, "batch context=1"]]:
        """The token, and that it counts."""
        text = condition.text[:, 0] * condition.text_known[:, :1]
        numbers = torch.where(condition.numbers_known, condition.numbers, 0.0)
        return torch.cat([text, numbers], dim=1)[:, None], torch.ones_like(condition.text_known[:, :1])


class Time(nn.Module):
    """Sines and cosines of the step, then two layers; each block has its own."""

    rates: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = TIME_WAVES // 2
        self.register_buffer("rates", torch.exp(-10.0 / (half - 1) * torch.arange(half)), persistent=False)
        self.layers = nn.Sequential(nn.Linear(TIME_WAVES, TIME_HIDDEN), nn.Mish(), nn.Linear(TIME_HIDDEN, width))

    def forward(self, time: Real[Tensor, " batch"]) -> Float[Tensor, "batch width 1"]:
        """What is added to every step's features."""
        angle = (time.float() + 1)[:, None] * self.rates
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=-1))[..., None]


class Heads(nn.Module):
    """Multi-head attention whose inputs and output pass through two linear layers each, as the peer's do."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (
            nn.Sequential(nn.Linear(width, hidden), nn.Linear(hidden, hidden)) for _ in range(3)
        )
        self.out = nn.Sequential(nn.Linear(hidden, hidden), nn.Linear(hidden, width))

    def keys_values(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch both=2 head token part"]:
        """What is attended to."""
        return torch.stack([self._split(self.key(tokens)), self._split(self.value(tokens))], dim=1)

    def forward(
        self,
        features: Float[Tensor, "batch step width"],
        keys_values: Float[Tensor, "batch both=2 head token part"],
        known: Bool[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch step width"]:
        """What each step takes from the tokens."""
        keys, values = keys_values.unbind(1)
        mask = None if known is None else known[:, None, None]
        taken = F.scaled_dot_product_attention(self._split(self.query(features)), keys, values, attn_mask=mask)
        return self.out(taken.transpose(1, 2).flatten(2))

    def _split(self, projected: Float[Tensor, "batch token hidden"]) -> Float[Tensor, "batch head token part"]:
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SelfAndCross(nn.Module):
    """Self-attention over steps, cross-attention to the condition, each added; normalised at the end."""

    def __init__(self, width: int, hidden: int, heads: int, *, context: int) -> None:
        super().__init__()
        self.norm, self.cross_norm, self.context_norm, self.last_norm = (nn.LayerNorm(width) for _ in range(4))
        self.own, self.cross = Heads(width, hidden, heads), Heads(width, hidden, heads)
        self.context = nn.Linear(context, width)

    def keys_values(
        self, tokens: Float[Tensor, "batch context token"]
    ) -> Float[Tensor, "batch both=2 head context part"]:
        """What the condition gives to this block; the same at every time."""
        return self.cross.keys_values(self.context_norm(self.context(tokens)))

    def forward(
        self,
        features: Float[Tensor, "batch width step"],
        keys_values: Float[Tensor, "batch both=2 head context part"],
        known: Bool[Tensor, "batch context"],
    ) -> Float[Tensor, "batch width step"]:
        """Mix the steps, then ask the condition."""
        steps = features.transpose(1, 2)
        normed = self.norm(steps)
        steps = steps + self.own(normed, self.own.keys_values(normed))
        steps = steps + self.cross(self.cross_norm(steps), keys_values, known)
        return self.last_norm(steps).transpose(1, 2)


class PeerBlock(nn.Module):
    """Convolution, attention at half way between both widths, convolution; added to what came in."""

    def __init__(self, width: int, out: int, *, context: int) -> None:
        super().__init__()
        between = (width + out) // 2
        self.time = Time(width)
        self.first = nn.Sequential(
            nn.Conv1d(width, between, KERNEL, padding="same"),
            nn.GroupNorm(1, between),
            nn.Mish(),
            nn.Conv1d(between, between, 1),
        )
        self.attention = SelfAndCross(between, 2 * width, HEADS, context=context)
        self.last = nn.Sequential(nn.Conv1d(between, out, KERNEL, padding="same"), nn.GroupNorm(1, out), nn.Mish())
        self.past = nn.Conv1d(width, out, 1) if width != out else nn.Identity()

    def forward(
        self,
        features: Float[Tensor, "batch width step"],
        time: Real[Tensor, " batch"],
        keys_values: Iterator[Tensor],
        known: Bool[Tensor, "batch context"],
    ) -> Float[Tensor, "batch out step"]:
        """Takes its keys and values from `keys_values`."""
        changed = self.attention(self.first(features + self.time(time)), next(keys_values), known)
        return self.last(changed) + self.past(features)


class PeerMiddle(nn.Module):
    """The lowest level's block: the same width all through, kernels of 3, fewer heads."""

    def __init__(self, width: int, *, context: int) -> None:
        super().__init__()

        def convolution() -> nn.Conv1d:
            return nn.Conv1d(width, width, MIDDLE_KERNEL, padding="same")

        self.time = Time(width)
        self.first = nn.Sequential(convolution(), nn.GroupNorm(1, width), nn.Mish(), convolution())
        self.attention = SelfAndCross(width, MIDDLE_HIDDEN, MIDDLE_HEADS, context=context)
        self.last = nn.Sequential(convolution(), nn.GroupNorm(1, width), nn.Mish())

    def forward(
        self,
        features: Float[Tensor, "batch width step"],
        time: Real[Tensor, " batch"],
        keys_values: Iterator[Tensor],
        known: Bool[Tensor, "batch context"],
    ) -> Float[Tensor, "batch width step"]:
        """Takes its keys and values from `keys_values`."""
        changed = self.attention(self.first(features + self.time(time)), next(keys_values), known)
        return features + self.last(changed)


class PeerUNet(nn.Module):
    """The peer's U-Net; of `Diffusion` it is used as `FilmUNet` is. The highest features are not handed across.

    >>> from ecgray.sediff.diffusion_config import SIZES, preset
    >>> len(PeerUNet(preset("peer", SIZES["debug"]), latent_channels=4).blocks())
    5
    """

    def __init__(self, config: DiffusionConfig, *, latent_channels: int) -> None:
        super().__init__()
        if config.condition.joined:
            self.condition: JoinedCondition | ConditionEncoder = JoinedCondition(config.condition.text_width)
            context = self.condition.width
        else:
            context = config.denoiser.context_width
            self.condition = ConditionEncoder(config.condition, context)
        widths = [latent_channels << level for level in range(config.denoiser.levels)]
        self.down, self.shorten, self.lengthen, self.up = (nn.ModuleList() for _ in range(4))
        for width, out in itertools.pairwise(widths):
            self.down.append(PeerBlock(width, out, context=context))
            self.shorten.append(nn.Conv1d(out, out, 3, stride=2, padding=1))
        self.middle = PeerMiddle(widths[-1], context=context)
        for number, out in enumerate(reversed(widths[:-1])):
            before = widths[-1] if number == 0 else 2 * out
            self.lengthen.append(nn.ConvTranspose1d(before, before, 4, stride=2, padding=1))
            self.up.append(PeerBlock(before if number == 0 else 2 * before, out, context=context))
        self.out = nn.Sequential(
            nn.Conv1d(latent_channels, latent_channels, 3, padding="same"),
            nn.Mish(),
            nn.Conv1d(latent_channels, latent_channels, 1),
        )

    def blocks(self) -> list[PeerBlock | PeerMiddle]:
        """Every block, in the order in which they are passed."""
        return [*self.down, self.middle, *self.up]  # type: ignore[list-item]

    def context(self, condition: Condition) -> Context:
        """What every step of a sampling reads of its condition."""
        tokens, known = self.condition(condition)
        keys_values = tuple(block.attention.keys_values(tokens) for block in self.blocks())
        return Context(tokens.new_zeros(len(tokens), 0), keys_values, known)  # nothing is pooled here

    def forward(
        self, noised: Float[Tensor, "batch latent step"], time: Real[Tensor, " batch"], context: Context
    ) -> Float[Tensor, "batch latent step"]:
        """What the denoiser says of z_t."""
        keys_values, known = iter(context.keys_values), context.known
        features, kept = noised, []
        for block, shorten in zip(self.down, self.shorten, strict=True):
            features = block(features, time, keys_values, known)
            kept.append(features)
            features = shorten(features)
        kept.pop()  # what would come first on the way up, from just before the lowest level
        features = self.middle(features, time, keys_values, known)
        for number, (lengthen, block) in enumerate(zip(self.lengthen, self.up, strict=True)):
            features = lengthen(features)
            if number:
                features = torch.cat([features, kept.pop()], dim=1)
            features = block(features, time, keys_values, known)
        return self.out(features)
