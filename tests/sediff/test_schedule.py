"""The forward process against diffusers' own, and what each prediction implies."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler

from ecgray.errors import ConfigError
from ecgray.sediff.diffusion_config import NoisePath, Prediction, ScheduleConfig
from ecgray.sediff.schedule import Schedule

KINDS = [("linear", "epsilon"), ("linear", "v"), ("cosine", "epsilon"), ("cosine", "v"), ("flow", "flow")]


def drawn(batch: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    latent, noise = torch.randn(2, batch, 4, 128, generator=random)
    return latent, noise, torch.randint(0, 990, (batch,), generator=random)


@pytest.mark.parametrize(("path", "prediction"), KINDS)
def test_a_denoiser_that_is_right_implies_the_latent_and_the_noise(path: NoisePath, prediction: Prediction) -> None:
    schedule = Schedule(ScheduleConfig(path=path, prediction=prediction))
    latent, noise, time = drawn()
    noised = schedule.noised(latent, noise, time)
    said = schedule.target(latent, noise, time)
    torch.testing.assert_close(schedule.estimate(noised, said, time), latent, atol=3e-4, rtol=1e-3)
    torch.testing.assert_close(schedule.implied_noise(noised, said, time), noise, atol=3e-4, rtol=1e-3)


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_noise_and_velocity_are_those_of_diffusers(path: NoisePath) -> None:
    names = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
    theirs = DDPMScheduler(beta_start=8.5e-4, beta_end=1.2e-2, beta_schedule=names[path])
    schedule = Schedule(ScheduleConfig(path=path, prediction="v"))
    latent, noise, time = drawn()
    torch.testing.assert_close(
        schedule.noised(latent, noise, time), theirs.add_noise(latent, noise, time), atol=2e-6, rtol=1e-5
    )
    velocity = theirs.get_velocity(latent, noise, time)
    torch.testing.assert_close(schedule.target(latent, noise, time), velocity, atol=2e-6, rtol=1e-5)


def test_the_last_step_of_the_linear_path_keeps_four_percent_of_the_signal() -> None:
    """FACTS of the peer: sqrt(abar_T) = 0.0397; at unit deviation the signal equals the noise near t = 284."""
    schedule = Schedule(ScheduleConfig())
    assert float(schedule.signal[-1]) == pytest.approx(0.0397, abs=1e-4)
    assert int((schedule.signal > schedule.noise).sum()) == pytest.approx(284, abs=2)


@pytest.mark.parametrize(("path", "prediction"), KINDS)
def test_min_snr_weighs_the_latents_error_by_the_capped_ratio(path: NoisePath, prediction: Prediction) -> None:
    """Whatever is predicted, the same error of z_0-hat costs min(SNR, gamma) times its square."""
    gamma = 5.0
    schedule = Schedule(ScheduleConfig(path=path, prediction=prediction, min_snr_gamma=gamma))
    latent, noise, time = drawn()
    noised, right = schedule.noised(latent, noise, time), schedule.target(latent, noise, time)
    wrong = right + 0.1
    cost = schedule.loss_weight(time) * (wrong - right).square().mean(dim=(1, 2))
    error = (schedule.estimate(noised, wrong, time) - schedule.estimate(noised, right, time)).square().mean(dim=(1, 2))
    snr = (schedule.signal[time] / schedule.noise[time]).square()
    torch.testing.assert_close(cost, snr.clamp(max=gamma) * error, rtol=2e-3, atol=1e-6)


def test_times_cover_every_step_but_the_ends_that_are_skipped() -> None:
    schedule = Schedule(ScheduleConfig(skipped_ends=1))
    time = schedule.draw_time(60_000, torch.Generator().manual_seed(0))
    assert (int(time.min()), int(time.max())) == (1, 998)
    assert len(time.unique()) == 998


def test_settings_that_make_no_schedule_are_refused() -> None:
    for wrong in ({"beta_first": 0.1, "beta_last": 0.01}, {"path": "flow"}, {"min_snr_gamma": float("nan")}):
        with pytest.raises(ConfigError):
            ScheduleConfig(**wrong)  # type: ignore[arg-type]
