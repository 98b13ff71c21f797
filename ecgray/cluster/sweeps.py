"""Which dropout ratio is best: one pre-training run a ratio, side by side as far as the cluster holds, on Ray Tune.

A trial is a pre-training run in a folder of its own, so that a sweep which was killed needs nothing of Tune's own
(pickled) state: by the same command a trial that was finished or stopped is read, any other goes on from its
checkpoint, and the scheduler first learns what each had said. docs/decisions/0008 says what that guarantees.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.preflight import check_room, workers_at_once
from ecgray.cluster.training import pretrain, settle
from ecgray.errors import EcgrayError, TrainingError
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.text.encoders import load_text_encoder
from ecgray.text.lexical import LEXICAL
from ecgray.training.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecgray.recipes.tune_dropout import TuneDropoutConfig

SCORE = "best_val_macro_auc"
MOST_LOOKS = 10_000
"""ASHA needs a last rung; a run ends by its own budget before."""
STOPPED = "stopped.json"
"""Marks the folder of a run that ASHA stopped."""


@dataclass(frozen=True)
class Tried:
    """What came of one ratio."""

    search: str
    """grid or continuous."""
    dropout: float
    best_val_macro_auc: float
    steps: int
    finished: bool
    """Whether it was trained to its end; else ASHA stopped it."""
    folder: str


def tune_dropout(config: TuneDropoutConfig) -> dict[str, Any]:
    """Train once a ratio; figures of the best. OUT/trials.csv is the table, OUT/dropout.svg the picture."""
    inputs = {"records": config.records, "labels": config.labels}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        config = _absolute(config)
        _refuse_unlearnable(config)
        with connected(dashboard=True):
            at_once = _trials_at_once(config)
            ratios = _ratios(config)
            with _live_bar(config, sum(map(len, ratios.values()))):
                for search, values in ratios.items():
                    _search(config, search, values, at_once)
        tried = [_tried(config, search, value) for search, values in ratios.items() for value in values]
        return folder.finish(_export(folder.path, tried))


def _absolute(config: TuneDropoutConfig) -> TuneDropoutConfig:
    """The same settings for runs in folders of their own, where a relative path would lead nowhere."""
    encoder = config.text_encoder
    if encoder != LEXICAL and Path(encoder).is_dir():
        encoder = str(Path(encoder).absolute())
    return dataclasses.replace(
        config,
        records=config.records.absolute(),
        labels=config.labels.absolute(),
        out=config.out.absolute(),
        text_encoder=encoder,
    )


def _refuse_unlearnable(config: TuneDropoutConfig) -> None:
    """What every run would be refused for is said once, before Ray starts; no check depends on the ratio."""
    settings = config.pretrain().with_preset()
    settle(settings, load_text_encoder(settings.text_encoder, pooler=settings.text_pooler))


def _trials_at_once(config: TuneDropoutConfig) -> int:
    """How many runs fit side by side: Tune does not know of their workers, and one run more would starve them all."""
    workers, cpus, gpus, spare = config.workers, config.cpus_per_worker, int(config.gpu), config.spare_cpus
    check_room(workers=workers, cpus=cpus, gpus=gpus, spare_cpus=spare)
    return workers_at_once(workers=workers, cpus=cpus, gpus=gpus, spare_cpus=spare)


def _ratios(config: TuneDropoutConfig) -> dict[str, list[float]]:
    """What is tried: the grid, and ratios drawn once from the seed, so that a rerun tries the same."""
    drawn = np.random.default_rng(config.seed).uniform(config.low, config.high, config.continuous)
    return {"grid": list(config.grid), "continuous": [round(float(ratio), 4) for ratio in drawn]}


def _folder(config: TuneDropoutConfig, search: str, ratio: float) -> Path:
    return config.out / "trials" / f"{search}-{ratio:.4f}"


def _through(folder: Path) -> bool:
    """Whether a run needs no training any more: it was trained to its end, or stopped."""
    return (folder / "figures.json").exists() or (folder / STOPPED).exists()


def _left(config: TuneDropoutConfig, search: str, ratios: list[float]) -> list[float]:
    """The ratios to train; those that were begun come first, so that all of them are judged with the others' looks."""
    left = [ratio for ratio in ratios if not _through(_folder(config, search, ratio))]
    return sorted(left, key=lambda ratio: not _looks(_folder(config, search, ratio)))


def _search(config: TuneDropoutConfig, search: str, ratios: list[float], at_once: int) -> None:
    """Run one trial a ratio; the grid to the end, the others as long as ASHA lets them."""
    left = _left(config, search, ratios)
    if not left:
        return

    def trial(chosen: dict[str, float]) -> None:
        _run_trial(config, search, chosen["dropout"])

    scheduler: TrialScheduler = _Asha(config, ratios) if search == "continuous" else FIFOScheduler()
    tuner = tune.Tuner(
        # It waits for its workers, which ask for CPUs themselves; a CPU of its own could leave them short, and
        # asking for nothing is refused. One byte is there on every node.
        tune.with_resources(trial, {"memory": 1}),
        param_space={"dropout": tune.grid_search(left)},
        tune_config=tune.TuneConfig(max_concurrent_trials=at_once, scheduler=scheduler, reuse_actors=False),
        run_config=tune.RunConfig(name=search, storage_path=str(config.out / "tune"), verbose=0),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # verbose=0 still draws boxes
        outcome = tuner.fit()
    if outcome.errors:
        raise TrainingError(
            f"{len(outcome.errors)} of {len(left)} runs failed; the first: {_reason(outcome.errors[0])}. "
            "The same command goes on with what is left."
        )


def _run_trial(config: TuneDropoutConfig, search: str, ratio: float) -> None:
    model = dataclasses.replace(config.model, dropout=ratio)
    settings = config.pretrain(model=model, out=_folder(config, search, ratio))
    pretrain(settings, callbacks=[TuneReportCallback()], bar=False)


def _reason(error: BaseException) -> str:
    """Why a run failed, in one line: Ray's own text is a coloured header and a traceback."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, EcgrayError):
        return str(cause).rstrip(".")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), type(error).__name__)[:200].rstrip(".")


class _Asha(ASHAScheduler):
    """ASHA over several starts of one sweep: it marks a run that it stops, and first learns what all had said."""

    def __init__(self, config: TuneDropoutConfig, ratios: list[float]) -> None:
        super().__init__(
            time_attr="look",
            metric=SCORE,
            mode="max",
            max_t=MOST_LOOKS,
            grace_period=config.grace_looks,
            reduction_factor=2,
        )
        self._sweep = config
        for ratio in ratios:
            if _through(_folder(config, "continuous", ratio)):  # not trained again, yet others are held against it
                self.on_trial_add(None, Trial("before", config={"dropout": ratio}, stub=True))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A run that was going on after these looks was let go on; they only count for others."""
        super().on_trial_add(tune_controller, trial)
        for look in _looks(self._folder(trial)):
            super().on_trial_result(tune_controller, trial, look)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Mark a run before it is stopped: a sweep that is killed in between must not train it on."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            write_json(self._folder(trial) / STOPPED, {"look": result["look"], SCORE: result[SCORE]})
        return decision

    def _folder(self, trial: Trial) -> Path:
        return _folder(self._sweep, "continuous", trial.config["dropout"])


def _looks(folder: Path) -> list[dict[str, Any]]:
    """What a run reported at each look at the held-out patients."""
    looks: list[dict[str, Any]] = []
    for row in read_journal(folder):
        if "val_macro_auc" in row:
            best = max(row["val_macro_auc"], looks[-1][SCORE] if looks else 0.0)
            looks.append({"step": row["step"], "look": len(looks) + 1, SCORE: best})
    return looks


@contextlib.contextmanager
def _live_bar(config: TuneDropoutConfig, total: int) -> Iterator[None]:
    """A bar on stderr: runs that are through, and the best score so far."""
    stopped = threading.Event()
    with tqdm(total=total, desc="dropout", unit="run", file=sys.stderr) as bar:

        def show() -> None:
            folders = list((config.out / "trials").glob("*"))
            scores = [look[SCORE] for folder in folders for look in _looks(folder)]
            bar.n = sum(map(_through, folders))
            bar.set_postfix({"best AUC": f"{max(scores):.4f}"} if scores else {})

        def follow() -> None:
            while not stopped.wait(2):
                show()

        thread = threading.Thread(target=follow, name="dropout-bar", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()
            show()


def _tried(config: TuneDropoutConfig, search: str, ratio: float) -> Tried:
    folder = _folder(config, search, ratio)
    look = _looks(folder)[-1]
    finished = (folder / "figures.json").exists()
    return Tried(search, ratio, look[SCORE], look["step"], finished, str(folder))


def _export(out: Path, tried: list[Tried]) -> dict[str, Any]:
    """The table, the picture, the figures."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Tried)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in tried)
    write_bytes(out / "trials.csv", text.getvalue().encode())
    write_bytes(out / "dropout.svg", _picture(tried))
    best = max((row for row in tried if row.finished), key=lambda row: row.best_val_macro_auc)
    return {
        "best_dropout": best.dropout,
        "best_val_macro_auc": best.best_val_macro_auc,
        "trials": len(tried),
        "stopped_early": sum(not row.finished for row in tried),
        "model": json.loads((Path(best.folder) / "figures.json").read_text())["model"],
        "table": str(out / "trials.csv"),
        "picture": str(out / "dropout.svg"),
    }


def _picture(tried: list[Tried]) -> bytes:
    """Macro AUC over the dropout ratio, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="dropout ratio", ylabel="macro AUROC on held-out patients")
        for name, marker, rows in (
            ("grid", "o", [row for row in tried if row.search == "grid"]),
            ("drawn, to the end", "^", [row for row in tried if row.search != "grid" and row.finished]),
            ("drawn, stopped by ASHA", "x", [row for row in tried if not row.finished]),
        ):
            if rows:
                points = sorted((row.dropout, row.best_val_macro_auc) for row in rows)
                axes.plot(*zip(*points, strict=True), marker, label=name, linestyle="-" if name == "grid" else "none")
        axes.grid(alpha=0.3)
        axes.legend()
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
