"""The ODEs of the simulator, stepped by explicit Euler or by RK4 (SE-Diff Eq. 4, 5 and 7-10).

The point's way round the circle (Eq. 4) is stepped in a loop over time. The voltage's equation (Eq. 5) is linear in the
voltage: given the waves' slope it is a recurrence, solved in blocks without such a loop (`recur`). Both equal the plain
loop of the equations to rounding.

What this is not: the waves themselves. `ecgray.waveform.simulator` has them.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Method = Literal["euler", "rk4"]

BLOCK = 64
"""Steps of the voltage's recurrence that one small matrix takes at once."""


def cycle_slope(
    x: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"], omega: Float[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """dx/dt and dy/dt: the pull to the unit circle and the turn round it (Eq. 4)."""
    alpha = 1 - torch.sqrt(x**2 + y**2)
    return alpha * x - omega * y, alpha * y + omega * x


def turn(
    omega: Float[Tensor, "*batch time"],
    *,
    fs: float,
    start_rad: Float[Tensor, "*#batch"] | float,
    method: Method = "euler",
) -> Float[Tensor, "*batch time"]:
    """The phase at each step, round the circle (Eq. 4, 8 and 9).

    At 500 Hz and 60 bpm Euler's circle has a radius of 1.02 to 1.04 and its phase runs ahead by 0.3 ms in ten seconds.
    """
    return turn_stages(omega, fs=fs, start_rad=start_rad, method=method)[0]


def turn_stages(
    omega: Float[Tensor, "*batch time"],
    *,
    fs: float,
    start_rad: Float[Tensor, "*#batch"] | float,
    method: Method = "euler",
) -> Float[Tensor, "stage *batch time"]:
    """The phases at which each step looks: Euler at its beginning alone, RK4 at four, all with the step's omega."""
    start = torch.as_tensor(start_rad).to(omega).expand(omega.shape[:-1])
    x, y = torch.cos(start), torch.sin(start)
    points_x, points_y = [], []
    for turn_rate in omega.unbind(-1):
        at_x, at_y, x, y = _STEPS[method](x, y, turn_rate, 1 / fs)
        points_x += at_x
        points_y += at_y
    phases = torch.atan2(torch.stack(points_y), torch.stack(points_x))  # (time stage, *batch)
    return phases.unflatten(0, (omega.shape[-1], -1)).movedim(0, -1).contiguous()


Points = tuple[list[Tensor], list[Tensor], Tensor, Tensor]


def _euler_step(x: Tensor, y: Tensor, omega: Tensor, dt: float) -> Points:
    """The points at which a step looks, x and y, and the point to which it leads (Eq. 8 and 9)."""
    slope_x, slope_y = cycle_slope(x, y, omega)
    return [x], [y], torch.add(x, slope_x, alpha=dt), torch.add(y, slope_y, alpha=dt)


def _rk4_step(x: Tensor, y: Tensor, omega: Tensor, dt: float) -> Points:
    """The same by the classical Runge-Kutta scheme."""
    at_x, at_y, x_next, y_next = [x], [y], x, y
    for ahead, share in ((dt / 2, dt / 6), (dt / 2, dt / 3), (dt, dt / 3), (None, dt / 6)):
        slope_x, slope_y = cycle_slope(at_x[-1], at_y[-1], omega)
        x_next, y_next = torch.add(x_next, slope_x, alpha=share), torch.add(y_next, slope_y, alpha=share)
        if ahead is not None:
            at_x.append(torch.add(x, slope_x, alpha=ahead))
            at_y.append(torch.add(y, slope_y, alpha=ahead))
    return at_x, at_y, x_next, y_next


_STEPS = {"euler": _euler_step, "rk4": _rk4_step}


def recur(push: Float[Tensor, "*batch time"], *, keep: float) -> Float[Tensor, "*batch time"]:
    """The linear recurrence z[l] = keep z[l-1] + push[l] from z = 0, in blocks instead of step by step.

    Inside a block one triangular matrix of powers of `keep` does it; the blocks' last values obey the same recurrence,
    with keep^BLOCK.

    >>> recur(torch.tensor([8.0, 1.0, 1.0, 1.0]), keep=0.5)
    tensor([8.0000, 5.0000, 3.5000, 2.7500])
    """
    steps = push.shape[-1]
    age = torch.arange(min(steps, BLOCK), dtype=torch.float64)
    kept = torch.triu(keep ** (age - age[:, None]).clamp(min=0)).to(push)  # (pushed at, seen at)
    if steps <= BLOCK:
        return push @ kept
    blocks = torch.nn.functional.pad(push, (0, -steps % BLOCK)).unflatten(-1, (-1, BLOCK))
    lasts = recur(blocks @ kept[:, -1], keep=keep**BLOCK)
    before = torch.nn.functional.pad(lasts[..., :-1], (1, 0))[..., None]
    blocks = torch.cat([blocks[..., :1] + keep * before, blocks[..., 1:]], dim=-1)
    return (blocks @ kept).flatten(-2)[..., :steps]


def relax(
    wave: Float[Tensor, "*batch time"], baseline: Float[Tensor, "*#batch time"], *, fs: float
) -> Float[Tensor, "*batch time"]:
    """The voltage from the waves' slope, by explicit Euler from z = z0 (Eq. 5 and 10)."""
    return _started((wave + baseline) / fs, baseline, keep=1 - 1 / fs)


def relax_rk4(
    wave: Float[Tensor, "stage=4 *batch time"], baseline: Float[Tensor, "*#batch time"], *, fs: float
) -> Float[Tensor, "*batch time"]:
    """The voltage from the waves' slope at the four stages of each step (Eq. 5), by RK4 from z = z0.

    Equation 5 is linear in z, so the four slopes join into one push a step. Between two steps z0 is what the cubic
    through the four nearest ones says, lest it lower the order.
    """
    dt = 1 / fs
    shares = torch.tensor([1 - dt + dt**2 / 2 - dt**3 / 4, 2 - dt + dt**2 / 2, 2 - dt, 1.0], dtype=torch.float64)
    shares = (shares * dt / 6).to(wave)
    middle, after = _half_way(baseline), torch.cat([baseline[..., 1:], baseline[..., -1:]], dim=-1)
    rest = torch.stack([baseline, middle, middle, after])
    push = torch.tensordot(shares, wave, dims=1) + torch.tensordot(shares, rest, dims=1)
    return _started(push, baseline, keep=1 - dt + dt**2 / 2 - dt**3 / 6 + dt**4 / 24)


def _started(
    push: Float[Tensor, "*batch time"], baseline: Float[Tensor, "*#batch time"], *, keep: float
) -> Float[Tensor, "*batch time"]:
    """z[l+1] = keep z[l] + push[l] from z[0] = z0[0]."""
    first = baseline[..., :1].expand(*push.shape[:-1], 1)
    return recur(torch.cat([first, push[..., :-1]], dim=-1), keep=keep)


def _half_way(baseline: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch time"]:
    """The baseline half a step later, by cubic interpolation; at the ends by the cubic of the four end steps."""
    if baseline.shape[-1] < 4:
        return (baseline + torch.cat([baseline[..., 1:], baseline[..., -1:]], dim=-1)) / 2
    inner = torch.tensor([-1.0, 9.0, 9.0, -1.0]).to(baseline) / 16
    start = torch.tensor([5.0, 15.0, -5.0, 1.0]).to(baseline) / 16
    middle = baseline.unfold(-1, 4, 1) @ inner
    first, last = baseline[..., :4] @ start, baseline[..., -4:].flip(-1) @ start
    return torch.cat([first[..., None], middle, last[..., None], baseline[..., -1:]], dim=-1)
