"""The simulator's ways of stepping: equal to the plain loop, of their order, differentiable, on any device."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.waveform.ode import BLOCK, Method, cycle_slope, recur, turn
from ecgray.waveform.simulator import (
    Eta,
    Waves,
    beat_omega,
    course_of,
    draw,
    mcsharry,
    simulate,
    typical,
    voltage_slope,
)

METHODS: tuple[Method, ...] = ("euler", "rk4")
DEVICES = ["cpu", "meta", *(["cuda"] if torch.cuda.is_available() else [])]
"""`meta` computes nothing, but a tensor made on the CPU by mistake fails there as it would on a GPU."""


def some_waves(*batch: int, seed: int = 0) -> Waves:
    """The typical lead, varied."""
    one, generator = typical(), torch.Generator().manual_seed(seed)
    amplitude, centre, width = (
        part * (1 + 0.2 * torch.rand(*batch, 5, generator=generator, dtype=torch.float64))
        for part in (one.amplitude_mv, one.centre_s, one.width_s)
    )
    return replace(one, amplitude_mv=amplitude, centre_s=centre, width_s=width)


def some_rr(records: int, *, seed: int = 0, beats: int = 14) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.7 + 0.4 * torch.rand(records, beats, generator=generator, dtype=torch.float64)


State = tuple[Tensor, Tensor, Tensor]
Field = Callable[[State, float], State]


def plain_euler(field: Field, state: State, dt: float) -> State:
    return tuple(value + dt * slope for value, slope in zip(state, field(state, 0.0), strict=True))


def plain_rk4(field: Field, state: State, dt: float) -> State:
    def ahead(slopes: State, by: float) -> State:
        return tuple(value + by * slope for value, slope in zip(state, slopes, strict=True))

    first = field(state, 0.0)
    second = field(ahead(first, dt / 2), 0.5)
    third = field(ahead(second, dt / 2), 0.5)
    fourth = field(ahead(third, dt), 1.0)
    return tuple(
        value + dt / 6 * (a + 2 * b + 2 * c + d)
        for value, a, b, c, d in zip(state, first, second, third, fourth, strict=True)
    )


def plain(morphology: Waves, rr: Tensor, *, fs: float, seconds: float, slant: float, method: Method) -> Tensor:
    """Equations 4 to 10 as they stand, for one lead: step by step, with a baseline that rises by `slant` mV/s."""
    omega = beat_omega(rr, fs=fs, steps=round(seconds * fs))
    begins = 0.2 + torch.cumsum(rr, -1) - rr
    stretched = morphology.at(rr[begins < seconds].mean())
    state = (torch.cos(-omega[0] * 0.2), torch.sin(-omega[0] * 0.2), torch.zeros((), dtype=torch.float64))
    voltages = []
    for step, turn_rate in enumerate(omega):

        def field(at: State, part: float, *, turn_rate: Tensor = turn_rate, step: int = step) -> State:
            x, y, z = at
            rest = torch.as_tensor(slant * (step + part) / fs, dtype=torch.float64)
            slope = voltage_slope(torch.atan2(y, x), z, stretched.phases(turn_rate), baseline=rest)
            return *cycle_slope(x, y, turn_rate), slope

        voltages.append(state[2])
        state = (plain_euler if method == "euler" else plain_rk4)(field, state, 1 / fs)
    return torch.stack(voltages)


@pytest.mark.parametrize("method", METHODS)
def test_strips_equal_the_plain_loop(method: Method):
    waves, rr, fs, seconds = some_waves(2, 2), some_rr(2), 250.0, 1.5
    slant = 0.1
    baseline = slant * torch.arange(round(fs * seconds), dtype=torch.float64).expand(2, -1) / fs
    strips = simulate(waves, rr, fs=fs, duration_s=seconds, baseline=baseline, method=method)
    for record, lead in itertools.product(range(2), range(2)):
        alone = replace(
            waves,
            **{name: getattr(waves, name)[record, lead] for name in ("amplitude_mv", "centre_s", "width_s")},
        )
        expected = plain(alone, rr[record], fs=fs, seconds=seconds, slant=slant, method=method)
        torch.testing.assert_close(strips[record, lead], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK**2 + 5])
@pytest.mark.parametrize("keep", [0.998, 0.5, 0.0, -0.3, 1.0])
def test_the_recurrence_in_blocks_equals_the_loop(steps: int, keep: float):
    push = torch.randn(2, steps, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, expected = torch.zeros(2, dtype=torch.float64), []
    for pushed in push.unbind(-1):
        z = keep * z + pushed
        expected.append(z)
    torch.testing.assert_close(recur(push, keep=keep), torch.stack(expected, -1), atol=1e-9, rtol=0)


def breathing(fs: float, steps: int) -> Tensor:
    return 0.1 * torch.sin(2 * math.pi * 0.3 * torch.arange(steps, dtype=torch.float64) / fs + 0.4)[None]


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4)])
def test_order(method: Method, order: int):
    """Half the step: half the error with explicit Euler, a sixteenth with RK4, at constant omega."""
    waves, rr, seconds, finest = some_waves(1), torch.full((1, 3), 0.8, dtype=torch.float64), 0.3, 8_000

    def strip(fs: int, by: Method) -> Tensor:
        steps = round(fs * seconds)
        return simulate(waves, rr, fs=fs, duration_s=seconds, baseline=breathing(fs, steps), method=by)[0, 0]

    truth = strip(finest, "rk4")
    errors = [float((strip(fs, method) - truth[:: finest // fs]).abs().max()) for fs in (500, 1000, 2000)]
    orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert all(abs(one - order) < 0.1 * order for one in orders), (orders, errors)


def test_rk4_goes_round_on_time():
    steps = 2500
    omega = beat_omega(torch.ones(1, 12, dtype=torch.float64), fs=500, steps=steps)
    ahead = turn(omega, fs=500.0, start_rad=0.0, method="rk4")[0, -1] - 2 * math.pi * ((steps - 1) / 500 - 5)
    assert abs(float(ahead)) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["waves", "eta"])
def test_strips_are_differentiable_in_the_morphology(method: Method, kind: str):
    """Against finite differences, over more than one block."""
    course = course_of(some_rr(2), fs=100.0, duration_s=(BLOCK + 6) / 100, method=method)
    lead = some_waves(1)

    def strip(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        if kind == "waves":
            return draw(replace(lead, amplitude_mv=first, centre_s=second, width_s=third), course)
        return draw(Eta(theta=first, a=second, b=third), course)

    eta = mcsharry()
    values = (lead.amplitude_mv, lead.centre_s, lead.width_s * 3) if kind == "waves" else (eta.theta, eta.a, eta.b)
    inputs = [value.reshape(1, 5).clone().requires_grad_() for value in values]
    assert torch.autograd.gradcheck(strip, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("device", DEVICES)
def test_strips_lie_where_the_morphology_does(device: str, method: Method):
    waves, rr = some_waves(3, 12), some_rr(3)
    there = Waves(*(part.to(device) for part in (waves.amplitude_mv, waves.centre_s, waves.width_s, waves.stretches)))
    strips = simulate(there, rr, duration_s=1.0, method=method)
    assert (strips.device.type, strips.shape) == (device, (3, 12, 500))
    eta = there.phases(2 * math.pi)
    assert draw(eta, course_of(rr, duration_s=1.0)).device.type == device
    if device == "cuda":
        torch.testing.assert_close(strips.cpu(), simulate(waves, rr, duration_s=1.0, method=method))
        everything = simulate(there, rr.to(device), duration_s=1.0, method=method)
        torch.testing.assert_close(everything, strips)


@pytest.mark.parametrize("method", METHODS)
def test_classes_and_trials_are_one_batch(method: Method):
    """One record's RR for 4 classes of 3 trials each, and a row of RR for each class."""
    waves = some_waves(4, 3, 2)
    shared = simulate(waves, some_rr(1), duration_s=1.0, method=method)
    assert shared.shape == (4, 3, 2, 500)
    rr = some_rr(4)
    strips = simulate(waves, rr[:, None], duration_s=1.0, method=method)
    for number in range(4):
        one = replace(waves, **{name: getattr(waves, name)[number] for name in ("amplitude_mv", "centre_s", "width_s")})
        alone = simulate(one, rr[number : number + 1], duration_s=1.0, method=method)
        torch.testing.assert_close(strips[number], alone)


def test_single_precision_is_the_morphologys():
    waves = some_waves(2, 12)
    single = replace(waves, **{name: getattr(waves, name).float() for name in ("amplitude_mv", "centre_s", "width_s")})
    strips = simulate(single, some_rr(2))
    assert strips.dtype == torch.float32
    torch.testing.assert_close(strips.double(), simulate(waves, some_rr(2)), atol=1e-4, rtol=0)


def test_intervals_beyond_the_strip_change_nothing():
    waves, rr = some_waves(2, 1), some_rr(2, beats=20)
    slow = torch.cat([rr, torch.full((2, 5), 3.0, dtype=torch.float64)], dim=-1)
    torch.testing.assert_close(simulate(waves, rr), simulate(waves, slow))


@pytest.mark.parametrize(
    ("rr", "options", "message"),
    [
        ([0.8, math.nan], {}, "^An RR interval is nan; each record needs one or more, in seconds, above zero.$"),
        ([0.8, 0.0], {}, "^An RR interval is 0.0; "),
        ([0.8, -0.5], {}, "^An RR interval is -0.5; "),
        ([math.inf], {}, "^An RR interval is inf; "),
        ([], {}, "^An RR interval is none; "),
        ([0.8], {"fs": 0.0}, "^fs=0.0 Hz and duration_s=10.0 make no strip; both must be positive.$"),
        ([0.8], {"fs": -500.0}, "^fs=-500.0 Hz "),
        ([0.8], {"fs": math.nan}, "^fs=nan Hz "),
        ([0.8], {"duration_s": 0.0}, "^fs=500.0 Hz and duration_s=0.0 "),
        ([0.8], {"baseline": torch.zeros(1, 7)}, "^The baseline has 7 steps and the strip 5000; "),
    ],
)
def test_what_makes_no_strip_is_refused(rr: list[float], options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        simulate(some_waves(1), torch.tensor([rr], dtype=torch.float64), **options)


def test_an_unknown_method_is_refused():
    """Past the type checker, as from a settings file."""
    unchecked = getattr(course_of, "__wrapped__", course_of)
    with pytest.raises(ConfigError, match=r"^Method 'heun' is unknown; it must be one of euler, rk4\.$"):
        unchecked(some_rr(1), method="heun")
