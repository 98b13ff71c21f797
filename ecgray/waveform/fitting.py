"""Fit the simulator to beats: one morphology per class and lead, all of them at once (SE-Diff App. C, Eq. 27-33).

A class's typical beat (`ecgray.waveform.beats`) is fitted in each of its twelve leads at the class's own heart rate.
Three starts are read off the beat and run through AdamW; the best of each class-lead is refined by L-BFGS. Neither
mixes class-leads: AdamW works element by element, and L-BFGS keeps its memory and its step for each.

AdamW aligns with a trend (Eq. 27), so that a drift misleads nobody; the choice among starts and the refinement align
without one, as the morphology that is kept has none. Else a wide T wave and a trend against it cancel each other in
the fit, and the T wave alone is kept.

What does not work is skipped and counted, with a reason: a class with few beats, a beat that is not finite, a fit that
diverges. A flat lead gets a morphology of height 0.

What this is not: a fit of single patients, or of leads that know of each other. Three waves of a lead may trade height
for width; the waveform is what is certain, to a per cent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.waveform.beats import BEAT_FS, R_SAMPLE, calmest, typical_beat
from ecgray.waveform.fitting_config import FitConfig
from ecgray.waveform.fitting_descent import adamw, lbfgs
from ecgray.waveform.fitting_loss import (
    Homes,
    Problem,
    Shape,
    align,
    at_rate,
    circuit,
    draw_beats,
    fold,
    stretching,
    unfold,
)
from ecgray.waveform.simulator import Waves

FLAT_MV = 1e-3
"""A lead whose beat has a smaller standard deviation is flat."""
SLOWEST_RR_S, FASTEST_RR_S = 3.0, 0.2
"""Heart rates that can be fitted: 20 to 300 bpm."""
FORMAT = 1
"""Of `eta.json`."""
_PER_WAVE = ("amplitude_mv", "centre_s", "width_s")
_PER_LEAD = ("baseline_mv", "correlation", "nrmse")


@dataclass(frozen=True)
class Fit:
    """The morphologies of the classes that were fitted, and those that were not. Nothing in it is NaN."""

    classes: tuple[str, ...]
    waves: tuple[str, ...]
    rr_s: Float[Tensor, " cls"]
    """The heart rate at which the class was fitted."""
    beats: Int[Tensor, " cls"]
    """Whole beats from which its typical beat was made."""
    amplitude_mv: Float[Tensor, "cls lead=12 wave"]
    centre_s: Float[Tensor, "cls lead=12 wave"]
    """Seconds from R, at the class's own heart rate."""
    width_s: Float[Tensor, "cls lead=12 wave"]
    stretches: Bool[Tensor, " wave"]
    baseline_mv: Float[Tensor, "cls lead=12"]
    """c of Eq. 27, the simulator's z0: the level that its waves are pulled to."""
    correlation: Float[Tensor, "cls lead=12"]
    """Between fitted and typical beat; 0 where the lead is flat."""
    nrmse: Float[Tensor, "cls lead=12"]
    """Root mean squared error by the typical beat's peak to peak; 0 where the lead is flat."""
    flat: Bool[Tensor, "cls lead=12"]
    skipped: Mapping[str, str]
    """Classes without a morphology, and why."""
    typical_mv: Float[Tensor, "cls lead=12 sample=300"] | None = None
    """What was fitted; a file does not hold it."""

    def at_own_rate(self) -> Waves:
        """The waves as fitted: (class, lead, wave), at each class's own heart rate."""
        return Waves(self.amplitude_mv, self.centre_s, self.width_s, self.stretches)

    def morphology(self) -> Waves:
        """The waves at RR = 1 s, as `simulate` takes them: (class, lead, wave)."""
        return self.at_own_rate().at(1 / self.rr_s[:, None, None])

    def draw(self) -> Float[Tensor, "cls lead=12 sample=300"]:
        """The fitted beats in mV, on the simulator's own baseline."""
        round_ = circuit(self.rr_s)
        beats = draw_beats(self.at_own_rate().phases(round_.omega[:, None]), round_)
        return beats + self.baseline_mv[..., None]

    def to_json(self, *, sources: Sequence[str]) -> dict[str, Any]:
        """What `eta.json` holds: per class and lead, the waves in phases (Eq. 6) and in time, and how well they fit.

        `sources` names the recordings. Numbers have six digits. A flat lead's correlation is null.
        """
        own = self.at_own_rate()
        eta = own.phases((2 * math.pi / self.rr_s)[:, None])
        per_wave = {"theta": eta.theta, "a": eta.a, "b": eta.b}
        per_wave |= {name: getattr(self, name) for name in _PER_WAVE}
        per_lead = {name: getattr(self, name) for name in _PER_LEAD}
        classes = {}
        for row, name in enumerate(self.classes):
            leads = {
                lead: {key: _rounded(values[row, at].tolist()) for key, values in (per_wave | per_lead).items()}
                | ({"correlation": None} if self.flat[row, at] else {})
                for at, lead in enumerate(LEADS)
            }
            classes[name] = {"rr_ms": _rounded(1000 * float(self.rr_s[row])), "beats": int(self.beats[row])}
            classes[name]["leads"] = leads
        return {
            "format": FORMAT,
            "sources": list(sources),
            "waves": list(self.waves),
            "stretches": self.stretches.tolist(),
            "classes": classes,
            "skipped": dict(self.skipped),
        }

    @staticmethod
    def read(path: Path) -> Fit:
        """The fit in an eta.json; raises `ConfigError` where there is none that this version reads."""
        try:
            return Fit.from_json(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ConfigError(
                f"{path} cannot be read as a fit ({type(error).__name__}); give eta.json of a fit_simulator job."
            ) from None
        except ConfigError as error:
            raise ConfigError(f"{path} cannot be used: {error}") from None

    @staticmethod
    def from_json(content: Any) -> Fit:
        """What `to_json` gave; the phases are read from the times, since one follows from the other."""
        written = content.get("format") if isinstance(content, Mapping) else None
        if written != FORMAT:
            raise ConfigError(
                f"a fit has format {written!r}, and this version reads {FORMAT}; give eta.json of a fit_simulator job."
            )
        classes = content["classes"]

        def table(name: str, *shape: int) -> Tensor:
            rows = [[entry["leads"][lead][name] or 0.0 for lead in LEADS] for entry in classes.values()]
            return torch.tensor(rows, dtype=torch.float64).reshape(-1, len(LEADS), *shape)

        flat = [[entry["leads"][lead]["correlation"] is None for lead in LEADS] for entry in classes.values()]
        return Fit(
            classes=tuple(classes),
            waves=tuple(content["waves"]),
            rr_s=torch.tensor([entry["rr_ms"] / 1000 for entry in classes.values()], dtype=torch.float64),
            beats=torch.tensor([entry["beats"] for entry in classes.values()], dtype=torch.int64),
            stretches=torch.tensor(content["stretches"]),
            flat=torch.tensor(flat, dtype=torch.bool).reshape(-1, len(LEADS)),
            skipped=dict(content["skipped"]),
            **{name: table(name, len(content["waves"])) for name in _PER_WAVE},
            **{name: table(name) for name in _PER_LEAD},
        )


def _rounded(value: Any) -> Any:
    """Six significant digits, in lists too."""
    return [_rounded(each) for each in value] if isinstance(value, list) else float(f"{value:.6g}")


def fit_classes(
    beats: Mapping[str, Float[np.ndarray, "_ lead=12 sample=300"]],
    rr_ms: Mapping[str, float],
    config: FitConfig | None = None,
) -> Fit:
    """A morphology for each class, from its beats in mV (`crop_beats`, of many records) and its RR interval.

    The order of `beats` decides which are looked at where there are more than `max_beats`.
    """
    config = config or FitConfig()
    targets, counts, skipped = {}, {}, {}
    for name, crops in beats.items():
        whole = crops[: config.max_beats]
        whole = whole[np.isfinite(whole).all((1, 2))]
        rr = rr_ms.get(name, math.nan)
        if len(whole) < config.min_beats:
            skipped[name] = f"{len(whole)} whole beats; {config.min_beats} are needed"
        elif not FASTEST_RR_S * 1000 <= rr <= SLOWEST_RR_S * 1000:
            skipped[name] = f"RR of {rr:g} ms; it must lie in 200 to 3000 ms"
        else:
            targets[name], counts[name] = typical_beat(whole), len(whole)
    return fit_targets(targets, {name: rr_ms[name] for name in targets}, counts, config=config, skipped=skipped)


def fit_targets(
    targets: Mapping[str, Float[np.ndarray, "lead=12 sample=300"]],
    rr_ms: Mapping[str, float],
    beats: Mapping[str, int],
    *,
    config: FitConfig | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Fit:
    """A morphology for each typical beat in mV; `skipped` are classes that had none."""
    config = config or FitConfig()
    reasons = dict(skipped or {})
    reasons |= {name: "its typical beat is not finite" for name, beat in targets.items() if not np.isfinite(beat).all()}
    names = [name for name in targets if name not in reasons]
    target = torch.tensor(np.array([targets[name] for name in names]).reshape(-1, 12, 300), dtype=torch.float64)
    rr_s = torch.tensor([rr_ms[name] / 1000 for name in names], dtype=torch.float64)
    raw, finite = _optimise(target, rr_s, config)
    reasons |= {name: "its fit diverged" for name, good in zip(names, finite.tolist(), strict=True) if not good}
    kept = [row for row, name in enumerate(names) if name not in reasons]
    counts = torch.tensor([beats[names[row]] for row in kept], dtype=torch.int64)
    return _baked(raw[kept], target[kept], rr_s[kept], [names[row] for row in kept], counts, config, reasons)


def _optimise(
    target: Float[Tensor, "cls lead=12 sample=300"], rr_s: Float[Tensor, " cls"], config: FitConfig
) -> tuple[Float[Tensor, "cls lead=12 parameter"], Bool[Tensor, " cls"]]:
    """The best parameters of each class-lead, and the classes whose losses are all finite.

    AdamW is content with single precision, and takes one start after the other: so much a CPU's cache holds.
    """
    if not len(target):
        return target.new_empty(0, 12, 3 * config.waves + 1), torch.empty(0, dtype=torch.bool)
    problem = Problem(target / _size(target)[..., None], circuit(rr_s), Homes.of(config.rules, rr_s), config)
    loss, rough = problem.loss, partial(problem.to(torch.float32).loss, trend=config.trend)
    starts = fold(_starts(problem.unit, rr_s, problem.homes, config), problem.homes, config=config)
    raw = problem.balanced(torch.stack([adamw(rough, start.float(), config) for start in starts]).double())
    with torch.no_grad():
        best = torch.nan_to_num(loss(raw), nan=math.inf).argmin(0)  # (cls, lead)
    raw = raw.gather(0, best[None, ..., None].expand(1, *best.shape, raw.shape[-1]))[0]
    raw = lbfgs(loss, raw, steps=config.lbfgs_steps)
    with torch.no_grad():
        finite = torch.isfinite(loss(raw)).all(-1)
    return raw, finite


def _size(target: Float[Tensor, "*batch sample"]) -> Float[Tensor, "*batch"]:
    """The unit of a beat: its standard deviation; infinity where it is flat, so that it becomes 0."""
    size = (target - target.mean(-1, keepdim=True)).square().mean(-1).sqrt()
    return torch.where(size < FLAT_MV, torch.inf, size)


def _starts(
    unit: Float[Tensor, "cls lead sample=300"], rr_s: Float[Tensor, " cls"], homes: Homes, config: FitConfig
) -> Shape:
    """Three ways to begin, read off the beat: (start, cls, lead, wave).

    Each wave at its usual place with the height found there; each at the largest deflection of its home; each at the
    largest one of the other sign. A T wave or a QRS upside down is met by one of them.
    """
    rules = config.rules
    level = torch.tensor([calmest(beat) for beat in unit.numpy()], dtype=torch.int64)
    rows = level[:, None, None] + torch.arange(8)
    height = unit - unit.gather(-1, rows.expand(-1, unit.shape[1], -1)).mean(-1, keepdim=True)
    omega = (2 * math.pi / rr_s)[:, None, None]
    usual = omega * at_rate(torch.tensor([rule.usual_s for rule in rules], dtype=torch.float64), rules, rr_s)[:, None]
    places = [usual.expand(-1, unit.shape[1], -1), *_deflections(height, homes, omega)]
    width = torch.tensor([rule.width_rad for rule in rules], dtype=torch.float64).expand_as(places[0])
    sample = [(R_SAMPLE + BEAT_FS * place / omega).round().long().clamp(0, unit.shape[-1] - 1) for place in places]
    heights = [height.gather(-1, at) for at in sample]
    return Shape(height=torch.stack(heights), theta=torch.stack(places), width=torch.stack([width] * len(places)))


def _deflections(
    height: Float[Tensor, "cls lead sample=300"], homes: Homes, omega: Float[Tensor, "cls 1 1"]
) -> list[Float[Tensor, "cls lead wave"]]:
    """Where in each home the beat deviates most, and where most to the other side, in rad."""
    phase = omega * (torch.arange(height.shape[-1], dtype=torch.float64) - R_SAMPLE) / BEAT_FS  # (cls, 1, sample)
    inside = (phase[..., None, :] >= homes.first[..., None]) & (phase[..., None, :] <= homes.last[..., None])
    sized = torch.where(inside, height[..., None, :], 0.0)  # (cls, lead, wave, sample)
    most = sized.abs().argmax(-1)
    sign = torch.sign(sized.gather(-1, most[..., None]))
    other = (-sign * sized).argmax(-1)
    line = phase.expand(-1, height.shape[1], -1)
    return [line.gather(-1, most), line.gather(-1, other)]


def _in_order(shape: Shape, config: FitConfig) -> Shape:
    """The same waves, sorted by their centres: Eq. 32's penalty is weak, and where Q passed R the two change names.

    Waves that stretch with the rate stay behind those that do not.
    """
    order = torch.argsort(shape.theta + 10 * stretching(config.rules), dim=-1)
    return Shape(*(part.gather(-1, order) for part in (shape.height, shape.theta, shape.width)))


def _baked(
    raw: Float[Tensor, "cls lead parameter"],
    target: Float[Tensor, "cls lead=12 sample=300"],
    rr_s: Float[Tensor, " cls"],
    names: list[str],
    beats: Int[Tensor, " cls"],
    config: FitConfig,
    skipped: Mapping[str, str],
) -> Fit:
    """Scale and offset go into the morphology; the scale's sign goes along, and so polarity is canonical (App. C)."""
    round_ = circuit(rr_s)
    shape = _in_order(unfold(raw, Homes.of(config.rules, rr_s), config=config, omega=round_.omega), config)
    drawn = draw_beats(shape.eta(round_.omega[:, None]), round_)
    aligned = align(drawn, target, trend=False)
    flat = torch.isinf(_size(target))
    scale = torch.where(flat, 0.0, aligned.scale)
    fitted = torch.where(flat[..., None], target.mean(-1, keepdim=True), aligned.beat)
    error = (fitted - target).square().mean(-1).sqrt()
    height = target.amax(-1) - target.amin(-1)
    centred, mine = target - target.mean(-1, keepdim=True), fitted - fitted.mean(-1, keepdim=True)
    size = (centred.norm(dim=-1) * mine.norm(dim=-1)).clamp(min=1e-30)
    return Fit(
        classes=tuple(names),
        waves=tuple(rule.name for rule in config.rules),
        rr_s=rr_s,
        beats=beats,
        amplitude_mv=scale[..., None] * shape.height,
        centre_s=shape.theta / round_.omega[:, None, None],
        width_s=shape.width / round_.omega[:, None, None],
        stretches=stretching(config.rules),
        baseline_mv=torch.where(flat, target.mean(-1), aligned.offset),
        correlation=torch.where(flat, 0.0, (centred * mine).sum(-1) / size),
        nrmse=torch.where(flat, 0.0, error / height.clamp(min=1e-30)),
        flat=flat,
        skipped=skipped,
        typical_mv=target,
    )
