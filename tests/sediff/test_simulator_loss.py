"""The simulator's losses: zero on the simulator's own beats, felt by the denoiser, blind to what is not known."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
import torch
from drawn_conditions import draw_condition, make_diffusion

from ecgray.leads import LEADS
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.diffusion import Diffusion, DiffusionBatch, DiffusionLosses, diffusion_loss
from ecgray.sediff.diffusion_config import SIZES, SimulatorLossConfig
from ecgray.sediff.simulator_loss import BeatSimulator, frontal_slopes
from ecgray.sediff.vae import Vae
from ecgray.waveform.morphologies import class_of, fitted

FIT = fitted()


def own_beats() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The fitted beats, their classes, their heart rates."""
    return FIT.draw().float(), torch.arange(len(FIT.classes)), (60 / FIT.rr_s).float()


@pytest.mark.parametrize("phases", ["milliseconds", "fixed"])
def test_the_simulators_own_beats_cost_nothing(phases: Literal["milliseconds", "fixed"]) -> None:
    """Eq. 18 is the residual of Eq. 10: zero along a trajectory of the simulator."""
    beats, cls, rate = own_beats()
    simulator = BeatSimulator(FIT, phases=phases)
    none = simulator.losses(beats, cls, rate, weight=torch.ones(len(cls)))
    other = simulator.losses(beats.roll(1, dims=0), cls, rate, weight=torch.ones(len(cls)))
    assert float(none.euler) < 1e-6
    assert float(other.euler) > 50  # (mV/s)^2
    assert none.judged == len(cls)


def test_only_fixed_phases_ask_for_a_wider_qrs_at_a_slower_rate() -> None:
    """The class's beat, drawn at its own rate, is right at 75 % of that rate too, but for the T wave."""
    beats, cls, rate = own_beats()
    weight = torch.ones(len(cls))
    milliseconds = BeatSimulator(FIT, phases="milliseconds").losses(beats, cls, 0.75 * rate, weight=weight)
    fixed = BeatSimulator(FIT, phases="fixed").losses(beats, cls, 0.75 * rate, weight=weight)
    assert float(fixed.euler) > 20 * float(milliseconds.euler)


def test_leads_that_agree_cost_nothing_between_them() -> None:
    """Eq. 20 vanishes where child and parents follow one field, and each identity is felt."""
    slopes = torch.randn(3, 12, 50)
    one, two = slopes[:, 0], slopes[:, 1]
    for lead, derived in zip((2, 3, 4, 5), (two - one, -(one + two) / 2, one - two / 2, two - one / 2), strict=True):
        slopes[:, lead] = derived
    assert frontal_slopes(slopes, slopes).abs().max() < 1e-5
    for lead in range(6):
        wrong = slopes.clone()
        wrong[:, lead] += 1
        assert frontal_slopes(wrong, slopes).abs().amax(dim=(0, 2)).max() > 0.4, LEADS[lead]


def test_the_sum_is_six_times_299_times_the_mean() -> None:
    beats, cls, rate = own_beats()
    simulator, weight = BeatSimulator(FIT, phases="milliseconds"), torch.ones(len(cls))
    mean = simulator.losses(beats, cls, rate, weight=weight, inter_lead="mean").inter_lead
    total = simulator.losses(beats, cls, rate, weight=weight, inter_lead="sum").inter_lead
    assert float(total) == pytest.approx(6 * 299 * float(mean), rel=1e-4)


def test_records_without_class_or_rate_are_left_out() -> None:
    beats, cls, rate = own_beats()
    simulator = BeatSimulator(FIT, phases="milliseconds")
    known = simulator.losses(beats[:4], cls[:4], rate[:4], weight=torch.ones(4))
    beats[4:6] = torch.nan
    odd, unknown = cls[:6].clone(), rate[:6].clone()
    odd[4], unknown[5] = -1, torch.nan
    found = simulator.losses(beats[:6], odd, unknown, weight=torch.ones(6))
    assert found.judged == 4
    torch.testing.assert_close(6 * found.euler, 4 * known.euler)
    assert simulator.losses(beats[:2], cls[:2] * 0 - 1, rate[:2], weight=torch.ones(2)).judged == 0


@pytest.mark.parametrize("term", ["euler", "inter_lead"])
def test_two_workers_see_the_loss_of_one(term: str) -> None:
    """Seven records of one share can be judged and one of the other: each counts as in a batch of all."""
    simulator, generator = BeatSimulator(FIT, phases="milliseconds"), torch.Generator().manual_seed(2)
    beats, weight = torch.randn(16, 12, 300, generator=generator), torch.rand(16, generator=generator)
    cls = torch.tensor([0, 3, 7, 1, 2, 5, 4, -1, -1, -1, -1, -1, 9, -1, -1, -1])

    def loss(rows: slice) -> torch.Tensor:
        rate = torch.full((len(cls[rows]),), 70.0)
        return getattr(simulator.losses(beats[rows], cls[rows], rate, weight=weight[rows]), term)

    shares = [loss(slice(8)), loss(slice(8, None))]
    torch.testing.assert_close(torch.stack(shares).mean(), loss(slice(None)))
    assert shares[0] > 3 * shares[1]


def test_the_class_that_shapes_the_beat_most_judges_it() -> None:
    assert FIT.classes[class_of({"sinus bradycardia", "right bundle branch block", "arrhythmia"}, FIT.classes)] == (
        "right bundle branch block"
    )
    assert class_of({"arrhythmia"}, FIT.classes) == class_of(set(), FIT.classes) == -1


def losses_of(diffusion: Diffusion, rules: SimulatorLossConfig) -> DiffusionLosses:
    torch.manual_seed(3)
    vae = Vae(VAE_SIZES["debug"]).eval().requires_grad_(False)
    batch = DiffusionBatch(
        torch.randn(4, 4, 128), draw_condition(4), torch.tensor([0, 3, 7, -1]), torch.full((4,), 70.0)
    )
    return diffusion_loss(
        diffusion,
        batch,
        config=dataclasses.replace(SIZES["debug"], simulator=rules),
        schedule=diffusion.schedule,
        vae=vae,
        simulator=BeatSimulator(FIT, phases="milliseconds"),
        generator=torch.Generator().manual_seed(1),
    )


@pytest.mark.parametrize("term", ["euler", "inter_lead"])
@pytest.mark.parametrize("beat_of", ["estimate", "latent"])
def test_the_simulators_losses_reach_the_denoiser(term: str, beat_of: Literal["estimate", "latent"]) -> None:
    """With the beat of z_0-hat they change its gradient; with that of z_0, as printed, not by a bit."""
    diffusion = make_diffusion()
    weights = [weight for weight in diffusion.parameters() if weight.requires_grad]

    def gradient(rules: SimulatorLossConfig) -> torch.Tensor:
        total = losses_of(diffusion, rules).total
        found = torch.autograd.grad(total, weights, allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    name = {"euler": "lambda_euler", "inter_lead": "gamma_inter_lead"}[term]
    off = SimulatorLossConfig(lambda_euler=0, gamma_inter_lead=0)
    on = dataclasses.replace(off, beat_of=beat_of, **{name: 1.0})  # type: ignore[arg-type]
    change = (gradient(on) - gradient(off)).norm()
    assert (change > 1e-4) == (beat_of == "estimate")


def test_each_loss_is_logged_by_itself() -> None:
    diffusion = make_diffusion()
    found = losses_of(diffusion, SimulatorLossConfig(lambda_euler=0.5, gamma_inter_lead=0.25))
    assert found.total.item() == pytest.approx(
        float(found.ddpm) + 0.5 * float(found.euler) + 0.25 * float(found.inter_lead), rel=1e-5
    )
    assert found.judged == 3
    alone = losses_of(diffusion, SimulatorLossConfig(lambda_euler=0, gamma_inter_lead=0))
    assert (alone.total.item(), alone.judged) == (pytest.approx(float(found.ddpm)), 0)
