"""An ECG becomes tokens: SuPreME's 1D vision transformer (Eq. 1, 2 and 5)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.supreme.config import LEAD_COUNT, EncoderConfig


def patchify(ecg: Float[Tensor, "batch lead time"], patch: int) -> Float[Tensor, "batch lead position patch"]:
    """Cut every lead into patches of `patch` samples; `unpatchify` puts them together again.

    >>> patchify(torch.zeros(1, 12, 5000), 125).shape
    torch.Size([1, 12, 40, 125])
    """
    return ecg.unflatten(-1, (-1, patch))


def unpatchify(patches: Float[Tensor, "batch lead position patch"]) -> Float[Tensor, "batch lead time"]:
    """The ECG that was cut."""
    return patches.flatten(-2)


class DropPath(nn.Module):
    """Stochastic depth: in training, a record skips the sub-layer with this probability; its expectation stays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, change: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Drop the sub-layer's change for some records."""
        if not self.training or self.rate == 0:
            return change
        kept = torch.rand(len(change), 1, 1, device=change.device) >= self.rate
        return change * (kept / (1 - self.rate)).to(change.dtype)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the tokens of one ECG."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Mix the tokens."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (batch, head, token, width / heads)
        return self.out(mixed.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """One pre-norm transformer block, the first two lines of Eq. 5."""

    def __init__(self, config: EncoderConfig, drop_path: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = SelfAttention(config.width, config.heads)
        self.mlp_norm = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, config.mlp), nn.GELU(), nn.Linear(config.mlp, config.width))
        self.drop = DropPath(drop_path)

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Add what attention and the feed-forward layer change."""
        tokens = tokens + self.drop(self.attention(self.attention_norm(tokens)))
        return tokens + self.drop(self.mlp(self.mlp_norm(tokens)))


class LinearStem(nn.Module):
    """One learned projection a patch, Eq. 1: of a lead's patch (lead tokens) or of all leads' (flat tokens)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.flat = config.tokens == "flat"
        self.projection = nn.Linear(config.patch * (LEAD_COUNT if self.flat else 1), config.width)

    def forward(self, ecg: Float[Tensor, "batch lead time"]) -> Float[Tensor, "batch group position width"]:
        """Project each patch."""
        patches = patchify(ecg, self.patch)  # (batch, lead, position, patch)
        if self.flat:
            patches = patches.transpose(1, 2).flatten(-2).unsqueeze(1)  # (batch, 1, position, lead * patch)
        return self.projection(patches)


class EcgEncoder(nn.Module):
    """ECG in, tokens out."""

    def __init__(self, config: EncoderConfig, *, drop_path: float) -> None:
        super().__init__()
        self.config = config
        self.stem = LinearStem(config)
        self.position = nn.Parameter(torch.randn(config.patches, config.width) * config.position_std)
        self.lead = (
            nn.Parameter(torch.randn(LEAD_COUNT, 1, config.width) * config.position_std)
            if config.tokens == "lead"
            else None
        )
        ramp = [drop_path * layer / max(config.depth - 1, 1) for layer in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in ramp)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, ecg: Float[Tensor, "batch lead=12 time"]) -> Float[Tensor, "batch token width"]:
        """Stem, embeddings (Eq. 2), blocks (Eq. 5), last norm."""
        tokens = self.stem(ecg) + self.position  # (batch, lead or 1, position, width)
        if self.lead is not None:
            tokens = tokens + self.lead  # Eq. 2
        tokens = tokens.flatten(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)
