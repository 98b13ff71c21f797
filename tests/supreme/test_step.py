"""The training step: its loss, its schedule, its state, and that it learns."""

from __future__ import annotations

import copy
import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from ecgray.supreme.config import SIZES, LossConfig, OptimizerConfig, SupremeConfig
from ecgray.supreme.loss import bce_loss, positive_weights
from ecgray.supreme.model import Supreme
from ecgray.supreme.step import Batch, learning_rate, make_optimizer, make_schedule, train_step

PLAIN = LossConfig()
CALM = dataclasses.replace(SIZES["debug"], dropout=0.0)


def batch(*, records: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 60, 5000)
    ecg = torch.sin(time * torch.rand(records, 12, 1, generator=generator) * 3)  # each record and lead its own rhythm
    targets = (torch.rand(records, 3, generator=generator) > 0.5).float()
    targets[0], targets[1] = 0.0, 1.0  # each term has a positive and a negative
    return Batch(ecg, torch.randn(3, 768, generator=generator), targets)


def network(config: SupremeConfig = CALM) -> Supreme:
    torch.manual_seed(0)
    return Supreme(config)


def gradient(model: Supreme, records: Batch, *, scale: float = 1.0) -> torch.Tensor:
    model.zero_grad()
    (bce_loss(model(records.ecg, records.queries), records.targets) * scale).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def test_plain_loss_is_torchs():
    logits, targets = torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()
    assert bce_loss(logits, targets) == F.binary_cross_entropy_with_logits(logits, targets)


def test_asymmetric_loss_without_focus_or_margin_is_plain():
    logits, targets = torch.randn(50, 3), (torch.rand(50, 3) > 0.5).float()
    weight = torch.tensor([1.0, 2.0, 5.0])
    nearly = LossConfig(gamma_negative=1e-9)
    torch.testing.assert_close(
        bce_loss(logits, targets, config=nearly, pos_weight=weight), bce_loss(logits, targets, pos_weight=weight)
    )


def test_asymmetric_loss_by_hand():
    """At p = 0.3 with gamma- 4, margin 0.05, gamma+ 1."""
    config = LossConfig(gamma_positive=1, gamma_negative=4, margin=0.05)
    logit = torch.tensor([[math.log(0.3 / 0.7)]])
    assert bce_loss(logit, torch.zeros(1, 1), config=config).item() == pytest.approx(0.25**4 * -math.log(0.75))
    assert bce_loss(logit, torch.ones(1, 1), config=config).item() == pytest.approx(0.7 * -math.log(0.3))


def test_balanced_weights_give_positives_and_negatives_the_same_say():
    positives, config = torch.tensor([5.0, 25.0]), LossConfig(pos_weight_power=1)
    weights = positive_weights(positives, 100, config)
    assert torch.equal(weights * positives, 100 - positives)
    assert positive_weights(positives, 100, PLAIN) is None


def test_a_batch_cut_in_uneven_parts_gives_the_same_gradient():
    """What DDP needs: each part's mean scaled by its records x parts / all records, then the mean over parts."""
    whole, model = batch(), network()
    expected = gradient(model, whole)
    parts = [slice(0, 5), slice(5, 8)]
    shares = []
    for part in parts:
        records = Batch(whole.ecg[part], whole.queries, whole.targets[part])
        shares.append(gradient(model, records, scale=len(records.ecg) * len(parts) / 8))
    torch.testing.assert_close(torch.stack(shares).mean(dim=0), expected, atol=1e-6, rtol=1e-4)


def test_the_schedule_is_torchs_cosine_with_warm_restarts():
    config = OptimizerConfig(restart_steps=7)
    ours_on, theirs_on = (torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3) for _ in range(2))
    ours, theirs = make_schedule(ours_on, config), CosineAnnealingWarmRestarts(theirs_on, 7, T_mult=1, eta_min=1e-8)
    for _ in range(20):
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-9)
        for part in (ours_on, theirs_on, ours, theirs):
            part.step()


def test_warm_up_rises_to_the_top_and_then_the_cycle_begins():
    config = OptimizerConfig(warmup_steps=4, restart_steps=10)
    rates = [learning_rate(step, config) for step in range(14)]
    assert rates[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert max(rates) == rates[4]
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_norms_biases_and_embeddings_are_not_decayed():
    model = network(SupremeConfig())
    decayed, free = make_optimizer(model, OptimizerConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    free_ids = {id(weight) for weight in free["params"]}
    names = {name for name, weight in model.named_parameters() if id(weight) in free_ids}
    assert {"encoder.position", "encoder.lead", "encoder.norm.weight", "fusion.head.0.bias"} <= names
    assert not any(name.endswith(("projection.weight", "qkv.weight")) for name in names)
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_a_long_gradient_is_cut_to_its_limit():
    model = network()
    optimizer = make_optimizer(model, OptimizerConfig())
    figures = train_step(
        model,
        batch(),
        optimizer=optimizer,
        schedule=make_schedule(optimizer, OptimizerConfig()),
        loss=PLAIN,
        clip_norm=0.01,
    )
    left = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]).norm()
    assert figures["grad_norm"] > 0.01
    assert left.item() == pytest.approx(0.01, rel=1e-3)


def one_step(**changes: float) -> tuple[dict[str, float], list[float]]:
    model = network()
    optimizer = make_optimizer(model, OptimizerConfig())
    schedule = make_schedule(optimizer, OptimizerConfig(restart_steps=4))
    step = {"optimizer": optimizer, "schedule": schedule, "loss": PLAIN, "clip_norm": 0.0} | changes
    return train_step(model, batch(), **step), schedule.get_last_lr()  # type: ignore[arg-type]


def test_a_step_moves_the_schedule_and_reports_the_rate_it_used():
    figures, after = one_step()
    assert figures["learning_rate"] == pytest.approx(1e-3)
    assert after[0] < 0.9e-3


def test_a_batch_that_counts_double_has_twice_the_gradient_and_the_same_loss():
    once, twice = one_step()[0], one_step(loss_scale=2.0)[0]
    assert twice["grad_norm"] == pytest.approx(2 * once["grad_norm"], rel=1e-5)
    assert twice["loss"] == once["loss"]


def test_training_goes_on_exactly_where_it_stopped():
    """Weights, optimizer, schedule and torch's generator through a file: bit for bit the same steps, with dropout."""
    config = dataclasses.replace(SIZES["debug"], dropout=0.2)
    plan = OptimizerConfig(restart_steps=5, warmup_steps=2)

    def start() -> tuple:
        model = network(config).train()
        optimizer = make_optimizer(model, plan)
        return model, optimizer, make_schedule(optimizer, plan)

    def run(parts: tuple, steps: range) -> None:
        model, optimizer, schedule = parts
        for seed in steps:
            train_step(model, batch(seed=seed), optimizer=optimizer, schedule=schedule, loss=PLAIN, clip_norm=1.0)

    straight = start()
    run(straight, range(6))
    stopped = start()
    run(stopped, range(3))
    file = io.BytesIO()
    torch.save({"parts": [part.state_dict() for part in stopped], "rng": torch.get_rng_state()}, file)
    torch.manual_seed(99)
    resumed = start()
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    for part, state in zip(resumed, saved["parts"], strict=True):
        part.load_state_dict(state)
    torch.set_rng_state(saved["rng"])
    run(resumed, range(3, 6))
    for (name, left), right in zip(straight[0].named_parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(left, right), name
    assert straight[2].get_last_lr() == resumed[2].get_last_lr()


def test_bf16_changes_the_loss_a_little_and_the_weights_stay_float32():
    losses = []
    for bf16 in (False, True):
        model = network()
        optimizer = make_optimizer(model, OptimizerConfig())
        schedule = make_schedule(optimizer, OptimizerConfig())
        figures = train_step(
            model, batch(), optimizer=optimizer, schedule=schedule, loss=PLAIN, clip_norm=1.0, bf16=bf16
        )
        losses.append(figures["loss"])
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("tokens", ["flat", "lead"])
def test_eight_records_are_learned_by_heart(tokens):
    """AUC 1.0 on every term, whatever the tokens."""
    small = dataclasses.replace(CALM.encoder, tokens=tokens, width=32, heads=2, mlp=64, depth=1, patch=250)
    model = network(dataclasses.replace(CALM, encoder=small))
    plan = OptimizerConfig(learning_rate=3e-3)
    optimizer = make_optimizer(model, plan)
    schedule, records = make_schedule(optimizer, plan), batch()
    for _ in range(60):
        train_step(model, records, optimizer=optimizer, schedule=schedule, loss=PLAIN, clip_norm=1.0)
        with torch.no_grad():
            logits = model(records.ecg, records.queries).numpy()
        truth = records.targets.numpy() > 0
        if all(logits[truth[:, term], term].min() > logits[~truth[:, term], term].max() for term in range(3)):
            return
    pytest.fail(f"still {np.round(logits, 2)} for {truth}")


def test_copies_of_a_model_learn_apart():
    """Nothing of a step hides outside the model and its optimizer."""
    model = network()
    twin = copy.deepcopy(model)
    optimizer = make_optimizer(model, OptimizerConfig())
    schedule = make_schedule(optimizer, OptimizerConfig())
    train_step(model, batch(), optimizer=optimizer, schedule=schedule, loss=PLAIN, clip_norm=1.0)
    assert all(torch.equal(left, right) for left, right in zip(twin.parameters(), network().parameters(), strict=True))
