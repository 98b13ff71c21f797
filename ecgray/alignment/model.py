"""The scorer: an ECG's encoder and a text's projector into one space, in which what belongs together is near."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.alignment.config import ScorerConfig
from ecgray.alignment.resnet import ResNet
from ecgray.supreme.encoder import EcgEncoder

LARGEST_SCALE = 100.0
"""Cosines are never multiplied by more (CLIP's limit)."""


class TokenMean(nn.Module):
    """SuPreME's encoder, its tokens averaged."""

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.encoder = EcgEncoder(config.supreme, drop_path=config.dropout)
        self.width = config.supreme.width

    def forward(self, ecg: Float[Tensor, "batch lead=12 time"]) -> Float[Tensor, "batch width"]:
        """Read the record."""
        return self.encoder(ecg).mean(dim=1)


class Scorer(nn.Module):
    """Both sides, each a vector of length 1. The text encoder is frozen and stands outside: texts come as its vectors.

    >>> from ecgray.alignment.config import SIZES
    >>> scorer = Scorer(SIZES["debug"]).eval()
    >>> ecg, text, scale = scorer(torch.zeros(2, 12, 5000), torch.randn(2, 768))
    >>> ecg.shape, text.shape, round(scale.item(), 2)
    (torch.Size([2, 16]), torch.Size([2, 16]), 14.29)
    """

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResNet(config.resnet) if config.encoder == "resnet" else TokenMean(config)
        self.ecg_projector = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(self.encoder.width, config.width))
        self.text_projector = nn.Sequential(
            nn.Linear(config.text_width, config.text_hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.text_hidden, config.width),
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))

    def forward(
        self, ecg: Float[Tensor, "batch lead=12 time"], text: Float[Tensor, "text vector"]
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "text width"], Float[Tensor, ""]]:
        """The two embeddings, and what their cosines are multiplied by."""
        return self.embed_ecg(ecg), self.embed_text(text), self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def embed_ecg(self, ecg: Float[Tensor, "batch lead=12 time"]) -> Float[Tensor, "batch width"]:
        """Preprocessed ECGs as vectors of length 1."""
        return F.normalize(self.ecg_projector(self.encoder(ecg)).float(), dim=-1)

    def embed_text(self, text: Float[Tensor, "text vector"]) -> Float[Tensor, "text width"]:
        """The text encoder's vectors as vectors of length 1."""
        return F.normalize(self.text_projector(text).float(), dim=-1)
