"""The state-space layer: its convolution is its recurrence, in both directions."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.baselines.state_space import StateSpace


def recurrence(layer: StateSpace, signal: torch.Tensor, direction: int) -> torch.Tensor:
    """x_k = exp(dt A) x_{k-1} + B u_k and y_k = 2 Re(C x_k), sample after sample."""
    turn, weight = layer.discrete()
    state = torch.zeros(len(signal), *turn.shape, dtype=turn.dtype)
    out = []
    for value in signal.unbind(-1):
        state = turn.exp() * state + value[..., None]
        out.append(2 * (weight[direction] * state).sum(-1).real)
    return torch.stack(out, dim=-1)


@settings(max_examples=6, deadline=None)
@given(samples=st.integers(2, 40), seed=st.integers(0, 99))
def test_the_convolution_is_the_recurrence(samples: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = StateSpace(3, 8).double()
    signal = torch.randn(2, 3, samples, dtype=torch.float64)
    ahead = recurrence(layer, signal, 0)
    back = recurrence(layer, signal.flip(-1), 1).flip(-1)
    with torch.no_grad():
        torch.testing.assert_close(layer(signal), ahead + back + layer.past[:, None] * signal)


def test_a_sample_is_told_of_both_sides_and_of_no_end() -> None:
    """An impulse reaches forward and backward; nothing comes round from the other end."""
    torch.manual_seed(0)
    layer = StateSpace(2, 8)
    for at in (0, 63):
        pulse = torch.zeros(1, 2, 64)
        pulse[..., at] = 1
        with torch.no_grad():
            answer, kernel = layer(pulse)[0], layer.kernel(64)
        away = kernel[0] if at == 0 else kernel[1].flip(-1)
        far = slice(1, None) if at == 0 else slice(None, -1)
        torch.testing.assert_close(answer[:, far], away[:, far], atol=1e-5, rtol=1e-4)
