"""Fitting the simulator to 240 class-leads at once, beside a plain loop that fits one at a time; and Ray's two ways.

$ python benchmarks/fitting.py                # 20 classes of twelve leads, two minutes
$ python benchmarks/fitting.py --classes 4    # a look

No recordings are needed: every class has a drawn morphology and heart rate of its own, and 200 beats with noise. What
would take many minutes is done for some classes or leads, spread over all, and scaled up; the table says for how many,
and how well they fit beside the batch's fit of the same ones. CPU seconds of one thread. The rows of Ray count all its
processes from the moment that Ray is up: workers that import torch are what a job pays, too.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from unittest import mock

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: a figure for one core

import numpy as np  # noqa: E402
import torch  # noqa: E402
from loader import tree_cpu_s  # noqa: E402
from simulator import machine  # noqa: E402

from ecgray.waveform import fitting  # noqa: E402
from ecgray.waveform.beats import crop_beats, typical_beat  # noqa: E402
from ecgray.waveform.fitting import Fit, fit_classes  # noqa: E402
from ecgray.waveform.fitting_config import FitConfig  # noqa: E402
from ecgray.waveform.simulator import Waves, simulate, typical  # noqa: E402

BEATS = 200
SETTLED_S = 6.0
"""From here on a strip's baseline no longer moves."""
NOISE_MV = 0.02
LEADS = 12


@dataclass(frozen=True)
class Drawn:
    """Beats in mV and the RR interval of each class."""

    beats: dict[str, np.ndarray]
    rr_ms: dict[str, float]

    def only(self, names: list[str]) -> Drawn:
        """Some of the classes."""
        return Drawn({name: self.beats[name] for name in names}, {name: self.rr_ms[name] for name in names})


@dataclass(frozen=True)
class Row:
    """What one way took for `fitted` class-leads, and how well they fit."""

    what: str
    fitted: int
    cpu_s: float
    wall_s: float
    correlation: np.ndarray
    batch: np.ndarray
    """The batch's correlation on the same class-leads."""


def draw(classes: int) -> Drawn:
    """Classes from 52 to 109 bpm; heights of both signs, places and widths differ by class, lead and wave."""
    generator = torch.Generator().manual_seed(0)

    def between(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(classes, LEADS, *shape, generator=generator, dtype=torch.float64)

    one, upside_down = typical(), torch.where(between(0, 1, 1) < 0.25, -1.0, 1.0)
    leads = Waves(
        amplitude_mv=one.amplitude_mv * upside_down * between(0.3, 1.8, 1) * between(0.5, 1.5, 5),
        centre_s=one.centre_s + between(-0.008, 0.008, 5),
        width_s=one.width_s * between(0.8, 1.5, 5),
        stretches=one.stretches,
    )
    rr_s = torch.linspace(0.55, 1.15, classes, dtype=torch.float64)
    strips = simulate(leads, rr_s[:, None].expand(-1, 40), duration_s=SETTLED_S + 14 * 1.15).float().numpy()
    noise, beats = np.random.default_rng(0), dict[str, np.ndarray]()
    for number, (strip, rr) in enumerate(zip(strips, rr_s.tolist(), strict=True)):
        first = math.ceil(SETTLED_S / rr)
        whole = crop_beats(strip, np.rint((0.2 + rr * np.arange(first, first + 12)) * 500).astype(int))
        many = np.resize(whole, (BEATS, *whole.shape[1:]))
        beats[f"class {number}"] = many + NOISE_MV * noise.standard_normal(many.shape, np.float32)
    return Drawn(beats, dict(zip(beats, (1000 * rr_s).tolist(), strict=True)))


def spread(number: int, of: int) -> list[int]:
    """So many places, spread evenly."""
    return np.unique(np.linspace(0, of - 1, min(number, of)).round().astype(int)).tolist()


def timed(work: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """CPU and wall seconds, and what the work gives."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def in_one_batch(drawn: Drawn) -> Row:
    """All class-leads by `fit_classes`."""
    cpu, wall, found = timed(lambda: fit_classes(drawn.beats, drawn.rr_ms).correlation.numpy())
    return Row("all in one batch (fit_classes)", found.size, cpu, wall, found, found)


def class_by_class(drawn: Drawn, classes: int, batch: np.ndarray) -> Row:
    """Some classes, one after the other: what a task a class does, without Ray."""
    rows = spread(classes, len(drawn.beats))
    parts = [drawn.only([list(drawn.beats)[row]]) for row in rows]
    work = [lambda part=part: fit_classes(part.beats, part.rr_ms).correlation.numpy() for part in parts]
    cpu, wall, found = timed(lambda: np.concatenate([each() for each in work]))
    return Row("one class at a time (fit_classes)", found.size, cpu, wall, found, batch[rows])


def lead_by_lead(what: str, drawn: Drawn, leads: int, batch: np.ndarray) -> Row:
    """Some class-leads of typical beats, one after the other, by the same steps as the batch."""
    places = [divmod(at, LEADS) for at in spread(leads, batch.size)]
    names = list(drawn.beats)
    targets = {row: typical_beat(drawn.beats[names[row]]) for row, _ in places}
    cpu, wall, found = timed(
        lambda: np.array([fit_lead(targets[row][lead], drawn.rr_ms[names[row]]) for row, lead in places])
    )
    return Row(what, len(places), cpu, wall, found, np.array([batch[place] for place in places]))


def fit_lead(beat: np.ndarray, rr_ms: float) -> float:
    """The correlation of one lead's fit; `fit_classes` takes twelve, its inner steps any number."""
    config, rr_s = FitConfig(), torch.tensor([rr_ms / 1000], dtype=torch.float64)
    target = torch.tensor(beat, dtype=torch.float64)[None, None]
    raw, _ = fitting._optimise(target, rr_s, config)
    fit: Fit = fitting._baked(raw, target, rr_s, ["one"], torch.ones(1, dtype=torch.int64), config, {})
    return float(fit.correlation)


def off_the_shelf(loss: Callable[[torch.Tensor], torch.Tensor], raw: torch.Tensor, *, steps: int) -> torch.Tensor:
    """torch's own L-BFGS for one problem: it ends where nothing is gained any more."""
    raw = raw.detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([raw], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(raw).sum()
        value.backward()
        return value

    optimizer.step(closure)
    return raw.detach()


def fit_here(beats: dict[str, np.ndarray], rr_ms: dict[str, float]) -> dict[str, np.ndarray]:
    """What a Ray task does, with a thread."""
    torch.set_num_threads(1)
    return {"correlation": fit_classes(beats, rr_ms).correlation.numpy()}


def by_ray(drawn: Drawn, batch: np.ndarray) -> Iterator[Row]:
    """All class-leads by one task, as jobs/fit_simulator.py does it, and by a task a class, two at a time."""
    from ecgray.cluster.connect import connected
    from ecgray.cluster.workers import run_once

    def one_task() -> np.ndarray:
        return run_once(fit_here, drawn.beats, drawn.rr_ms, cpus=1, gpus=0)["correlation"]

    def a_task_a_class() -> np.ndarray:
        import ray  # ecgray.cluster, which sets what ray reads when it is imported, comes before it

        task = ray.remote(num_cpus=1)(fit_here)
        parts = [drawn.only([name]) for name in drawn.beats]
        return np.concatenate([one["correlation"] for one in ray.get([task.remote(p.beats, p.rr_ms) for p in parts])])

    for what, work in (("Ray, one task for all", one_task), ("Ray, a task a class, two at a time", a_task_a_class)):
        with connected(num_cpus=2):
            before = tree_cpu_s()
            _, wall, found = timed(work)
            yield Row(what, found.size, tree_cpu_s() - before, wall, found, batch)


def show(row: Row, first: Row) -> str:
    """A row of the table: scaled up to all class-leads."""
    factor = first.fitted / row.fitted
    minutes, ratio = row.cpu_s * factor / 60, row.cpu_s * factor / first.cpu_s
    return (
        f"| {row.what} | {row.fitted} | {row.cpu_s:.1f} | {row.wall_s:.1f} | {minutes:.2f} | {ratio:.1f} | "
        f"{np.median(row.correlation):.5f} | {np.median(row.batch):.5f} | {row.correlation.min():.4f} | "
        f"{row.batch.min():.4f} |"
    )


def others(drawn: Drawn, batch: np.ndarray, options: argparse.Namespace) -> Iterator[Row]:
    """The ways that are not all in one batch."""
    yield class_by_class(drawn, options.by_class, batch)
    yield lead_by_lead("one class-lead at a time, the same steps", drawn, options.by_lead, batch)
    with mock.patch.object(fitting, "lbfgs", off_the_shelf):
        row = lead_by_lead("the same, refined by torch.optim.LBFGS", drawn, options.by_lead, batch)
    yield row
    if not options.skip_ray:
        yield from by_ray(drawn, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--by-class", type=int, default=4, help="how many classes are fitted one at a time")
    parser.add_argument("--by-lead", type=int, default=12, help="how many class-leads are fitted one at a time")
    parser.add_argument("--skip-ray", action="store_true")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = draw(options.classes)
    fit_classes(drawn.beats, drawn.rr_ms, FitConfig(adamw_steps=1, lbfgs_steps=1))  # what torch does once
    size = LEADS * options.classes
    lines = [f"# Fitting the simulator to {size} class-leads", "", f"{machine()}; load {os.getloadavg()[0]:.0f}.", ""]
    names = ["way", "class-leads fitted", "CPU s", "wall s", f"CPU min for {size}", "times the batch's"]
    names += ["median correlation", "the batch's there", "lowest", "the batch's there"]
    lines += [f"| {' | '.join(names)} |", "|---" * 10 + "|"]
    print("\n".join(lines), flush=True)
    first = in_one_batch(drawn)
    for row in chain([first], others(drawn, first.correlation, options)):
        lines.append(show(row, first))
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
