"""ECGs from text on Ray Data: workers that hold the generator take a file of prompts and write one of records each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ecgray.cluster.parts import PartWorker, rows_of, work_here, work_through
from ecgray.cluster.workers import Workers
from ecgray.errors import ConfigError
from ecgray.models.generator import load_generator
from ecgray.models.loading import sampling_of
from ecgray.output import output_folder, write_bytes
from ecgray.parquet import write_table
from ecgray.recipes.generate import MOST_TOGETHER
from ecgray.sediff.conditions import Conditions, Sources, Wordings, read_conditions
from ecgray.sediff.prompt_files import read_prompts
from ecgray.sediff.prompts import Limits, Prompt, flags, understood
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.tables import FS, GENERATED, RECORD_GROUP, RECORD_ROWS, RECORDS, ecg_bytes
from ecgray.waveform.paper import draw_paper
from ecgray.waveform.write import write_recording

if TYPE_CHECKING:
    from ecgray.recipes.generate import GenerateConfig

_FILES_TO_SHARE = 16
ASKED = "generated"


@dataclass(frozen=True)
class GeneratePlan:
    """What each worker is told; paths are absolute."""

    model: Path
    out: Path
    sampling: SamplingConfig
    batch_size: int
    threads: int
    device: str
    bf16: bool
    wfdb: bool
    paper: bool


def generate(config: GenerateConfig, *, here: bool = False) -> dict[str, Any]:
    """Draw every ECG that is asked for; returns the figures. Writes OUT/generated, OUT/records and OUT/wfdb.

    `here`: in this process, whose seconds an ECG are among the figures; on Ray Data else.
    """
    generator = load_generator(config.model)  # a folder that no worker could load is refused here
    sampling = sampling_of(
        generator.details, steps=config.steps, sampler=config.sampler, guidance_scale=config.guidance_scale
    )
    generator.check_sampling(sampling)
    asked = _asked(config)
    total = len(asked) * config.n
    if total > MOST_TOGETHER:
        raise ConfigError(
            f"{len(asked):,} prompts times n={config.n:,} are {total:,} ECGs; {MOST_TOGETHER:,} are the most."
        )
    named = {
        name: getattr(config, name)
        for name in ("prompts", "like", "labels", "intervals", "experience")
        if getattr(config, name) is not None
    }
    inputs: dict[str, Path | str] = {**named, "model": generator.fingerprint}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        out = config.out.absolute()
        odd = write_asked(
            asked,
            config,
            sampling,
            limits=generator.limits,
            model=generator.fingerprint,
            folder=out / ASKED,
        )
        plan = GeneratePlan(
            config.model.absolute(),
            out,
            sampling,
            config.batch_size,
            max(1, int(config.cpus_per_worker)),
            "cuda" if config.gpu else "cpu",
            config.bf16,
            config.wfdb,
            config.paper,
        )
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        parts, tables = rows_of(out / ASKED), [out / "records"]
        figures: dict[str, Any] = {"records": total, "prompts": len(asked), "flagged": dict(odd)}
        if here:
            took = work_here(parts, Drawer, plan, tables=tables, gpu=config.gpu)
            figures["seconds_each"] = None if took is None else round(took, 5)
        else:
            rate = work_through(parts, Drawer, plan, tables=tables, size=size, name="generate", purpose="generating")
            figures["records_per_s"] = round(rate, 2)
        asked_how = {"sampler": sampling.sampler, "steps": sampling.steps, "guidance_scale": sampling.guidance_scale}
        return folder.finish(figures | asked_how | {"model": generator.fingerprint, "table": str(out / "records")})


def _asked(config: GenerateConfig) -> list[tuple[Prompt, str | None]]:
    """The prompts, each with the record that it is taken from where there is one."""
    given = [name for name in ("prompt", "prompts", "like") if getattr(config, name) is not None]
    if len(given) != 1:
        raise ConfigError("give one of --prompt TEXT, --prompts FILE and --like OUT of an ingest job.")
    if config.like is not None:
        return _like(config, config.like)
    found = read_prompts(config.prompts) if config.prompts is not None else [Prompt(text=config.prompt or "")]
    return [(_filled(prompt, config), None) for prompt in found]


def _filled(prompt: Prompt, config: GenerateConfig) -> Prompt:
    """With the command line's age, sex and heart rate where the prompt has none of its own."""
    sex = None if config.sex is None else config.sex.upper()
    return dataclasses.replace(
        prompt,
        age=config.age if prompt.age is None else prompt.age,
        sex=sex if prompt.sex is None else prompt.sex,
        heart_rate_bpm=config.heart_rate if prompt.heart_rate_bpm is None else prompt.heart_rate_bpm,
    )


def told_like(config: GenerateConfig, like: Path) -> Conditions:
    """The records to draw like, of which something is said; raises `ConfigError` where there are none."""
    sources = Sources(like, config.labels, config.intervals, config.experience)
    wordings: Wordings = "both" if config.wordings == "report" and config.labels else config.wordings
    told = read_conditions(sources, splits=config.splits, wordings=wordings)
    rows = told.told()
    if not len(rows):
        raise ConfigError(
            f"{like} has {len(told)} records of split {', '.join(config.splits)} and no text of any; give its "
            "--labels, or other --splits."
        )
    return told.take(rows)


def _like(config: GenerateConfig, like: Path) -> list[tuple[Prompt, str | None]]:
    told = told_like(config, like)
    kept = np.sort(np.random.default_rng(config.seed).permutation(len(told))[: config.most])
    ids = told.record_ids.to_pylist()
    return [(told.prompt(row), ids[row]) for row in kept.tolist()]


def write_asked(
    asked: Sequence[tuple[Prompt, str | None]],
    config: GenerateConfig,
    sampling: SamplingConfig,
    *,
    limits: Limits,
    model: str,
    folder: Path,
) -> Counter[str]:
    """Write what is asked for, a row an ECG; returns each flag's count."""
    odd: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for prompt, like in asked:
        marks = flags(prompt, limits)
        odd.update(marks)
        known = understood(prompt)
        for _ in range(config.n):
            index = len(rows)
            rows.append(
                {
                    "record_id": f"synthetic:{known.hash}-{config.seed}-{index}",
                    "like": like,
                    "prompt": known.text,
                    "experience": known.experience,
                    "age": known.age,
                    "sex": known.sex,
                    "heart_rate_bpm": known.heart_rate_bpm,
                    "seed": config.seed,
                    "index": index,
                    "steps": sampling.steps,
                    "sampler": sampling.sampler,
                    "guidance_scale": sampling.guidance_scale,
                    "flags": marks,
                    "model": model,
                }
            )
    each = rows_a_file(len(rows), config.batch_size)
    for number, start in enumerate(range(0, len(rows), each)):
        table = pa.Table.from_pylist(rows[start : start + each], schema=GENERATED)
        write_table(table, folder / f"part-{number:05d}.parquet")
    return odd


def rows_a_file(total: int, batch_size: int) -> int:
    """Whole batches, so that a batch is the same ECGs whoever draws it; some 16 files for the workers to share, none
    longer than a file of records.

    >>> rows_a_file(140, 32), rows_a_file(2000, 32), rows_a_file(10**6, 32), rows_a_file(10**6, 1024)
    (32, 128, 512, 1024)
    """
    batches = -(-total // batch_size)
    return batch_size * max(1, min(-(-batches // _FILES_TO_SHARE), RECORD_ROWS // batch_size))


class Drawer(PartWorker):
    """One worker: loads the generator once, draws file after file."""

    def __init__(self, plan: GeneratePlan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.generator = load_generator(plan.model, device=plan.device)

    def write(self, part: Path) -> int:
        """Draw the ECGs of one file of prompts."""
        plan, asked = self.plan, pq.read_table(part)
        rows = asked.to_pylist()
        prompts = [
            Prompt(
                text=row["prompt"],
                age=row["age"],
                sex=row["sex"],
                heart_rate_bpm=row["heart_rate_bpm"],
                experience=row["experience"],
            )
            for row in rows
        ]
        counts = self.generator.generate(
            prompts,
            seed=rows[0]["seed"],
            index=asked["index"].to_numpy(),
            sampling=plan.sampling,
            batch_size=plan.batch_size,
            bf16=plan.bf16,
        )
        paths = [f"part-{part.stem.rpartition('-')[2]}/{file_name(row['record_id'])}" for row in rows]
        for row, prompt, path, ecg in zip(rows, prompts, paths, counts, strict=True):
            if plan.wfdb:
                place = (plan.out / "wfdb" / path).parent
                place.mkdir(parents=True, exist_ok=True)
                write_recording(place, file_name(row["record_id"]), ecg, fs=FS, comments=comments(row, prompt))
            if plan.paper:
                place = (plan.out / "paper" / path).with_suffix(".svg")
                place.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(place, draw_paper(ecg, title=prompt.text[:90], subtitle=said(row), synthetic=True).encode())
        write_table(records_table(rows, paths, counts), plan.out / "records" / part.name, row_group=RECORD_GROUP)
        return len(rows)


def file_name(record_id: str) -> str:
    """An ECG's name on disk.

    >>> file_name("synthetic:0123-0-7")
    '0123-0-7'
    """
    return record_id.partition(":")[2]


def comments(row: Mapping[str, Any], prompt: Prompt) -> list[str]:
    """What a header says: never the text, which may speak of a patient."""
    return [
        "synthetic",
        "drawn by a generator; no recording of a person; research use only",
        f"prompt {prompt.hash}",
        f"model {row['model']}",
        f"seed {row['seed']} index {row['index']}",
        f"sampler {row['sampler']} steps {row['steps']} guidance {row['guidance_scale']:g}",
    ]


def said(row: Mapping[str, Any]) -> str:
    """What was asked for besides the text, for a picture."""
    words = [f"{row['age']:.0f} years" if row["age"] is not None else "", row["sex"] or ""]
    words.append(f"{row['heart_rate_bpm']:.0f} bpm asked" if row["heart_rate_bpm"] is not None else "")
    return ", ".join(word for word in words if word)


def records_table(rows: Sequence[Mapping[str, Any]], paths: Sequence[str], counts: np.ndarray) -> pa.Table:
    """The ECGs as a records table, so that every job reads them as any other; each marked as synthetic."""
    known: dict[str, list[Any]] = {
        "record_id": [row["record_id"] for row in rows],
        "subject_id": [row["record_id"] for row in rows],
        "split": ["train"] * len(rows),
        "age": [row["age"] for row in rows],
        "sex": [row["sex"] for row in rows],
        "report": [row["prompt"] for row in rows],
        "source": ["synthetic"] * len(rows),
        "path": list(paths),
        "flags": [["synthetic"]] * len(rows),
        "source_fs": [float(FS)] * len(rows),
        "source_duration_s": [10.0] * len(rows),
        "ecg": [ecg_bytes(ecg) for ecg in counts],
    }
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else pa.nulls(len(rows), field.type)
        for field in RECORDS
    ]
    return pa.table(columns, schema=RECORDS)
