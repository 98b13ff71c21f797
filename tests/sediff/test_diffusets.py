"""The peer's denoiser: its size, what its cross-attention comes to, and that the whole preset runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from drawn_conditions import draw_condition, make_diffusion
from test_diffusion_step import examples_of
from torch import nn

from ecgray.errors import ConfigError
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.config import preset as vae_preset
from ecgray.sediff.diffusets import Heads, PeerUNet, Time
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES, ConditionConfig, DenoiserConfig, DiffusionConfig, preset
from ecgray.sediff.noise import stream_keys
from ecgray.sediff.sampling import sample
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.step import make_optimizer, make_schedule
from ecgray.sediff.vae import parameter_count

PEER = preset("peer", SIZES["debug"])


def test_it_has_as_many_weights_as_the_peers() -> None:
    """14.18 M are in the peer's checkpoint: our weights, tables of 1,000 x 64 sines, convolutions never called."""
    config = preset("peer", DiffusionConfig(condition=ConditionConfig(text_width=1536)))
    network = PeerUNet(config, latent_channels=4)
    tables = 64_000 * sum(isinstance(part, Time) for part in network.modules())
    widths = [8, 16, 32, 64, 128, 256, 128, 64, 32, 16, 8, 4]
    never_called = sum(3 * width**2 + width for width in widths)
    assert parameter_count(network) + tables + never_called == 14_177_792
    out = network(torch.randn(2, 4, 128), torch.tensor([0, 999]), network.context(draw_condition(2, width=1536)))
    assert out.shape == (2, 4, 128)


def test_attention_over_equal_keys_adds_a_projection() -> None:
    """The peer repeats its condition for each step; one copy gives the same, and the queries give nothing."""
    torch.manual_seed(0)
    heads = Heads(12, 16, 4)
    told, steps = torch.randn(2, 1, 12), torch.randn(2, 32, 12)
    repeated = heads(steps, heads.keys_values(told.expand(2, 32, 12)))
    once = heads(steps, heads.keys_values(told))
    torch.testing.assert_close(repeated, once)
    torch.testing.assert_close(once, heads.out(heads.value(told)).expand(2, 32, 12))


def test_the_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    heads, other = Heads(12, 16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        inner = [heads.query[1], heads.key[1], heads.value[1]]
        other.in_proj_weight.copy_(torch.cat([layer.weight for layer in inner]))
        other.in_proj_bias.copy_(torch.cat([layer.bias for layer in inner]))
        other.out_proj.load_state_dict(heads.out[0].state_dict())
    steps, told = torch.randn(2, 32, 12), torch.randn(2, 5, 12)
    asked, _ = other(heads.query[0](steps), heads.key[0](told), heads.value[0](told))
    torch.testing.assert_close(heads(steps, heads.keys_values(told)), heads.out[1](asked))


@pytest.mark.parametrize("name", ["peer", "paper"])
def test_what_it_is_told_matters(name) -> None:
    diffusion = make_diffusion(preset(name, SIZES["debug"]))
    condition = draw_condition(2)
    latent, time = torch.randn(2, 4, 128), torch.tensor([10, 500])
    said = diffusion(latent, time, condition)
    assert said.shape == latent.shape
    assert not torch.allclose(said, diffusion(latent, time + 1, condition))
    for part in ("text", "numbers"):
        changed = dataclasses.replace(condition, **{part: getattr(condition, part) + 1})
        assert not torch.allclose(said, diffusion(latent, time, changed)), part
    other = dataclasses.replace(condition, report=condition.report + 1)
    assert torch.allclose(said, diffusion(latent, time, other)) == (name == "peer"), "the peer reads no r"


def test_it_learns_what_the_noise_was() -> None:
    torch.manual_seed(0)
    diffusion, examples = Diffusion(PEER), examples_of()
    plan = OptimizerConfig(learning_rate=1e-2, learning_rate_last=1e-3, warmup_steps=5, decay_steps=60)
    optimizer = make_optimizer(diffusion, plan)
    schedule, random, losses = make_schedule(optimizer, plan), torch.Generator().manual_seed(0), []
    latent = torch.from_numpy(examples.latents).repeat(2, 1, 1)
    condition = examples.condition(torch.arange(8).repeat(2).numpy())
    for _ in range(60):
        time, noise = diffusion.schedule.draw_time(16, random), torch.randn(16, 4, 128, generator=random)
        said = diffusion(diffusion.schedule.noised(latent, noise, time), time, condition)
        loss = (said - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_preset_is_the_peers() -> None:
    """No simulator, no experience, no guidance, t from 1 to 998, z_0-hat within [-1, 1], latents times 0.18215."""
    config = dataclasses.replace(
        TRAIN_DIFFUSION["debug"], records=Path("r"), latents=Path("l"), vae=Path("v"), out=Path("o"), preset="peer"
    ).settled()
    assert config.model.preset_name == "peer"
    assert (config.model.denoiser.kind, config.model.condition.experience) == ("diffusets", False)
    assert config.sampling.guidance_scale == 1.0
    assert vae_preset("peer", VAE_SIZES["debug"]).latent_scale == "peer"
    diffusion = make_diffusion(config.model)
    keys = stream_keys(0, torch.arange(2))
    ddpm = SamplingConfig(sampler="ddpm", steps=1, guidance_scale=1.0)
    drawn = sample(diffusion, draw_condition(2), keys, ddpm)
    assert drawn.abs().max() <= 1
    loose = dataclasses.replace(config.model, schedule=dataclasses.replace(config.model.schedule, clip=False))
    assert sample(make_diffusion(loose), draw_condition(2), keys, ddpm).abs().max() > 1


def test_a_joined_condition_needs_the_peers_network() -> None:
    joined = ConditionConfig(joined=True, experience=False)
    with pytest.raises(ConfigError, match="set both by --preset peer"):
        DiffusionConfig(condition=joined)
    with pytest.raises(ConfigError, match="no experience"):
        ConditionConfig(joined=True)
    with pytest.raises(ConfigError, match="levels=9"):
        DenoiserConfig(levels=9)
