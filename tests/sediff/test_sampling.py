"""Sampling: right for a density that is known, independent of the batch, guided as it should be."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from drawn_conditions import draw_condition, make_diffusion
from torch import nn

from ecgray.errors import ConfigError
from ecgray.sediff.condition import Condition
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES, ScheduleConfig
from ecgray.sediff.noise import stream_keys
from ecgray.sediff.sampling import make_scheduler, sample
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.schedule import Schedule
from ecgray.sediff.unet import Context

MEAN, STD = 0.7, 0.5


class KnownDenoiser(nn.Module):
    """The best denoiser of latents whose values are normal with `MEAN` and `STD`: known in closed form."""

    def __init__(self, config: ScheduleConfig) -> None:
        super().__init__()
        self.schedule = Schedule(config)
        self.asked: list[float] = []

    def forward(self, noised: torch.Tensor, time: torch.Tensor, context: object) -> torch.Tensor:
        self.asked.append(float(time[0]))
        step = time.round().long()
        a, b = self.schedule.at(step)
        clean = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (noised - a * MEAN)
        noise = (noised - a * clean) / b
        return self.schedule.target(clean, noise, step)


class Known(Diffusion):
    """A diffusion with that denoiser."""

    def __init__(self, config: ScheduleConfig) -> None:
        super().__init__(dataclasses.replace(SIZES["debug"], schedule=config))
        self.denoiser = KnownDenoiser(config)  # type: ignore[assignment]

    def context(self, condition: Condition) -> Context:
        return Context(torch.zeros(len(condition), 1), (), torch.ones(len(condition), 1, dtype=torch.bool))


@pytest.mark.parametrize(
    ("path", "prediction", "sampler", "steps", "within"),
    [
        ("linear", "epsilon", "ddpm", 250, 0.02),
        ("linear", "v", "ddpm", 250, 0.02),
        ("linear", "v", "ddpm", 800, 0.02),  # does not divide 1,000, as those of the paper's Table 6
        ("linear", "v", "ddim", 100, 0.02),
        ("linear", "v", "ddim", 300, 0.02),
        ("linear", "v", "dpm++", 25, 0.02),
        ("linear", "epsilon", "dpm++", 25, 0.02),
        ("linear", "v", "sde-dpm++", 50, 0.03),
        ("cosine", "v", "dpm++", 25, 0.03),
        ("flow", "flow", "dpm++", 25, 0.02),
    ],
)
def test_samples_have_the_density_of_the_training_data(
    path: str, prediction: str, sampler: str, steps: int, within: float
) -> None:
    config = ScheduleConfig(path=path, prediction=prediction)  # type: ignore[arg-type]
    known, condition = Known(config), draw_condition(64)
    sampling = SamplingConfig(sampler=sampler, steps=steps, guidance_scale=1)  # type: ignore[arg-type]
    latent = sample(known, condition, stream_keys(0, torch.arange(64)), sampling)
    assert float(latent.mean()) == pytest.approx(MEAN, abs=within)
    assert float(latent.std()) == pytest.approx(STD, abs=within)
    denoiser = known.denoiser
    assert isinstance(denoiser, KnownDenoiser)
    assert len(denoiser.asked) == steps
    assert denoiser.asked[0] == pytest.approx(998.5, abs=0.6)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_ancestral_and_ddim_steps_are_those_of_diffusers(sampler: str, prediction: str, clip: bool) -> None:
    config = ScheduleConfig(prediction=prediction, clip=clip)  # type: ignore[arg-type]
    mine = make_scheduler(config, SamplingConfig(sampler=sampler, steps=50))  # type: ignore[arg-type]
    common = {"beta_start": 8.5e-4, "beta_end": 1.2e-2, "clip_sample": clip, "timestep_spacing": "trailing"}
    common["prediction_type"] = mine.config.prediction_type
    theirs = DDPMScheduler(**common) if sampler == "ddpm" else DDIMScheduler(**common)
    theirs.set_timesteps(50)
    assert torch.equal(mine.timesteps, theirs.timesteps)
    said, latent = torch.randn(2, 3, 4, 128, generator=torch.Generator().manual_seed(0))
    for number, step in enumerate(mine.timesteps[:-1]):
        noise = torch.randn(3, 4, 128, generator=torch.Generator().manual_seed(number))
        ours = mine.step(said, step, latent, variance_noise=noise, return_dict=False)[0]
        same = torch.Generator().manual_seed(number)
        options = {"generator": same} if sampler == "ddpm" else {"use_clipped_model_output": clip}
        expected = theirs.step(said, step, latent, return_dict=False, **options)[0]
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++", "sde-dpm++"])
def test_a_latent_does_not_depend_on_its_batch(sampler: str) -> None:
    diffusion, condition = make_diffusion(), draw_condition(6)
    sampling = SamplingConfig(sampler=sampler, steps=6, guidance_scale=2)  # type: ignore[arg-type]
    keys = stream_keys(5, torch.arange(6))
    together = sample(diffusion, condition, keys, sampling)
    for rows in ([0, 1], [4], [5, 3, 1]):
        few = Condition(*(part[rows] for part in vars(condition).values()))
        torch.testing.assert_close(sample(diffusion, few, keys[rows], sampling), together[rows], atol=1e-4, rtol=0)


def test_guidance_of_one_follows_the_condition_and_of_zero_ignores_it() -> None:
    diffusion, condition, keys = make_diffusion(), draw_condition(2), stream_keys(1, torch.arange(2))
    free = sample(diffusion, condition.nothing(), keys, SamplingConfig(steps=4, guidance_scale=1))
    plain = sample(diffusion, condition, keys, SamplingConfig(steps=4, guidance_scale=1))
    torch.testing.assert_close(sample(diffusion, condition, keys, SamplingConfig(steps=4, guidance_scale=0)), free)
    near = sample(diffusion, condition, keys, SamplingConfig(steps=4, guidance_scale=1.0001))
    torch.testing.assert_close(near, plain, atol=1e-3, rtol=0)
    assert (plain - free).abs().max() > 1e-3


def test_what_cannot_be_sampled_is_refused() -> None:
    for wrong in ({"steps": 0}, {"steps": 1001}, {"guidance_scale": float("nan")}, {"guidance_scale": -1}):
        with pytest.raises(ConfigError):
            SamplingConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="flow"):
        make_scheduler(ScheduleConfig(path="flow", prediction="flow"), SamplingConfig(sampler="ddpm"))
