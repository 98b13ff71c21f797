"""Steps, samplers and guidance: the same ECGs drawn with every setting, on Ray Tune, and quality held against time.

A trial is a generate job of one setting in a folder of its own, in one process whose CPU time is taken; what a sweep
that was killed has finished is not done again. One evaluation scores all of them together.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from ecgray.alignment.folder import load_scorer
from ecgray.cluster.connect import connected
from ecgray.cluster.evaluate import evaluate
from ecgray.cluster.generate import generate, told_like
from ecgray.cluster.preflight import check_room
from ecgray.errors import EcgrayError, TrainingError
from ecgray.metrics.pareto import draw_pareto, front
from ecgray.models.generator import load_generator
from ecgray.output import output_folder, write_bytes
from ecgray.recipes.evaluate import EvaluateConfig
from ecgray.recipes.tune_steps import trial_name
from ecgray.sediff.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from ecgray.recipes.tune_steps import TuneStepsConfig

QUALITY = ("rate_condition_bpm", "frechet", "rclip_ratio_of_means", "mae_mv", "qt_ms")
"""What stands in the table of each setting, with its interval."""
HIGHER_IS_BETTER = ("rclip_ratio_of_means",)


def tune_steps(config: TuneStepsConfig) -> dict[str, Any]:
    """Draw, score, compare; returns the figures of the cheapest setting that is no worse than the dearest one."""
    names = ("model", "records", "labels", "intervals", "experience", "scorer")
    inputs = {name: path for name in names if (path := getattr(config, name)) is not None}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        config = _absolute(config, names)
        settings = config.settings()
        _refuse_undrawable(config, settings)
        with connected(dashboard=True):
            check_room(workers=1, cpus=config.cpus_per_trial, gpus=int(config.gpu), spare_cpus=0, purpose="generating")
            _draw(config, [one for one in settings if not _done(config, one)])
            evaluate(_evaluation(config, settings))
        return folder.finish(_export(config, settings))


def _absolute(config: TuneStepsConfig, names: tuple[str, ...]) -> TuneStepsConfig:
    paths = {name: path.absolute() for name in (*names, "out") if (path := getattr(config, name)) is not None}
    return dataclasses.replace(config, **paths)  # type: ignore[arg-type]


def _refuse_undrawable(config: TuneStepsConfig, settings: list[SamplingConfig]) -> None:
    """What every setting would be refused for is said once, before Ray starts."""
    generator = load_generator(config.model)
    for one in settings:
        generator.check_sampling(one)
    load_scorer(config.scorer)
    told_like(config.generate(settings[0]), config.records)


def _done(config: TuneStepsConfig, sampling: SamplingConfig) -> bool:
    return (config.generate(sampling).out / "figures.json").exists()


def _draw(config: TuneStepsConfig, settings: list[SamplingConfig]) -> None:
    """One trial a setting."""
    if not settings:
        return
    by_name = {trial_name(one): one for one in settings}

    def trial(chosen: dict[str, str]) -> None:
        generate(config.generate(by_name[chosen["setting"]]), here=True)

    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": config.cpus_per_trial, "gpu": float(config.gpu)}),
        param_space={"setting": tune.grid_search(list(by_name))},
        tune_config=tune.TuneConfig(max_concurrent_trials=config.at_once, reuse_actors=False),
        run_config=tune.RunConfig(name="steps", storage_path=str(config.out / "tune"), verbose=0),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # verbose=0 still draws boxes
        outcome = tuner.fit()
    if outcome.errors:
        first = getattr(outcome.errors[0], "cause", None)  # Ray's own text is a traceback
        said = str(first).rstrip(".") if isinstance(first, EcgrayError) else type(first or outcome.errors[0]).__name__
        raise TrainingError(
            f"{len(outcome.errors)} of {len(settings)} settings failed; the first: {said}. "
            "The same command goes on with what is left."
        )


def _evaluation(config: TuneStepsConfig, settings: list[SamplingConfig]) -> EvaluateConfig:
    return EvaluateConfig(
        generated=tuple(config.generate(one).out for one in settings),
        names=tuple(trial_name(one) for one in settings),
        records=config.records,
        intervals=config.intervals,
        labels=config.labels,
        scorer=config.scorer,
        out=config.out / "evaluation",
        train_records=-1,
        seed=config.seed,
        workers=config.at_once,
        cpus_per_worker=config.cpus_per_trial,
        gpu=config.gpu,
    )


def _export(config: TuneStepsConfig, settings: list[SamplingConfig]) -> dict[str, Any]:
    """The table, the picture, the figures."""
    rows = read_trials(config.out, settings)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(config.out / "trials.csv", text.getvalue().encode())
    timed = [row for row in rows if row["seconds_each"] is not None]  # None: killed after its last ECG
    write_bytes(config.out / "steps.svg", draw_pareto(timed, cost="seconds_each", qualities=QUALITY[:3]).encode())
    dearest = max(settings, key=lambda one: (one.steps, one.sampler == "ddpm"))
    chosen = cheapest(timed, trial_name(dearest))
    return {
        "settings": len(rows),
        "yardstick": trial_name(dearest),
        "chosen": chosen["setting"] if chosen else None,
        "chosen_seconds_each": chosen["seconds_each"] if chosen else None,
        "front": [row["setting"] for row in front(timed, cost="seconds_each", quality="rate_condition_bpm")],
        "table": str(config.out / "trials.csv"),
        "picture": str(config.out / "steps.svg"),
    }


def read_trials(out: Path, settings: list[SamplingConfig]) -> list[dict[str, Any]]:
    """One row a setting: what it cost, and its scores with their intervals."""
    scored = json.loads((out / "evaluation" / "results.json").read_text())["sets"]
    by_name = {one["name"]: one["scores"] for one in scored}
    rows = []
    for one in settings:
        name = trial_name(one)
        figures = json.loads((out / "trials" / name / "figures.json").read_text())
        row: dict[str, Any] = {
            "setting": name,
            "sampler": one.sampler,
            "steps": one.steps,
            "guidance": one.guidance_scale,
        }
        row["seconds_each"] = figures["seconds_each"]
        for quality in QUALITY:
            score = by_name[name].get(quality, {"value": None, "low": None, "high": None, "records": 0})
            row |= {quality: score["value"], f"{quality}_low": score["low"], f"{quality}_high": score["high"]}
        rows.append(row)
    return rows


def cheapest(rows: list[dict[str, Any]], yardstick: str) -> dict[str, Any] | None:
    """The cheapest setting of which no score is worse than the yardstick's beyond that one's interval."""
    truth = next(row for row in rows if row["setting"] == yardstick)

    def no_worse(row: dict[str, Any]) -> bool:
        for name in QUALITY:
            value = row[name]
            low, high = truth[f"{name}_low"], truth[f"{name}_high"]
            if low is None or high is None:
                continue
            if value is None or (value < low if name in HIGHER_IS_BETTER else value > high):
                return False
        return True

    return min(filter(no_worse, rows), key=lambda row: row["seconds_each"], default=None)
