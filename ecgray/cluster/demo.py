"""The demo: every stage of the path, one after the other, in one process on one Ray, and a report of it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.diffusion import train_diffusion
from ecgray.cluster.encode import encode
from ecgray.cluster.extract import extract
from ecgray.cluster.generate import generate
from ecgray.cluster.ingest import ingest
from ecgray.cluster.labels import label
from ecgray.cluster.measure import measure
from ecgray.cluster.retrieve import retrieve
from ecgray.cluster.scoring import zeroshot
from ecgray.cluster.training import pretrain
from ecgray.cluster.vae import train_vae
from ecgray.demo.archive import draw_archive
from ecgray.demo.chapters import Step
from ecgray.demo.damage import damage
from ecgray.demo.rebuilt import VaeRun, read_real
from ecgray.demo.report import duration, report_html
from ecgray.demo.story import Run, draw_example, read_story
from ecgray.demo.written import WritingRun
from ecgray.errors import ConfigError
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.recipes.demo import BASE, DEMO, DemoConfig
from ecgray.recipes.encode import ENCODE
from ecgray.recipes.extract import EXTRACT
from ecgray.recipes.generate import GENERATE
from ecgray.recipes.ingest import INGEST
from ecgray.recipes.label import LABEL
from ecgray.recipes.measure import MEASURE
from ecgray.recipes.pretrain import PRETRAIN
from ecgray.recipes.retrieve import RETRIEVE
from ecgray.recipes.spell import command
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION
from ecgray.recipes.train_vae import TRAIN_VAE
from ecgray.recipes.zeroshot import ZEROSHOT
from ecgray.settings import to_json

SEEN, UNSEEN = "demo-seen", "demo-unseen"
TOOK = "took.json"


@dataclass(frozen=True)
class Stage:
    """One arrow of the path."""

    name: str
    meaning: str
    work: Callable[[], dict[str, Any]]
    """Does it; returns its figures."""
    outcome: str
    """What to say of the figures, as a format string."""
    spelled: str
    """The command that does the same alone."""
    expected_s: float
    """How long it takes on two idle cores: what the time left is reckoned from."""


def demo(config: DemoConfig) -> dict[str, Any]:
    """Walk the whole path; returns the figures. A run that was stopped goes on where it stopped."""
    if config.real is not None:
        read_real(config.real)  # what cannot be shown at the end is refused at the start
    with output_folder(config.out, config, inputs={}) as folder:
        if folder.done is not None:
            _say(f"all of it was done before: {folder.done['report']}")
            return folder.done
        stages = _stages(config)
        with connected(dashboard=True):
            steps = _walk(stages, folder.path / TOOK)
        return folder.finish(_report(config, steps))


def _stages(config: DemoConfig) -> list[Stage]:
    """The path. What it takes grows with the patients; a stage on Ray needs some seconds to start."""
    thousand = config.patients / 1000

    def asking(task: str, whom: str) -> Stage:
        return Stage(
            name=task,
            meaning=f"Ask test patients about the conditions {whom}",
            work=lambda: _ask(config, task),
            outcome="macro AUROC {macro_auc:.3f} ({macro_auc_low:.3f} to {macro_auc_high:.3f}) over {classes} "
            "conditions, {records:,} ECGs of {patients} patients; random weights {random_macro_auc:.3f}",
            spelled=command("jobs/zeroshot.py", BASE, base=ZEROSHOT[BASE], settings=config.zeroshot(task)),
            expected_s=12 + 0.5 * thousand,
        )

    return [
        Stage(
            name="archive",
            meaning="Draw an archive: patients, ECGs, reports, hospital tables",
            work=lambda: _draw(config),
            outcome="{records:,} ECGs of {patients:,} patients in MIMIC-IV-ECG's layout, {damaged} damaged on purpose",
            spelled=command("jobs/demo.py", "debug", base=DEMO["debug"], settings=config),
            expected_s=5.5 * thousand,
        ),
        Stage(
            name="ingest",
            meaning="Read the archive into 12 leads x 10 s at 500 Hz, split by patient",
            work=lambda: ingest(config.ingest()),
            outcome="{records:,} records, {quarantined} in quarantine, {records_per_s:,.0f} records a second",
            spelled=command("jobs/ingest.py", BASE, base=INGEST[BASE], settings=config.ingest()),
            expected_s=4 + 1.2 * thousand,
        ),
        Stage(
            name="entities",
            meaning="Have a language model read what the reports state",
            work=lambda: extract(config.extract()),
            outcome="{statements:,} statements, {distinct:,} of them distinct, {asked:,} calls; {entities:,} entities, "
            "{unknown} statements called unknown",
            spelled=command("jobs/extract.py", BASE, base=EXTRACT[BASE], settings=config.extract()),
            expected_s=20,
        ),
        Stage(
            name="labels",
            meaning="Map the entities to standard terms",
            work=lambda: label(config.label()),
            outcome="{labelled:,} records labelled with {terms} terms, wider ones included",
            spelled=command("jobs/label.py", BASE, base=LABEL[BASE], settings=config.label()),
            expected_s=1,
        ),
        Stage(
            name="pretrain",
            meaning="Train SuPreME on the training patients, without the unseen conditions",
            work=lambda: pretrain(config.pretrain()),
            outcome="{steps:,} steps, {records_per_s:,.0f} records a second; on validation patients macro AUROC "
            "{val_macro_auc:.3f}",
            spelled=command("jobs/pretrain.py", BASE, base=PRETRAIN[BASE], settings=config.pretrain()),
            expected_s=20 + config.epochs * 1.3 * thousand,
        ),
        asking(SEEN, "it learnt"),
        asking(UNSEEN, "it never saw a label of"),
        Stage(
            name="intervals",
            meaning="Find the beats of the first file of records, and their intervals",
            work=lambda: measure(config.measure()),
            outcome="{records:,} records, {records_per_s:,.0f} a second; median heart rate {median[heart_rate_bpm]:.0f}"
            " bpm, QRS {median[qrs_ms]:.0f} ms, QT {median[qt_ms]:.0f} ms",
            spelled=command("jobs/measure.py", BASE, base=MEASURE[BASE], settings=config.measure()),
            expected_s=15,
        ),
        Stage(
            name="vae",
            meaning="Teach an autoencoder to bring these ECGs to a latent of 4 x 128 and back",
            work=lambda: train_vae(config.vae()),
            outcome="{steps:,} steps on {records:,} records; on patients it never saw off by {mae_mv:.3f} mV",
            spelled=command("jobs/train_vae.py", BASE, base=TRAIN_VAE[BASE], settings=config.vae()),
            expected_s=20 + 0.1 * config.vae_steps,
        ),
        Stage(
            name="experience",
            meaning="Find patients with similar admissions, and say what their ECGs showed",
            work=lambda: retrieve(config.retrieve()),
            outcome="{records:,} ECGs, {with_neighbours:,} of them with similar patients",
            spelled=command("jobs/retrieve.py", BASE, base=RETRIEVE[BASE], settings=config.retrieve()),
            expected_s=15,
        ),
        Stage(
            name="latents",
            meaning="Bring those ECGs to the latents of the generator that comes with the package",
            work=lambda: encode(config.encode()),
            outcome="{records:,} latents",
            spelled=command("jobs/encode.py", BASE, base=ENCODE[BASE], settings=config.encode()),
            expected_s=15,
        ),
        Stage(
            name="generator",
            meaning="Train that generator on, with text, metadata and similar patients",
            work=lambda: train_diffusion(config.diffusion()),
            outcome="{steps:,} steps on {records:,} records; loss {ddpm:.3f}",
            spelled=command("jobs/train_diffusion.py", BASE, base=TRAIN_DIFFUSION[BASE], settings=config.diffusion()),
            expected_s=30 + 0.25 * config.generator_steps,
        ),
        Stage(
            name="written",
            meaning="Write ECGs from text",
            work=lambda: _write(config),
            outcome="{records:,} ECGs for {prompts} prompts, {sampler} in {steps} steps",
            spelled=command("jobs/generate.py", BASE, base=GENERATE[BASE], settings=config.generate()),
            expected_s=10 + 0.5 * config.ecgs_each * len(config.prompts),
        ),
        Stage(
            name="read back",
            meaning="Measure the heart rates of what was written",
            work=lambda: measure(config.measure_written()),
            outcome="{records:,} ECGs, median heart rate {median[heart_rate_bpm]:.0f} bpm",
            spelled=command("jobs/measure.py", BASE, base=MEASURE[BASE], settings=config.measure_written()),
            expected_s=12,
        ),
    ]


def _walk(stages: Sequence[Stage], took_file: Path) -> list[Step]:
    """Do the stages one after the other, saying what comes and how long is left.

    A stage that was stopped and goes on keeps the seconds that it took before.
    """
    took: dict[str, float] = json.loads(took_file.read_text()) if took_file.exists() else {}
    steps = []
    for number, stage in enumerate(stages):
        _say(f"\n[{number + 1}/{len(stages)}] {stage.meaning} ({_left(stages, number, took)})")
        start = time.monotonic()
        try:
            figures = stage.work()
        finally:
            took[stage.name] = took.get(stage.name, 0.0) + time.monotonic() - start
            write_json(took_file, took)
        outcome = stage.outcome.format(**figures)
        _say(f"      {duration(took[stage.name])}: {outcome}")
        steps.append(
            Step(meaning=stage.meaning, command=stage.spelled, seconds=took[stage.name], outcome=f"{outcome}.")
        )
    return steps


def _left(stages: Sequence[Stage], done: int, took: dict[str, float]) -> str:
    """The time left, by the pace of the stages done."""
    expected_s = sum(stage.expected_s for stage in stages[:done])
    pace = sum(took[stage.name] for stage in stages[:done]) / expected_s if done else 1.0
    return f"about {duration(pace * sum(stage.expected_s for stage in stages[done:]))} left"


def _draw(config: DemoConfig) -> dict[str, Any]:
    """Draw the archive and damage some of it, whole or not at all."""
    with output_folder(config.archive, config.drawing(), inputs={}) as folder:
        if folder.done is not None:
            return folder.done
        with tqdm(unit="record", desc="draw") as bar:
            figures = draw_archive(folder.path, patients=config.patients, seed=config.seed, progress=bar.update)
        recordings = sorted(path.with_suffix("") for path in (folder.path / "files").rglob("*.hea"))
        return folder.finish(figures | {"damaged": len(damage(recordings, count=config.damaged))})


def _write(config: DemoConfig) -> dict[str, Any]:
    """Write the prompts down, and have ECGs written from them."""
    write_bytes(config.out / "prompts.txt", "".join(f"{prompt}\n" for prompt in config.prompts).encode())
    return generate(config.generate())


def _ask(config: DemoConfig, task: str) -> dict[str, Any]:
    """Ask test patients, of whom some must have what is asked about."""
    figures = zeroshot(config.zeroshot(task))
    if figures["macro_auc"] is None:
        raise ConfigError(
            f"no test ECG of {config.patients} patients has a condition of {task}, so nothing can be scored; "
            "give more --patients and another --out."
        )
    return figures


def _report(config: DemoConfig, steps: Sequence[Step]) -> dict[str, Any]:
    """Write OUT/report.html and OUT/demo.svg; returns the figures."""
    run = Run(
        ingest=config.out / "ingest",
        pretrain=config.out / "pretrain",
        seen=config.out / SEEN,
        unseen=config.out / UNSEEN,
        vae=VaeRun(records=config.first_records, vae=config.out / "vae", real=config.real),
        writing=WritingRun(
            generator=config.out / "generator",
            written=config.out / "written",
            intervals=config.out / "written-intervals",
        ),
        shown_terms=config.shown_terms,
        steps=tuple(steps),
        seconds=sum(step.seconds for step in steps),
        machine=f"{os.cpu_count()} CPU cores",
        settings=json.dumps(to_json(dataclasses.replace(config, real=None)), indent=1),
    )
    story = read_story(run)
    report = config.out / "report.html"
    write_bytes(report, report_html(story).encode())
    write_bytes(config.out / "demo.svg", draw_example(run, config.example_term).encode())
    _say(f"\nopen {report}")
    return {
        "macro_auc": story.seen.macro,
        "macro_auc_low": story.seen.low,
        "macro_auc_high": story.seen.high,
        "random_macro_auc": story.seen.random_macro,
        "unseen_macro_auc": story.unseen.macro,
        "unseen_macro_auc_low": story.unseen.low,
        "unseen_macro_auc_high": story.unseen.high,
        "unseen_random_macro_auc": story.unseen.random_macro,
        "written": sum(1 for _ in story.written.shown) * config.ecgs_each,
        "heart_rate_error_bpm": story.written.error_bpm,
        "heart_rates_asked": story.written.asked,
        "heart_rates_measured": story.written.measured,
        "records": story.records,
        "patients": story.patients,
        "quarantined": len(story.refused),
        "report": str(report),
        "seconds": round(run.seconds, 1),
    }


def _say(words: str) -> None:
    tqdm.write(words, file=sys.stderr)
