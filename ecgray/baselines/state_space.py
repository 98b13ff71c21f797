"""A diagonal state-space layer, S4D (Gu et al., 2022), as a long convolution computed by the Fourier transform.

Each channel has N / 2 complex states: x' = A x + u, y = 2 Re(C x) + D u with A_n = -1/2 + i pi n at first. Held over
a step dt (zero-order hold), the layer is the recurrence x_k = exp(dt A) x_{k-1} + B u_k, B = (exp(dt A) - 1) / A, which
is the convolution with K_l = 2 Re sum_n C_n B_n exp(dt A_n)^l.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1
"""dt at first, spread evenly in the logarithm over channels."""


class StateSpace(nn.Module):
    """Both directions of time: every sample is told what came before it and what comes after it."""

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        half = states // 2
        spread = torch.linspace(math.log(SHORTEST_STEP), math.log(LONGEST_STEP), width)
        self.log_step = nn.Parameter(spread)
        self.log_decay = nn.Parameter(torch.full((width, half), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(half).float().repeat(width, 1))
        self.read = nn.Parameter(torch.randn(2, width, half, 2) * half**-0.5)  # C, forward and backward
        self.past = nn.Parameter(torch.randn(width))  # D

    def discrete(self) -> tuple[Complex[Tensor, "width state"], Complex[Tensor, "direction=2 width state"]]:
        """The products dt A, and C B of both directions."""
        rate = torch.complex(-self.log_decay.exp(), self.frequency)
        turn = rate * self.log_step.exp()[:, None]
        return turn, torch.view_as_complex(self.read.contiguous()) * ((turn.exp() - 1) / rate)

    def kernel(self, samples: int) -> Float[Tensor, "direction=2 width sample"]:
        """K of both directions.

        With l = r i + j, exp(l dt A) is a product of two factors of about sqrt(L) values each: the sum over states is
        a small matrix product, and no table of states by samples is ever made.
        """
        turn, weight = self.discrete()
        side = math.isqrt(samples - 1) + 1
        place = torch.arange(side, device=turn.device)
        fine = torch.exp(turn[..., None] * place)  # (width, state, j)
        coarse = torch.exp(turn[..., None] * (side * place)) * weight[..., None]  # (direction, width, state, i)
        return 2 * (coarse.transpose(-1, -2) @ fine).real.flatten(-2)[..., :samples]

    def forward(self, signal: Float[Tensor, "batch width sample"]) -> Float[Tensor, "batch width sample"]:
        """Both convolutions at once: the backward kernel stands at negative lags of one that is twice as long."""
        samples = signal.shape[-1]
        ahead, back = self.kernel(samples)
        # Lag 0 belongs to both directions. Index 2 L - l is lag -l of the circular convolution.
        both = torch.cat([ahead, torch.zeros_like(ahead)], dim=-1)
        both = both + torch.cat([back[:, :1], torch.zeros_like(back), back[:, 1:].flip(-1)], dim=-1)
        spectrum = torch.fft.rfft(signal, n=2 * samples) * torch.fft.rfft(both)
        return torch.fft.irfft(spectrum, n=2 * samples)[..., :samples] + self.past[:, None] * signal
