"""The training step: that it learns, its schedule, and the average of the weights."""

from __future__ import annotations

import copy
import dataclasses
import io

import pytest
import torch
from drawn_beats import batch

from ecgray.sediff.config import SIZES, OptimizerConfig, VaeConfig, preset
from ecgray.sediff.loss import Beats
from ecgray.sediff.step import Batch, Ema, learning_rate, make_optimizer, make_schedule, train_step
from ecgray.sediff.vae import Vae

SMALL = SIZES["debug"]
QUICK = OptimizerConfig(learning_rate=3e-3, learning_rate_last=1e-4, warmup_steps=5, decay_steps=60)


class Run:
    """A network in training."""

    def __init__(self, config: VaeConfig, plan: OptimizerConfig = QUICK) -> None:
        torch.manual_seed(0)
        self.config, self.plan = config, plan
        self.vae = Vae(config)
        self.optimizer = make_optimizer(self.vae, plan)
        self.schedule = make_schedule(self.optimizer, plan)
        self.ema = Ema(self.vae, plan.ema)
        self.generator = torch.Generator().manual_seed(0)

    def step(self, records: Batch, *, bf16: bool = False) -> dict[str, float]:
        return train_step(
            self.vae,
            records,
            config=self.config,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=self.plan.clip_norm,
            ema=self.ema,
            generator=self.generator,
            bf16=bf16,
        )


@pytest.mark.parametrize("config", [SMALL, dataclasses.replace(SMALL, input="resampled"), preset("peer", SMALL)])
def test_two_records_are_learned(config):
    run, records = Run(config), batch(2)
    first = run.step(records)
    for _ in range(59):
        last = run.step(records)
    assert last["loss"] < first["loss"] / 2
    assert last["full"] < first["full"] / 2
    if config.preset == "ours":  # the peer's latent starts as noise of deviation 1, and a beat has to wait
        assert last["beat"] < first["beat"] / 2
    with torch.no_grad():  # and the average, of so short a run, too
        after = (run.ema.model.reconstruct(records.ecg) - records.ecg).square().mean().item()
    assert after < first["full"] / 2


def test_a_batch_without_beats_trains_the_rest():
    run, records = Run(SMALL), batch(2)
    lone = Batch(records.ecg, Beats(torch.zeros(2, 0, 12, 300), torch.zeros(2, 0, dtype=torch.bool)))
    before = copy.deepcopy(run.vae.state_dict())
    report = run.step(lone)
    assert report["without_beat"] == 2
    assert report["beat"] == report["spectrum"] == 0
    assert all(value == value for value in report.values())
    after = run.vae.state_dict()
    assert not torch.equal(after["encoder.layers.0.convolution.weight"], before["encoder.layers.0.convolution.weight"])
    # Only its decay moves the beat decoder.
    torch.testing.assert_close(
        after["beat_decoder.pointer.weight"], before["beat_decoder.pointer.weight"], rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("config", [SMALL, preset("peer", SMALL)])
def test_bfloat16_learns_alike(config):
    """Of eight leads and of twelve, whose beats no sum of leads makes float32 again."""
    run, other, records = Run(config), Run(config), batch(2)
    for _ in range(3):
        full, half = run.step(records), other.step(records, bf16=True)
    assert half["loss"] == pytest.approx(full["loss"], rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in other.vae.parameters())


def test_gradients_are_clipped_and_the_step_says_how_long_they_were():
    run = Run(SMALL, dataclasses.replace(QUICK, clip_norm=1e-3))
    report = run.step(batch(2))
    norm = torch.stack([weight.grad.norm() for weight in run.vae.parameters() if weight.grad is not None]).norm()
    assert report["grad_norm"] > 1e-2
    assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_only_weights_of_maps_decay():
    vae = Vae(SMALL)
    decaying, free = make_optimizer(vae, QUICK).param_groups
    assert all(weight.dim() > 1 for weight in decaying["params"])
    assert all(weight.dim() == 1 for weight in free["params"])
    assert len(decaying["params"]) + len(free["params"]) == len(list(vae.parameters()))


def test_the_schedule_follows_its_formula():
    run, records = Run(SMALL), batch(1)
    rates = [run.step(records)["learning_rate"] for _ in range(8)]
    assert rates == pytest.approx([learning_rate(step, QUICK) for step in range(8)])
    assert max(rates) == pytest.approx(QUICK.learning_rate)


def test_the_average_follows_its_formula():
    weight = torch.nn.Linear(1, 1, bias=False)
    weight.weight.data.fill_(0.0)
    ema = Ema(weight, 0.9)
    expected = 0.0
    for step in range(6):
        value = float(step)
        keeps = min(0.9, (1 + step) / (10 + step))
        expected = keeps * expected + (1 - keeps) * value
        weight.weight.data.fill_(value)
        ema.update(weight)
    assert ema.model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert weight.weight.item() == 5.0


def test_the_average_takes_the_latent_scale_and_leaves_the_model_alone():
    run = Run(SMALL)
    run.vae.latent_std.fill_(3.0)
    run.step(batch(1))
    assert run.ema.model.latent_std == 3.0
    assert run.vae.training
    assert not run.ema.model.training
    assert all(weight.requires_grad for weight in run.vae.parameters())


def test_the_average_comes_back_from_a_checkpoint():
    run = Run(SMALL)
    run.step(batch(1))
    saved = io.BytesIO()
    torch.save(run.ema.state_dict(), saved)
    saved.seek(0)
    other = Ema(Vae(SMALL), 0.999)
    other.load_state_dict(torch.load(saved, weights_only=True))
    assert other.keeps == run.ema.keeps
    for mine, its in zip(other.model.parameters(), run.ema.model.parameters(), strict=True):
        assert torch.equal(mine, its)
