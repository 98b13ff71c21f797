"""How fast a classifier learns per CPU-second, on terms it was taught and on terms it never saw.

$ python benchmarks/learning.py --sizes laptop --cpu-s 60 --folds A B

Draws records of the embedded archive in memory, trains in this process on one thread without Ray, and prints one JSON
line a run. The folds keep *other* terms from training than the demo does, so that choosing sizes by them does not touch
the demo's unseen terms. Time is this process's CPU time: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from ecgray.demo.archive import BATCH, _batches
from ecgray.demo.conditions import CONDITIONS
from ecgray.demo.people import draw_people
from ecgray.demo.strip import draw_ecgs
from ecgray.metrics.auroc import auroc
from ecgray.settings import from_json, to_json
from ecgray.supreme.config import SIZES, LossConfig, OptimizerConfig, SupremeConfig
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import PreprocessConfig, preprocess
from ecgray.supreme.step import Batch, make_optimizer, make_schedule, train_step
from ecgray.text.encoders import load_text_encoder
from ecgray.text.terms import with_parents

FOLDS = {
    "A": (
        "lateral st elevation",
        "inferior t wave inversion",
        "incomplete left bundle branch block",
        "first degree av block",
        "anterior st depression",
    ),
    "B": (
        "inferior st elevation",
        "lateral st depression",
        "anterior t wave inversion",
        "third degree av block",
        "right bundle branch block",
    ),
}
NAMES = tuple(condition.name for condition in CONDITIONS)
MILLIVOLT = PreprocessConfig(scale="millivolt")
MIN_COUNT = 10


@dataclass(frozen=True)
class Drawn:
    """Records with what they were drawn with."""

    counts: np.ndarray
    holds: np.ndarray


@dataclass(frozen=True)
class Lesson:
    """What one fold teaches: records without an unseen term, their terms with parents."""

    counts: np.ndarray
    targets: torch.Tensor
    queries: torch.Tensor


def draw(records: int, seed: int) -> Drawn:
    """The first recordings of an archive drawn from `seed`."""
    counts, holds = [], []
    for recordings in islice(_batches(draw_people(records, seed=seed), BATCH), -(-records // BATCH)):
        counts.append(np.asarray(draw_ecgs([one.drawing for one in recordings]), np.int16))
        holds += [[name in one.conditions for name in NAMES] for one in recordings]
    return Drawn(np.concatenate(counts)[:records], np.array(holds)[:records])


def lesson(drawn: Drawn, unseen: tuple[str, ...], encoder: Any) -> Lesson:
    """Terms that enough records carry; parents follow from the children that are taught."""
    kept = ~drawn.holds[:, [NAMES.index(name) for name in unseen]].any(axis=1)
    terms = [set(with_parents(np.array(NAMES)[row])) for row in drawn.holds[kept]]
    names = [name for name in sorted(set().union(*terms)) if sum(name in one for one in terms) >= MIN_COUNT]
    targets = torch.tensor([[float(name in one) for name in names] for one in terms])
    return Lesson(drawn.counts[kept], targets, torch.from_numpy(encoder.encode(names)))


def scores(model: Supreme, drawn: Drawn, encoder: Any) -> dict[str, float]:
    """AUROC of every condition."""
    queries = torch.from_numpy(encoder.encode(NAMES))
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(drawn.counts), BATCH)
        parts = [preprocess(drawn.counts[start : start + BATCH], MILLIVOLT) for start in starts]
        logits = np.concatenate([model(part, queries, query_self_attention="diagonal").numpy() for part in parts])
    return {name: float(auroc(drawn.holds[:, each], logits[:, each])) for each, name in enumerate(NAMES)}


def train(config: SupremeConfig, taught: Lesson, *, cpu_s: float, rate: float, batch: int, seed: int) -> tuple:
    """One cosine cycle as long as the CPU time allows; the pace is measured on a copy first."""
    steps = max(int(cpu_s / _step_cpu_s(config, taught, batch)), 10)
    torch.manual_seed(seed)
    model, rng = Supreme(config).train(), np.random.default_rng(seed)
    plan = OptimizerConfig(learning_rate=rate, learning_rate_last=rate / 100, weight_decay=1e-2, restart_steps=steps)
    optimizer = make_optimizer(model, plan)
    schedule = make_schedule(optimizer, plan)
    began, order = time.process_time(), np.zeros(0, int)
    for _ in range(steps):
        if len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(taught.counts))])
        chosen, order = order[:batch], order[batch:]
        _step(model, taught, chosen, optimizer, schedule)
    return model, steps, time.process_time() - began


def _step(model: Supreme, taught: Lesson, chosen: np.ndarray, optimizer: Any, schedule: Any) -> None:
    records = Batch(preprocess(taught.counts[chosen], MILLIVOLT), taught.queries, taught.targets[chosen])
    train_step(model, records, optimizer=optimizer, schedule=schedule, loss=LossConfig(), clip_norm=1.0)


def _step_cpu_s(config: SupremeConfig, taught: Lesson, batch: int) -> float:
    model = Supreme(config).train()
    optimizer = make_optimizer(model, OptimizerConfig())
    schedule = make_schedule(optimizer, OptimizerConfig())
    _step(model, taught, np.arange(batch), optimizer, schedule)
    began = time.process_time()
    for _ in range(4):
        _step(model, taught, np.arange(batch), optimizer, schedule)
    return (time.process_time() - began) / 4


def changed(config: SupremeConfig, changes: list[str]) -> SupremeConfig:
    """The size with fields set as "encoder.width=48"."""
    plain = to_json(config)
    for change in changes:
        path, _, value = change.partition("=")
        *outer, name = path.split(".")
        place = plain
        for part in outer:
            place = place[part]
        place[name] = type(place[name])(value)
    return from_json(SupremeConfig, plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["laptop"])
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--folds", nargs="+", default=["A", "B"], choices=sorted(FOLDS))
    parser.add_argument("--cpu-s", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--records", type=int, default=1700)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    encoder, drawn, held_out = load_text_encoder("lexical"), draw(asked.records, 1), draw(1000, 2)
    for size in asked.sizes:
        config = changed(SIZES[size], asked.set)
        for fold in asked.folds:
            taught = lesson(drawn, FOLDS[fold], encoder)
            model, steps, spent = train(
                config, taught, cpu_s=asked.cpu_s, rate=asked.rate, batch=asked.batch, seed=asked.seed
            )
            score = scores(model, held_out, encoder)
            row = {
                "size": size,
                "set": asked.set,
                "fold": fold,
                "cpu_s": round(spent, 1),
                "rate": asked.rate,
                "records_per_cpu_s": round(steps * asked.batch / spent),
                "epochs": round(steps * asked.batch / len(taught.counts), 1),
                "macro_auc": round(float(np.mean([score[name] for name in NAMES if name not in FOLDS[fold]])), 4),
                "unseen_macro_auc": round(float(np.mean([score[name] for name in FOLDS[fold]])), 4),
                "unseen": {name: round(score[name], 2) for name in FOLDS[fold]},
                "weights": sum(weight.numel() for weight in model.parameters()),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
