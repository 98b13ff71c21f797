"""Where a classifier looked: integrated gradients of one answer (Sundararajan, Taly and Yan 2017)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ecgray.supreme.model import Supreme


def integrated_gradients(
    model: Supreme,
    ecg: Float[Tensor, "lead=12 time"],
    query: Float[Tensor, "one=1 text"],
    *,
    points: int = 32,
) -> tuple[float, float, Float[Tensor, "lead=12 time"]]:
    """The logit of a preprocessed ECG, that of the flat line (zeros), and what each sample adds between the two.

    A sample's part is its value times the mean slope of the logit along the straight way from the flat line to the
    ECG. The parts add up to the difference of the logits, but for the quadrature's error: `points` of Gauss and
    Legendre in the cube root of the way, because a network with layer norms turns most where the line is nearly flat.
    """
    node, weight = np.polynomial.legendre.leggauss(points)
    place = torch.from_numpy((node + 1) / 2).to(ecg)
    share, mass = place**3, torch.from_numpy(weight / 2).to(ecg) * 3 * place**2
    on_the_way = (share[:, None, None] * ecg).requires_grad_(True)
    logits = model(on_the_way, query, query_self_attention="diagonal")
    (slope,) = torch.autograd.grad(logits.sum(), on_the_way)
    with torch.no_grad():
        ends = torch.stack([ecg, torch.zeros_like(ecg)])
        logit, base = model(ends, query, query_self_attention="diagonal").float().flatten().tolist()
    return logit, base, torch.einsum("p,plt->lt", mass, slope) * ecg
