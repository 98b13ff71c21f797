"""Training the diffusion: it learns, and what it learns follows the condition."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES, ConditionConfig, SimulatorLossConfig, preset
from ecgray.sediff.diffusion_step import diffusion_step
from ecgray.sediff.examples import Examples, number_texts
from ecgray.sediff.noise import stream_keys
from ecgray.sediff.sampling import sample
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.simulator_loss import BeatSimulator
from ecgray.sediff.step import Ema, make_optimizer, make_schedule
from ecgray.sediff.texts import encode_texts
from ecgray.sediff.vae import Vae
from ecgray.text.lexical import LexicalEncoder
from ecgray.waveform.morphologies import fitted


def examples_of(count: int = 8) -> Examples:
    """Latents that are waves, upward or downward as the text says, faster or slower as the heart rate says."""
    texts = ["left bundle branch block", "atrial fibrillation"]
    distinct, (numbers,) = number_texts([[texts[n % 2] for n in range(count)]])
    rates = np.where(np.arange(count) // 2 % 2, 60.0, 120.0)
    steps = np.arange(128) * 0.078125
    sign = np.where(np.arange(count) % 2, 1.0, -1.0)
    wave = sign[:, None] * np.cos(2 * np.pi * rates[:, None] / 60 * steps) * 1.4
    return Examples(
        latents=np.repeat(wave[:, None], 4, axis=1).astype(np.float32),
        texts=np.stack([numbers, np.full(count, -1)], axis=1),
        reports=np.full(count, -1),
        numbers=np.stack([np.full(count, np.nan), np.full(count, np.nan), rates], axis=1).astype(np.float32),
        cls=np.zeros(count, np.int64),
        heart_rate_bpm=rates.astype(np.float32),
        vectors=encode_texts(distinct, LexicalEncoder(), tokens="text", most_tokens=8),
    )


def test_it_learns_eight_latents_and_draws_them_from_their_conditions() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(
        SIZES["debug"],
        condition=ConditionConfig(drop_all=0, drop_each=0),
        simulator=SimulatorLossConfig(lambda_euler=0, gamma_inter_lead=0),
    )
    diffusion, examples = Diffusion(config), examples_of()
    vae, simulator = Vae(VAE_SIZES["debug"]).eval(), BeatSimulator(fitted(), phases="milliseconds")
    plan = OptimizerConfig(learning_rate=4e-3, learning_rate_last=1e-4, warmup_steps=10, decay_steps=250, ema=0.98)
    optimizer = make_optimizer(diffusion, plan)
    schedule, ema = make_schedule(optimizer, plan), Ema(diffusion, plan.ema)
    rows = np.tile(np.arange(8), 4)
    losses = []
    for step in range(250):
        row = diffusion_step(
            diffusion,
            examples.batch(rows, np.random.default_rng(step)),
            config=config,
            noise_schedule=diffusion.schedule,
            vae=vae,
            simulator=simulator,
            optimizer=optimizer,
            schedule=schedule,
            clip_norm=1.0,
            generator=torch.Generator().manual_seed(step),
            ema=ema,
        )
        losses.append(row["loss"])
    assert np.mean(losses[-20:]) < 0.25 * np.mean(losses[:5])
    keys = stream_keys(0, torch.arange(8))
    drawn = sample(ema.model, examples.condition(np.arange(8)), keys, SamplingConfig(steps=20, guidance_scale=1.0))
    true = torch.from_numpy(examples.latents)
    alike = torch.nn.functional.cosine_similarity(drawn.flatten(1), true.flatten(1))
    assert alike.median() > 0.9
    wrong = torch.nn.functional.cosine_similarity(drawn.flatten(1), true.roll(1, dims=0).flatten(1))
    assert wrong.median() < 0.2


def test_a_latent_has_one_of_its_wordings_each_step() -> None:
    examples = dataclasses.replace(examples_of(), texts=np.tile([0, 1], (8, 1)))
    seen = {examples.batch(np.array([0]), np.random.default_rng(n)).condition.text[0, 0, 0].item() for n in range(20)}
    assert len(seen) == 2
    only = dataclasses.replace(examples, texts=np.tile([-1, 1], (8, 1)))
    assert bool(only.batch(np.array([3]), np.random.default_rng(0)).condition.text_known.all())


def test_examples_come_back_from_disk(tmp_path) -> None:
    before = examples_of()
    before.save(tmp_path)
    after = Examples.load(tmp_path)
    one, two = (each.batch(np.array([5, 2]), np.random.default_rng(0)) for each in (before, after))
    assert torch.equal(one.latent, two.latent)
    assert torch.equal(one.condition.text, two.condition.text)
    assert torch.equal(one.condition.numbers, two.condition.numbers)


@pytest.mark.parametrize("name", ["ours", "paper", "peer"])
def test_a_preset_is_named_as_it_is(name) -> None:
    assert preset(name, SIZES["laptop"]).preset_name == name
    other = dataclasses.replace(preset(name, SIZES["laptop"]), simulator=SimulatorLossConfig(lambda_euler=0.1))
    assert "simulator.lambda_euler" in other.preset_name
