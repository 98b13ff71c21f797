"""The generator: a folder that comes back, ECGs that obey the frontal plane, noise by seed and index alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgray.cluster.diffusion_score import LATENT_GATE, NOISE_GATE, latent_error, noise_error
from ecgray.errors import ArtifactError, ConfigError
from ecgray.models import Generator, Prompt
from ecgray.models.generator import EMBEDDED
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES, ConditionConfig
from ecgray.sediff.folder import load_vae
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.vae import Vae
from ecgray.text.encoders import load_text_encoder

PROMPTS = [
    Prompt(text="sinus rhythm", heart_rate_bpm=70),
    Prompt(text="left bundle branch block, 71-year-old woman"),
    Prompt(text="atrial fibrillation", experience="Similar patients had atrial fibrillation."),
    Prompt(text="sinus rhythm"),
    Prompt(text="anterior infarction", age=60, sex="M"),
]
FAST = SamplingConfig(steps=3)


def made(seed: int = 0) -> Generator:
    """A generator of random weights, none of which is zero."""
    torch.manual_seed(seed)
    diffusion = Diffusion(SIZES["debug"])
    for weight in diffusion.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    return Generator(Vae(VAE_SIZES["debug"]), diffusion, load_text_encoder("lexical"))


def test_each_ecg_obeys_the_frontal_identities() -> None:
    counts = made().generate(PROMPTS, seed=1, sampling=FAST).astype(int)
    assert counts.shape == (5, 12, 5000)
    one, two, three, avr, avl, avf = counts.transpose(1, 0, 2)[:6]
    assert np.array_equal(three, two - one)
    for derived, from_limbs in ((2 * avr, -(one + two)), (2 * avl, 2 * one - two), (2 * avf, 2 * two - one)):
        assert np.abs(derived - from_limbs).max() <= 1


def test_an_ecg_depends_on_its_prompt_seed_and_index_alone() -> None:
    generator = made()
    all_ = generator.generate(PROMPTS, seed=1, sampling=FAST)
    for batch in (1, 2, 3):
        other = generator.generate(PROMPTS, seed=1, sampling=FAST, batch_size=batch)
        assert np.abs(other.astype(int) - all_).max() <= 2
    some = generator.generate(PROMPTS[3:], seed=1, index=np.array([3, 4]), sampling=FAST)
    assert np.abs(some.astype(int) - all_[3:]).max() <= 2
    again = generator.generate(PROMPTS[::-1], seed=1, index=np.arange(5)[::-1], sampling=FAST, batch_size=2)
    same = generator.generate(PROMPTS, seed=1, sampling=FAST, batch_size=2)
    assert np.array_equal(again[::-1], same), "at one batch size every bit is the same"
    assert not np.array_equal(generator.generate(PROMPTS, seed=2, sampling=FAST), all_)


def test_a_folder_comes_back_the_same(tmp_path: Path) -> None:
    generator = made()
    generator.save(tmp_path / "model", card="# A card", details={"figures": {}})
    again = Generator.load(tmp_path / "model")
    assert np.array_equal(
        again.generate(PROMPTS, seed=1, sampling=FAST), generator.generate(PROMPTS, seed=1, sampling=FAST)
    )
    assert len(again.fingerprint) == 12
    vae = load_vae(tmp_path / "model")
    ecg = torch.randn(1, 12, 5000)
    with torch.inference_mode():
        assert torch.equal(vae.vae.encode(ecg), generator.vae.encode(ecg))


def test_half_the_bytes_give_nearly_the_same(tmp_path: Path) -> None:
    generator = made()
    for name, half in (("whole", False), ("half", True)):
        generator.save(tmp_path / name, card="", details={}, half=half)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    whole, half = (
        Generator.load(tmp_path / name).generate(PROMPTS, seed=1, sampling=FAST) for name in ("whole", "half")
    )
    assert np.abs(whole.astype(int) - half).max() < 30


def test_what_is_no_generator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no folder"):
        Generator.load(tmp_path / "nothing")
    made().save(tmp_path / "model", card="", details={})
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["kind"] = "supreme-classifier"
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="SHA-256 differs"):
        Generator.load(tmp_path / "model")
    narrow = dataclasses.replace(SIZES["debug"], condition=ConditionConfig(text_width=16))
    with pytest.raises(ConfigError, match="text_width=16"):
        Generator(Vae(VAE_SIZES["debug"]), Diffusion(narrow), load_text_encoder("lexical"))


def test_no_prompts_give_no_ecgs() -> None:
    assert made().generate([], seed=0).shape == (0, 12, 5000)


def test_a_generator_that_always_had_a_condition_is_not_guided() -> None:
    diffusion = Diffusion(dataclasses.replace(SIZES["debug"], condition=ConditionConfig(drop_all=0)))
    generator = Generator(Vae(VAE_SIZES["debug"]), diffusion, load_text_encoder("lexical"))
    generator.check_sampling(SamplingConfig(guidance_scale=1))
    with pytest.raises(ConfigError, match=r"guidance_scale=1\.5 .* drop_all=0; use guidance_scale=1"):
        generator.check_sampling(SamplingConfig(guidance_scale=1.5))


def test_the_gate_tells_a_network_that_has_learnt_nothing() -> None:
    """The noise at t = 998 cannot: a prediction of v finds it untrained."""
    learnt = Generator.load(EMBEDDED)
    latents = learnt.latents(PROMPTS * 3, seed=1, sampling=SamplingConfig(steps=10, guidance_scale=1)).numpy()
    untrained = Generator(learnt.vae, Diffusion(learnt.diffusion.config), learnt.encoder)
    assert latent_error(learnt, latents, seed=2) < 0.6 < LATENT_GATE
    assert latent_error(untrained, latents, seed=2) == pytest.approx(1, abs=0.1)
    assert all(error - least < NOISE_GATE for error, least in [noise_error(untrained, latents, seed=2)])
