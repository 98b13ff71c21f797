"""Conditions and a small diffusion for tests."""

from __future__ import annotations

import torch

from ecgray.sediff.condition import Condition
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES, DiffusionConfig


def draw_condition(batch: int, *, tokens: int = 1, width: int = 768, seed: int = 0) -> Condition:
    """Random texts and reports, and numbers that hearts and people have."""
    random = torch.Generator().manual_seed(seed)
    text = torch.randn(batch, tokens, width, generator=random)
    numbers = torch.tensor([60.0, 1.0, 80.0]) + torch.tensor([10.0, 0.0, 15.0]) * torch.randn(
        batch, 3, generator=random
    )
    known = torch.ones(batch, tokens, dtype=torch.bool)
    return Condition(text, known, text.flip(0), known.clone(), numbers, torch.ones(batch, 3, dtype=torch.bool))


def make_diffusion(config: DiffusionConfig | None = None, *, seed: int = 0, waken: bool = True) -> Diffusion:
    """A diffusion whose zeroed layers have weights, so that everything it is told matters."""
    torch.manual_seed(seed)
    diffusion = Diffusion(config or SIZES["debug"]).eval()
    if waken:
        for weight in diffusion.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.05)
    return diffusion
