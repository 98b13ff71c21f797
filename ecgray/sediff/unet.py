"""The denoiser: a 1-D U-Net over a latent, told of time and context by FiLM and by cross-attention (SE-Diff App. F).

What does not change from step to step of sampling, the context's tokens, keys, values and pooled vector, is computed
once (`Context`) and handed to every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.sediff.blocks import Double, Halve, group_norm
from ecgray.sediff.condition import Condition, ConditionEncoder, sinusoids
from ecgray.sediff.config import LATENT_STEPS
from ecgray.sediff.diffusion_config import DiffusionConfig

TIME_WAVES = 128


@dataclass(frozen=True)
class Context:
    """What a network keeps of a condition: a pooled vector, keys and values of each cross-attention, what counts."""

    pooled: Float[Tensor, "batch told"]
    keys_values: tuple[Float[Tensor, "batch 2 _ context _"], ...]
    known: Bool[Tensor, "batch context"]

    def __len__(self) -> int:
        return len(self.pooled)


def joined(contexts: Sequence[Context]) -> Context:
    """Several contexts as one batch, filled up to the longest with tokens that do not count."""
    longest = max(context.known.shape[1] for context in contexts)

    def filled(values: Tensor, axis: int) -> Tensor:
        lacking = longest - values.shape[axis]
        return F.pad(values, (0, 0) * (values.ndim - 1 - axis) + (0, lacking)) if lacking else values

    layers = zip(*(context.keys_values for context in contexts), strict=True)
    return Context(
        torch.cat([context.pooled for context in contexts]),
        tuple(torch.cat([filled(values, 3) for values in layer]) for layer in layers),
        torch.cat([filled(context.known, 1) for context in contexts]),
    )


def zeroed(layer: nn.Conv1d) -> nn.Conv1d:
    """The layer with weights 0: what it is added to begins unchanged."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


class FilmBlock(nn.Module):
    """A residual block whose normalised features are scaled and shifted by time and context."""

    def __init__(self, width: int, out: int, *, told: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(group_norm(width), nn.SiLU(), nn.Conv1d(width, out, 3, padding=1))
        self.film = nn.Linear(told, 2 * out)
        self.norm = group_norm(out)
        self.last = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), zeroed(nn.Conv1d(out, out, 3, padding=1)))
        self.past = nn.Identity() if width == out else nn.Conv1d(width, out, 1)

    def forward(
        self, features: Float[Tensor, "batch width step"], told: Float[Tensor, "batch told"]
    ) -> Float[Tensor, "batch out step"]:
        """Add the change."""
        scale, shift = self.film(told)[..., None].chunk(2, dim=1)
        return self.past(features) + self.last(self.norm(self.first(features)) * (1 + scale) + shift)


class Attention(nn.Module):
    """Self-attention over steps, then cross-attention to the context; each added to what came in."""

    def __init__(self, width: int, *, heads: int, context: int, steps: int) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(torch.randn(width, steps) * 0.02)
        self.norm, self.cross_norm = group_norm(width), group_norm(width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv1d(width, width, 1))
        self.query = nn.Conv1d(width, width, 1)
        self.key_value = nn.Linear(context, 2 * width)
        self.cross_out = zeroed(nn.Conv1d(width, width, 1))

    def keys_values(
        self, tokens: Float[Tensor, "batch context token"]
    ) -> Float[Tensor, "batch both=2 head context part"]:
        """What the steps will attend to; the same at every time."""
        return self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).permute(0, 2, 3, 1, 4)

    def forward(
        self,
        features: Float[Tensor, "batch width step"],
        keys_values: Float[Tensor, "batch both=2 head context part"],
        known: Bool[Tensor, "batch context"],
    ) -> Float[Tensor, "batch width step"]:
        """Mix the steps, then ask the context."""
        qkv = self.qkv(self.norm(features) + self.place).unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        features = features + self.out(_merge(F.scaled_dot_product_attention(*qkv.unbind(1))))
        query = self.query(self.cross_norm(features)).unflatten(1, (self.heads, -1)).transpose(-1, -2)
        keys, values = keys_values.unbind(1)
        asked = F.scaled_dot_product_attention(query, keys, values, attn_mask=known[:, None, None])
        return features + self.cross_out(_merge(asked))


def _merge(heads: Float[Tensor, "batch head step part"]) -> Float[Tensor, "batch width step"]:
    return heads.transpose(-1, -2).flatten(1, 2)


class Stage(nn.Module):
    """A residual block, and attention behind it where `steps` are given."""

    def __init__(self, config: DiffusionConfig, width: int, out: int, *, steps: int | None) -> None:
        super().__init__()
        sizes = config.denoiser
        self.block = FilmBlock(width, out, told=4 * sizes.width, dropout=sizes.dropout)
        self.attention = (
            Attention(out, heads=sizes.heads, context=sizes.context_width, steps=steps) if steps is not None else None
        )

    def forward(
        self,
        features: Float[Tensor, "batch width step"],
        told: Float[Tensor, "batch told"],
        keys_values: Iterator[Tensor],
        known: Bool[Tensor, "batch context"],
    ) -> Float[Tensor, "batch out step"]:
        """Takes its keys and values from `keys_values`, where it has attention."""
        features = self.block(features, told)
        return features if self.attention is None else self.attention(features, next(keys_values), known)


class FilmUNet(nn.Module):
    """The U-Net of App. F. `forward` says epsilon, v or the flow, whatever the schedule is trained for.

    >>> from ecgray.sediff.diffusion_config import SIZES
    >>> len(FilmUNet(SIZES["debug"], latent_channels=4).attentions())
    5
    """

    def __init__(self, config: DiffusionConfig, *, latent_channels: int) -> None:
        super().__init__()
        sizes = config.denoiser
        widths, last = [sizes.width * factor for factor in sizes.multipliers], len(sizes.multipliers) - 1
        told = 4 * sizes.width
        self.condition = ConditionEncoder(config.condition, sizes.context_width)
        self.time = nn.Sequential(nn.Linear(TIME_WAVES, told), nn.SiLU(), nn.Linear(told, told))
        self.pooled = nn.Sequential(nn.Linear(sizes.context_width, told), nn.SiLU(), nn.Linear(told, told))
        self.first = nn.Conv1d(latent_channels, widths[0], 3, padding=1)

        def attended(level: int, *, also: bool = False) -> int | None:
            steps = LATENT_STEPS >> level
            return steps if also or steps <= sizes.attention_steps else None

        self.down, self.middle, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width, kept = widths[0], [widths[0]]
        for level, out in enumerate(widths):
            for _ in range(sizes.blocks):
                self.down.append(Stage(config, width, out, steps=attended(level)))
                width = out
                kept.append(width)
            if level != last:
                self.down.append(Halve(width))
                kept.append(width)
        for _ in range(2):
            self.middle.append(Stage(config, width, width, steps=attended(last, also=True)))
        for level in range(last, -1, -1):
            steps = attended(level, also=sizes.cross_at_top and level < 2)
            for _ in range(sizes.blocks + 1):
                self.up.append(Stage(config, width + kept.pop(), widths[level], steps=steps))
                width = widths[level]
            if level:
                self.up.append(Double(width))
        self.out = nn.Sequential(group_norm(width), nn.SiLU(), zeroed(nn.Conv1d(width, latent_channels, 1)))

    def attentions(self) -> list[Attention]:
        """Every attention, in the order in which they are passed."""
        return [part for part in self.modules() if isinstance(part, Attention)]

    def context(self, condition: Condition) -> Context:
        """What every step of a sampling reads of its condition."""
        tokens, known = self.condition(condition)
        pooled = (tokens * known[..., None]).sum(dim=1) / known.sum(dim=1, keepdim=True)
        keys_values = tuple(attention.keys_values(tokens) for attention in self.attentions())
        return Context(self.pooled(pooled), keys_values, known)

    def forward(
        self, noised: Float[Tensor, "batch latent step"], time: Real[Tensor, " batch"], context: Context
    ) -> Float[Tensor, "batch latent step"]:
        """What the denoiser says of z_t."""
        told = F.silu(self.time(sinusoids(time, TIME_WAVES)) + context.pooled)
        keys_values = iter(context.keys_values)
        features = self.first(noised)
        kept = [features]
        for part in self.down:
            halves = isinstance(part, Halve)
            features = part(features) if halves else part(features, told, keys_values, context.known)
            kept.append(features)
        for part in self.middle:
            features = part(features, told, keys_values, context.known)
        for part in self.up:
            if isinstance(part, Double):
                features = part(features)
            else:
                features = torch.cat([features, kept.pop()], dim=1)
                features = part(features, told, keys_values, context.known)
        return self.out(features)
