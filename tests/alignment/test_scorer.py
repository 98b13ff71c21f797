"""The scorer: what its loss is, what it must not depend on, and that it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ecgray.alignment.config import SIZES, ResNetConfig, ScorerConfig
from ecgray.alignment.folder import load_scorer, save_scorer, scorer_card
from ecgray.alignment.model import Scorer
from ecgray.alignment.step import Batch, Embedded, contrastive_loss, train_step
from ecgray.errors import ArtifactError, ConfigError
from ecgray.supreme.config import OptimizerConfig
from ecgray.supreme.step import make_optimizer, make_schedule
from ecgray.text.encoders import load_text_encoder
from ecgray.waveform.delineator.reader import EMBEDDED

CALM = dataclasses.replace(SIZES["debug"], dropout=0.0)


def pairs(records: int, width: int = 8) -> Embedded:
    generator = torch.Generator().manual_seed(0)
    ecg, text = (F.normalize(torch.randn(records, width, generator=generator), dim=-1) for _ in range(2))
    return Embedded(ecg, text, torch.arange(records), torch.tensor(5.0))


def test_the_loss_is_both_cross_entropies() -> None:
    one = pairs(6)
    logits, right = 5 * one.ecg @ one.text.T, torch.arange(6)
    golden = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
    torch.testing.assert_close(contrastive_loss(one), golden)


def test_equal_texts_are_no_negatives() -> None:
    """A record whose text another one shares is compared as if that other one were not there."""
    one = pairs(4)
    text = one.text.clone()
    text[3] = text[2]
    shared = contrastive_loss(Embedded(one.ecg, text, torch.tensor([0, 1, 2, 2]), one.scale))
    rows = [[0, 1, 2], [0, 1, 3]]
    logits = 5 * one.ecg @ text.T
    by_ecg = [F.cross_entropy(logits[n, [0, 1, 2, 3]][None], torch.tensor([n])) for n in (0, 1)]
    by_ecg += [F.cross_entropy(logits[kept[2], kept][None], torch.tensor([2])) for kept in rows]
    by_text = [F.cross_entropy(logits.T[n][None], torch.tensor([n])) for n in (0, 1)]
    by_text += [F.cross_entropy(logits.T[kept[2], kept][None], torch.tensor([2])) for kept in rows]
    torch.testing.assert_close(shared, (torch.stack(by_ecg).mean() + torch.stack(by_text).mean()) / 2)


@pytest.mark.parametrize("encoder", ["resnet", "supreme"])
def test_it_learns_sixteen_pairs(encoder: str) -> None:
    config = dataclasses.replace(CALM, encoder=encoder)
    generator = torch.Generator().manual_seed(1)
    time = torch.linspace(0, 60, 5000)
    ecg = torch.sin(time * (0.5 + torch.rand(16, 12, 1, generator=generator) * 3))
    batch = Batch(ecg, torch.randn(16, 768, generator=generator), torch.arange(16))
    torch.manual_seed(0)
    model = Scorer(config)
    plan = OptimizerConfig(learning_rate=3e-3, restart_steps=60)
    optimizer = make_optimizer(model, plan)
    schedule = make_schedule(optimizer, plan)
    rows = [train_step(model, batch, optimizer=optimizer, schedule=schedule, clip_norm=1.0) for _ in range(60)]
    assert rows[0]["loss"] > 2
    assert rows[-1]["loss"] < 0.3
    assert np.isfinite([list(row.values()) for row in rows]).all()


def test_an_embedding_depends_on_nobody_else_and_has_length_1() -> None:
    model = Scorer(SIZES["debug"]).eval()
    ecg = torch.randn(5, 12, 5000)
    whole, alone = model.embed_ecg(ecg), model.embed_ecg(ecg[2:3])
    torch.testing.assert_close(whole[2:3], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(5))


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, encoder = Scorer(SIZES["debug"]).eval(), load_text_encoder("lexical")
    card = scorer_card(model.config, text_encoder="lexical", records="None.", training={}, figures={})
    save_scorer(tmp_path / "model", model, encoder, card=card, details={"figures": {}})
    loaded = load_scorer(tmp_path)
    counts = np.random.default_rng(0).integers(-900, 900, (3, 12, 5000)).astype(np.int16)
    found = loaded.embed_ecg(counts, batch_size=2)
    assert found.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert loaded.embed_text(["sinus rhythm", "atrial fibrillation"]).shape == (2, 16)
    assert loaded.embed_ecg(counts[:0]).shape == (0, 16)


def test_a_folder_of_another_kind_and_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no scorer"):
        load_scorer(EMBEDDED)
    with pytest.raises(ArtifactError, match="there is no folder"):
        load_scorer(tmp_path / "none")
    with pytest.raises(ConfigError, match="must be odd"):
        ResNetConfig(kernel=4)
    with pytest.raises(ConfigError, match="temperature"):
        ScorerConfig(temperature=0)
