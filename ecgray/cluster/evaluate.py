"""The scores of generated ECGs: the work is spread by Ray Data, the scoring itself is one process."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ecgray.alignment.folder import LoadedScorer, load_scorer
from ecgray.cluster.evaluation_case import draw_median_case
from ecgray.cluster.evaluation_plan import (
    Compared,
    Reference,
    compared_sets,
    read_generated,
    reference_of,
    rows_of,
    train_sets,
    write_reference,
    write_tasks,
)
from ecgray.cluster.evaluation_worker import (
    EvaluationPlan,
    Evaluator,
    TrainingParts,
    ecg_set,
    embeddings,
    read_scored,
    small_ecgs,
)
from ecgray.cluster.parts import work_through
from ecgray.cluster.workers import Workers
from ecgray.errors import ConfigError
from ecgray.metrics.generation import INTERVALS, RATE, EcgSet, score_set
from ecgray.metrics.generation_report import ScoredSet, to_csv, to_markdown
from ecgray.metrics.memorisation import Nearest, find_nearest
from ecgray.metrics.memorisation_report import nearness, planted_found
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.parquet import table_folder
from ecgray.sediff.folder import load_vae
from ecgray.tables import INTERVALS as INTERVALS_TABLE

if TYPE_CHECKING:
    from ecgray.recipes.evaluate import EvaluateConfig

REAL = 0
"""The recordings are the first of the sets that are looked at."""
SHOWN = ("mae_mv", "correlation_aligned", "rate_condition_bpm", "qt_ms", "rclip_ratio_of_means", "frechet")
"""What the job's last line says of each set."""


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Look at every ECG, score every set, look for copies, draw a case; returns the figures.

    Writes OUT/results.json, OUT/results.csv, OUT/results.md, OUT/memorisation.csv and OUT/case.svg. The same command
    goes on with what is missing of a run that was killed.
    """
    if not config.generated:
        raise ConfigError("no set is named; give --generated, OUT of a generate job, once or more.")
    scorer = load_scorer(config.scorer)
    inputs: dict[str, Path | str] = {"records": config.records, "scorer": scorer.fingerprint}
    inputs |= {f"generated {n}": out for n, out in enumerate(config.generated)}
    inputs |= {name: path for name in ("intervals", "labels") if (path := getattr(config, name)) is not None}
    if config.vae is not None:
        inputs["vae"] = load_vae(config.vae).fingerprint
    asked = [read_generated(out) for out in config.generated]
    reference = reference_of(config, asked)
    rows, real = compared_sets(config, reference, asked)
    training = train_sets(config)
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        work = folder.path / "work"
        sets = [real, *rows, *training]
        measured = _known_intervals(config, reference)
        _work(config, sets, reference, work, measures_real=measured is None)
        found = [read_scored(work / "scored", at) for at in range(1 + len(rows))]
        text = _texts(scorer, [real, *rows])
        ecgs = _ecg_sets([real, *rows], found, text, measured)
        scored = [_score(config, one, own, ecgs[REAL]) for one, own in zip(rows, ecgs[1:], strict=True)]
        copies = _copies(config, sets, found, reference, folder.path, width=text[1].shape[1])
        _write(config, folder.path, reference, scored, copies, scorer)
        errors = ecgs[1].errors["mae_mv"]
        draw_median_case(folder.path / "case.svg", config, sets, errors, work / "reference.i2", reference)
        shutil.rmtree(work)
        figures = {
            "real": len(reference.record_ids),
            "sets": {one.name: _shown(one) for one in scored},
            "planted_found": copies.get("planted", {}).get("planted_found"),
            "results": str(folder.path / "results.md"),
            "picture": str(folder.path / "case.svg"),
        }
        return folder.finish(figures)


def _known_intervals(config: EvaluateConfig, reference: Reference) -> dict[str, np.ndarray] | None:
    """What a measure job found of the recordings; None where no such job is named."""
    if config.intervals is None:
        return None
    fields = [INTERVALS_TABLE.field(name) for name in ("record_id", RATE, *INTERVALS)]
    table = rows_of(table_folder(config.intervals, "intervals"), fields, reference.record_ids)
    if missing := table["record_id"].null_count:
        raise ConfigError(
            f"{missing} of {len(table)} recordings have no row of intervals; run jobs/measure.py on the same "
            "records, or leave --intervals out."
        )
    return {name: table[name].to_numpy(zero_copy_only=False).astype(float) for name in (RATE, *INTERVALS)}


def _work(
    config: EvaluateConfig, sets: Sequence[Compared], reference: Reference, work: Path, *, measures_real: bool
) -> None:
    """Have every ECG looked at."""
    write_reference(config, reference, work / "reference.i2")
    scorer = config.scorer / "model" if (config.scorer / "model").is_dir() else config.scorer
    plan = EvaluationPlan(
        reference=work / "reference.i2",
        scored=work / "scored",
        scorer=scorer.absolute(),
        vae=config.vae.absolute() if config.vae else None,
        measures_real=measures_real,
        batch_size=config.batch_size,
        threads=max(1, int(config.cpus_per_worker)),
        device="cuda" if config.gpu else "cpu",
        seed=config.seed,
    )
    work_through(
        write_tasks(sets, reference, work / "tasks"),
        Evaluator,
        plan,
        tables=[plan.scored],
        size=Workers(config.workers, config.cpus_per_worker, config.gpu),
        name="evaluate",
        purpose="scoring",
    )


def _texts(scorer: LoadedScorer, sets: Sequence[Compared]) -> tuple[dict[str, int], np.ndarray]:
    """Every text once, and its embedding; an empty text agrees with nothing in particular (NaN)."""
    known = sorted({text for one in sets for text in one.text})
    embedded = scorer.embed_text(known).astype(np.float64)
    embedded[[not text.strip() for text in known]] = np.nan
    return {text: number for number, text in enumerate(known)}, embedded


def _ecg_sets(
    sets: Sequence[Compared],
    found: Sequence[pa.Table],
    text: tuple[dict[str, int], np.ndarray],
    measured: Mapping[str, np.ndarray] | None,
) -> list[EcgSet]:
    """The sets as arrays; what is another patient's recording has that recording's intervals and embedding."""
    numbers, vectors = text
    whole = [
        ecg_set(one, table, text=np.array([numbers[each] for each in one.text], int), text_embedding=vectors)
        for one, table in zip(sets, found, strict=False)
    ]
    if measured is not None:
        whole[REAL] = dataclasses.replace(whole[REAL], measured=dict(measured))
    for at, one in enumerate(sets):
        if one.kind == "other":
            whole[at] = dataclasses.replace(
                whole[at],
                measured={name: values[one.other] for name, values in whole[REAL].measured.items()},
                embedding=whole[REAL].embedding[one.other],
            )
    return whole


def _score(config: EvaluateConfig, one: Compared, own: EcgSet, real: EcgSet) -> ScoredSet:
    population = {"shuffled real": "none", "real against real": "halves"}.get(one.name, "whole")
    scores = score_set(
        own,
        real,
        population=population,  # type: ignore[arg-type]
        k=config.k,
        resamples=config.resamples,
        seed=config.seed,
    )
    return ScoredSet(one.name, one.preset, len(own), len(np.unique(own.patients)), scores)


def _copies(
    config: EvaluateConfig,
    sets: Sequence[Compared],
    found: Sequence[pa.Table],
    reference: Reference,
    out: Path,
    *,
    width: int,
) -> dict[str, Any]:
    """Look for copies of training records in every generated set; writes the nearest record of each ECG.

    The training records are read from OUT/work part by part: they may be more than memory holds.
    """
    by_kind = {one.kind: at for at, one in enumerate(sets)}
    held = np.flatnonzero(reference.splits != "train")
    if "train" not in by_kind or not len(held):
        return {"skipped": "no training record to look in" if len(held) else "no held-out recording to compare with"}
    training = sets[by_kind["train"]].record_ids
    scored = out / "work" / "scored"
    library = TrainingParts.of(scored, by_kind["train"], width=width)
    generated = [at for at, one in enumerate(sets) if one.kind == "generated"]
    copies = read_scored(scored, by_kind["planted"])
    asked = [copies, found[REAL].take(pa.array(held)), *(found[at] for at in generated)]
    planted, others, *each = _nearest(asked, library)
    nearest = dict(zip(generated, each, strict=True))
    again = {"resamples": config.resamples, "seed": config.seed}
    said: dict[str, Any] = {"training_records": len(training), "held_out_records": len(held)}
    said["planted"] = planted_found(planted, sets[by_kind["planted"]].other, others)
    said["held-out patients"] = nearness(others, others, patients=reference.patients[held].astype(str), **again)
    for at, own in nearest.items():
        said[sets[at].name] = nearness(own, others, patients=sets[at].patients.astype(str), **again)
    _write_nearest(out / "memorisation.csv", sets, nearest, training)
    return said


def _nearest(asked: Sequence[pa.Table], library: TrainingParts) -> list[Nearest]:
    """The nearest of each set, looked for together: the training records are read for all of them at once."""
    whole = pa.concat_tables(asked)
    found = find_nearest(small_ecgs(whole), library, embedding=embeddings(whole, library.width))
    ends = np.cumsum([len(table) for table in asked])[:-1]
    return [Nearest(*own) for own in zip(*(np.split(column, ends) for column in vars(found).values()), strict=True)]


def _write_nearest(
    path: Path, sets: Sequence[Compared], nearest: Mapping[int, Nearest], training: Sequence[str]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "record_id", "nearest", "correlation", "shift_s", "by_embedding", "embedding_distance"])
    for at, own in nearest.items():
        for row, record_id in enumerate(sets[at].record_ids):
            by_waves = (training[own.record[row]], f"{own.correlation[row]:.4f}", f"{own.shift_s[row]:.2f}")
            by_embedding = (training[own.embedding_record[row]], f"{own.embedding_distance[row]:.4f}")
            writer.writerow([sets[at].name, record_id, *by_waves, *by_embedding])
    write_bytes(path, text.getvalue().encode())


def _write(
    config: EvaluateConfig,
    out: Path,
    reference: Reference,
    scored: Sequence[ScoredSet],
    copies: Mapping[str, Any],
    scorer: LoadedScorer,
) -> None:
    network = scorer.model.config
    splits = {name: int((reference.splits == name).sum()) for name in sorted(set(reference.splits.tolist()))}
    said = {
        "real": {"records": len(reference.splits), "patients": len(np.unique(reference.patients)), "splits": splits},
        "scorer": {
            "fingerprint": scorer.fingerprint,
            "encoder": network.encoder,
            "text_encoder": scorer.encoder.name,
            "figures": scorer.details.get("figures", {}),
        },
        "k": config.k,
        "sets": [asdict(one) for one in scored],
        "memorisation": dict(copies),
    }
    write_json(out / "results.json", said)
    write_bytes(out / "results.csv", to_csv(scored).encode())
    write_bytes(out / "results.md", _page(said, scored, copies).encode())


def _page(said: Mapping[str, Any], scored: Sequence[ScoredSet], copies: Mapping[str, Any]) -> str:
    real, scorer = said["real"], said["scorer"]
    lines = [
        "# Scores of generated ECGs",
        "",
        f"Held against {real['records']:,} recordings of {real['patients']:,} patients ("
        + ", ".join(f"{name} {count:,}" for name, count in real["splits"].items())
        + f"). Scorer: {scorer['encoder']} and {scorer['text_encoder']}. Each figure with its 95 % interval over "
        "patients; n where not every ECG could be measured. docs/scores.md says what each means.",
        "",
        to_markdown(scored),
        "",
        "## Copies of training records",
        "",
    ]
    if "skipped" in copies:
        return "\n".join([*lines, f"Not looked for: {copies['skipped']}.", ""])
    planted = copies["planted"]
    lines += [
        f"Nearest of {copies['training_records']:,} training records. Of {planted['planted']} planted copies "
        f"{_share(planted['planted_found'])} were found by their waves, "
        f"{_share(planted['planted_found_by_embedding'])} by embedding. One in a hundred held-out patients correlates "
        f"above {planted['held_out_99']} with a training record.",
        "",
        "| set | ECGs | nearest r, median | largest | above held-out 99 % | distance by held-out's | by embedding |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in copies.items():
        if isinstance(one, dict) and "above_held_out" in one:
            above = one["above_held_out"]
            lines.append(
                f"| {name} | {one['ecgs']:,} | {one['correlation']['value']} | {one['largest_correlation']} | "
                f"{above['value']} ({above['low']} to {above['high']}) | {one['distance_ratio']} | "
                f"{one['embedding_distance_ratio']} |"
            )
    return "\n".join([*lines, ""])


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"


def _shown(one: ScoredSet) -> dict[str, float | None]:
    values = {name: one.scores[name].value for name in SHOWN if name in one.scores}
    return {name: None if value is None else round(value, 4) for name, value in values.items()}
