"""The baselines learn, draw what they are told, and keep to seed and index; the GAN's penalty is what it should be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ecgray.baselines.config import SIZES, BaselineConfig, SssdConfig, WganConfig
from ecgray.baselines.model import Baseline
from ecgray.baselines.signals import to_recordings, to_strips
from ecgray.baselines.step import baseline_step
from ecgray.baselines.wgan import Wgan, gradient_penalty
from ecgray.errors import ConfigError
from ecgray.sediff.condition import Condition
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.diffusion_config import DenoiserConfig
from ecgray.sediff.input import twelve_leads
from ecgray.sediff.noise import stream_keys
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.step import Ema, make_optimizer, make_schedule

KINDS = ("wgan", "sssd", "beatdiff")


def config_of(kind: str) -> BaselineConfig:
    return dataclasses.replace(SIZES["debug"], kind=kind)


def conditions(count: int) -> Condition:
    """Two texts in turn, two rates in turn of two."""
    text = torch.eye(768)[torch.arange(count) % 2][:, None] * 10
    none, known = torch.zeros(count, 1, dtype=torch.bool), torch.ones(count, 3, dtype=torch.bool)
    rates = torch.where(torch.arange(count) // 2 % 2 == 0, 60.0, 120.0)
    numbers = torch.stack([torch.full_like(rates, 60.0), torch.ones_like(rates), rates], dim=1)
    return Condition(text, ~none, torch.zeros(count, 1, 768), none, numbers, known)


def signals(kind: str, count: int) -> torch.Tensor:
    """A wave, upward or downward as the text says."""
    samples = config_of(kind).shape[1]
    wave = torch.exp(-(((torch.arange(samples) - samples * 0.4) / (samples * 0.05)) ** 2))
    sign = torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0)
    return (0.5 * sign[:, None, None] * wave).expand(count, 8, samples).contiguous()


def trained(kind: str, *, steps: int, rate: float) -> tuple[Baseline, list[float]]:
    torch.manual_seed(0)
    config = config_of(kind)
    config = dataclasses.replace(config, condition=dataclasses.replace(config.condition, drop_each=0.0))
    model, batch = Baseline(config), signals(kind, 8)
    model.set_scale(float(batch.std()))
    beta = {"beta1": 0.0, "beta2": 0.9} if kind == "wgan" else {}
    plan = OptimizerConfig(
        learning_rate=rate, learning_rate_last=rate / 10, warmup_steps=3, decay_steps=steps, ema=0.95, **beta
    )
    optimizer = make_optimizer(model, plan)
    schedule, ema, losses = make_schedule(optimizer, plan), Ema(model, plan.ema), []
    for step in range(steps):
        row = baseline_step(
            model,
            batch,
            conditions(8),
            config=config,
            step=step,
            optimizer=optimizer,
            schedule=schedule,
            clip_norm=1.0,
            generator=torch.Generator().manual_seed(step),
            ema=ema,
        )
        losses.append(row["loss"])
    return ema.model, losses


@pytest.mark.parametrize(("kind", "steps", "rate"), [("wgan", 480, 1e-2), ("sssd", 120, 2e-2), ("beatdiff", 120, 1e-2)])
def test_it_learns_a_few_records_and_draws_them_from_their_conditions(kind: str, steps: int, rate: float) -> None:
    """Two waves that differ in sign, and nothing but the text says which: so position and condition are both learnt."""
    model, losses = trained(kind, steps=steps, rate=rate)
    if kind != "wgan":
        assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    drawn = model.signals(conditions(4), stream_keys(0, torch.arange(4)), model.config.sampling)
    alike = nn.functional.cosine_similarity(drawn.flatten(1), signals(kind, 4).flatten(1))
    assert alike.min() > 0.5, alike


@pytest.mark.parametrize("kind", KINDS)
def test_an_ecg_depends_on_its_condition_and_key_alone(kind: str) -> None:
    torch.manual_seed(1)
    model = Baseline(config_of(kind)).eval()
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.05)
    told, keys = conditions(3), stream_keys(5, torch.arange(3))
    sampling = dataclasses.replace(model.config.sampling, steps=min(4, model.config.sampling.steps))
    drawn = model.draw(told, keys, sampling)
    assert drawn.shape == (3, 12, 5000)
    one = Condition(*(part[1:2] for part in vars(told).values()))
    torch.testing.assert_close(model.draw(one, keys[1:2], sampling), drawn[1:2], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(model.draw(told, stream_keys(6, torch.arange(3)), sampling), drawn)
    torch.testing.assert_close(drawn[:, 2], drawn[:, 1] - drawn[:, 0])


def test_the_penalty_of_a_linear_critic_is_its_slopes() -> None:
    """|w| - 1, squared, wherever it is taken."""
    torch.manual_seed(0)
    slope = torch.randn(8, 1024, requires_grad=True)
    real, drawn = torch.randn(4, 8, 1024), torch.randn(4, 8, 1024)
    found = gradient_penalty(lambda point: (point * slope).sum(dim=(1, 2)), real, drawn, torch.Generator())
    torch.testing.assert_close(found, (slope.norm() - 1).square())
    found.backward()
    torch.testing.assert_close(slope.grad, (2 * (slope.norm() - 1) / slope.norm() * slope).detach())


def test_generator_and_critic_learn_in_turns() -> None:
    """Two steps of the critic, one of the generator; the other one's weights get no gradient at all."""
    network = Wgan(config_of("wgan"))
    for step in range(6):
        network.zero_grad(set_to_none=True)
        network.loss(signals("wgan", 2), conditions(2), torch.Generator().manual_seed(step), step=step).backward()
        learns = {name.split(".")[0] for name, weight in network.named_parameters() if weight.grad is not None}
        assert learns == ({"generator"} if step % 3 == 2 else {"critic"})


def test_strips_come_back_as_recordings() -> None:
    """What lies below 51.2 Hz passes both ways unchanged, and frontal leads agree."""
    time = torch.arange(5000, dtype=torch.float64) / 500  # in float32 the phases alone would be off by 2e-4
    eight = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (1, 2, 5, 8, 13, 21, 34, 50)])[None]
    ecg = twelve_leads(eight.float())
    torch.testing.assert_close(to_recordings(to_strips(ecg)), ecg, atol=1e-5, rtol=0)


def test_what_a_kind_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="not how a wgan draws"):
        config_of("wgan").check_sampling(SamplingConfig(steps=2, guidance_scale=1))
    for kind in ("sssd", "beatdiff"):
        config = config_of(kind)
        config.check_sampling(SamplingConfig(sampler="ddpm", steps=1000, guidance_scale=1))
        with pytest.raises(ConfigError, match=f"guidance_scale=2 asks a {kind}"):
            config.check_sampling(SamplingConfig(guidance_scale=2))
        free = dataclasses.replace(config, condition=dataclasses.replace(config.condition, drop_all=0.15))
        free.check_sampling(free.sampling)
        assert free.sampling.guidance_scale == 1.5


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError, match="states=3"):
        SssdConfig(states=3)
    with pytest.raises(ConfigError, match="patch=3"):
        SssdConfig(patch=3)
    with pytest.raises(ConfigError, match="critic_steps=0"):
        WganConfig(critic_steps=0)
    with pytest.raises(ConfigError, match="preset peer"):
        BaselineConfig(beatdiff=DenoiserConfig(kind="diffusets"))
