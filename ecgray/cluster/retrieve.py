"""Experience retrieval on Ray Data: workers that hold the index do file after file of the records.

The hospital's tables are read once, on the driver; a worker builds its index from what the driver wrote, so that one
that died can be made anew. It searches once for each admission, however many ECGs belong to it, and writes the
paragraph from templates; where a language model serves, it is asked each distinct question once afterwards, and what it
answers well takes the template's place.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.cluster.experience_llm import TOLD, experience_writer
from ecgray.cluster.parts import PartWorker, rows_of, work_through
from ecgray.cluster.workers import Workers
from ecgray.ehr.hospital import Hospital, hosp_folder, read_hospital, table_path
from ecgray.ehr.linking import Links, link_ecgs
from ecgray.ehr.profiles import Level
from ecgray.ehr.retrieval import Experience, gather_experience, mean_overlap
from ecgray.ehr.similar import Searcher, Weights
from ecgray.ehr.wording import findings
from ecgray.ehr.writer import write_experience
from ecgray.errors import ArchiveError
from ecgray.output import output_folder
from ecgray.parquet import read_columns, read_table, table_folder, write_table, write_tables
from ecgray.tables import EXPERIENCE, RECORDS
from ecgray.text.experience import case_of
from ecgray.training.patients import refuse_shared

if TYPE_CHECKING:
    from ecgray.recipes.retrieve import RetrieveConfig

_LINKED = [RECORDS.field(name) for name in ("subject_id", "split", "time", "report")]
LINKS = ".links.parquet"
"""Which admission each record belongs to, from the driver to its workers; gone when the job is done."""
ADMISSION_ROWS = 1 << 14
"""Rows in one file of the admissions table."""


@dataclass(frozen=True)
class RetrievePlan:
    """What each worker is told; paths are absolute."""

    out: Path
    """Where the driver wrote the admissions and the links."""
    starts: dict[str, int]
    """The row of the links with which each file of records begins."""
    level: Level
    weights: Weights
    k: int


def retrieve(config: RetrieveConfig) -> dict[str, Any]:
    """Write OUT/admissions, OUT/experience and OUT/quarantine; returns the figures."""
    hosp = hosp_folder(config.ehr)
    writer = experience_writer(config)
    inputs: dict[str, Path | str] = {"records": config.records, "ehr": hosp, **writer.inputs()}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        parts = rows_of(table_folder(config.records, "records").absolute())
        linked = pa.concat_tables(read_columns(part, _LINKED) for part in parts)
        refuse_shared(linked["subject_id"], linked["split"])
        hospital = read_hospital(hosp, subjects=linked["subject_id"])
        if not hospital.admissions.num_rows + hospital.others:
            raise ArchiveError(
                f"{table_path(hosp, 'admissions')} lists no admission that can be used; was it copied completely?"
            )
        _replace(hospital.admissions, folder.path / "admissions")
        _replace(hospital.quarantine, folder.path / "quarantine")
        links = link_ecgs(
            linked["subject_id"],
            linked["time"],
            hospital.admissions,
            days_before=config.days_before,
            emergency=config.emergency,
        )
        experience = gather_experience(
            hospital.admissions, links, linked["split"], linked["report"], level=config.code_level
        )
        _write_links(linked, links, folder.path / LINKS)
        starts = dict(zip(map(str, parts), np.cumsum([0, *parts.values()]).tolist(), strict=False))
        table, size = folder.path / "experience", Workers(config.workers, config.cpus_per_worker, gpu=False)
        plan = RetrievePlan(folder.path, starts, config.code_level, weights_of(config), config.k)
        rate = work_through(parts, Retriever, plan, tables=[table], size=size, name="retrieve", purpose="retrieving")
        asked = writer.write(parts, table, folder.path)
        figures = hospital_figures(hospital, experience) | figures_of(table, linked["report"]) | asked
        (folder.path / LINKS).unlink()
        return folder.finish(
            figures | {"records_per_s": round(rate, 1), "experience": str(table), "out": str(folder.path)}
        )


def weights_of(config: RetrieveConfig) -> Weights:
    """The lambdas of a recipe."""
    return Weights(
        diagnoses=config.lambda_diagnoses,
        medications=config.lambda_medications,
        procedures=config.lambda_procedures,
    )


def _write_links(linked: pa.Table, links: Links, path: Path) -> None:
    columns = {name: linked[name] for name in ("split", "report")}
    columns |= {field.name: pa.array(getattr(links, field.name)) for field in dataclasses.fields(Links)}
    write_table(pa.table(columns), path)


def _read_links(path: Path) -> tuple[Links, pa.Table]:
    table = pq.read_table(path)
    names = [field.name for field in dataclasses.fields(Links)]
    return Links(**{name: table[name].to_numpy() for name in names}), table


def _replace(table: pa.Table, folder: Path) -> None:
    """Write a table anew; one of an earlier attempt may have other files."""
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    write_tables(table, draft, rows=ADMISSION_ROWS)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)


class Retriever(PartWorker):
    """One worker: builds the index once, does file after file."""

    def __init__(self, plan: RetrievePlan) -> None:
        self.plan = plan
        admissions = read_table(plan.out / "admissions")
        self.links, told = _read_links(plan.out / LINKS)
        self.experience = gather_experience(admissions, self.links, told["split"], told["report"], level=plan.level)
        self.admission_ids = admissions["admission_id"].combine_chunks()
        self.searcher = Searcher(self.experience.pool, weights=plan.weights, k=plan.k)

    def write(self, part: Path) -> int:
        """Write the experience of the records of one file."""
        records, start = read_columns(part, TOLD), self.plan.starts[str(part)]
        links = self.links.at(slice(start, start + records.num_rows))
        rows = self._rows(records.to_pylist(), links)
        write_table(pa.Table.from_pylist(rows, EXPERIENCE), self.plan.out / "experience" / part.name)
        return records.num_rows

    def _rows(self, records: Sequence[dict[str, Any]], links: Links) -> list[dict[str, Any]]:
        experience = self.experience
        admissions = np.unique(links.admission[links.admission >= 0])
        found, tau = self.searcher.search(experience.profiles.take(admissions), experience.owner[admissions])
        place = np.searchsorted(admissions, links.admission)
        rows = []
        for record, at, row, kind, code in zip(
            records, place.tolist(), links.admission.tolist(), links.kinds(), links.codes(), strict=True
        ):
            own = {name: record[name] for name in ("record_id", "subject_id", "split")}
            if code is None:
                kept = found[at][found[at] >= 0]
                own |= self._found(record, row, kept, tau[at][: len(kept)])
            rows.append(_EMPTY | {"link": kind, "code": code} | own)
        return rows

    def _found(self, record: dict[str, Any], row: int, kept: np.ndarray, tau: np.ndarray) -> dict[str, Any]:
        """The columns of a record that belongs to an admission."""
        experience, ids = self.experience, self.admission_ids
        own = {"admission_id": ids[row].as_py()}
        if not len(kept):
            return own | {"code": "no_neighbour" if experience.coded(row) else "no_codes"}
        reports = [experience.reports[each] for each in kept]
        return own | {
            "neighbours": [ids[int(experience.rows[each])].as_py() for each in kept],
            "similarities": tau.tolist(),
            "retrieved": reports,
            "experience": write_experience(case_of(record, reports)),
            "writer": "template",
        }


_EMPTY: dict[str, Any] = {
    "admission_id": None,
    "neighbours": [],
    "similarities": [],
    "retrieved": [],
    "experience": "",
    "writer": None,
}


def hospital_figures(hospital: Hospital, experience: Experience) -> dict[str, Any]:
    """What the hospital's tables held."""
    sizes = experience.profiles.sizes()
    return {
        "admissions": hospital.admissions.num_rows,
        "admissions_without_codes": int((sizes.sum(0) == 0).sum()),
        "admissions_of_others": hospital.others,
        "rows_refused": hospital.refused,
        "pool": len(experience.rows),
        "codes_per_admission": [round(float(each), 2) for each in sizes.mean(axis=1)] if sizes.size else [0.0] * 3,
    }


def figures_of(table: Path, reports: pa.ChunkedArray) -> dict[str, Any]:
    """What was found: links, similarity, and how much of a record's findings its neighbours share, beside chance."""
    columns = ["link", "code", "writer", "similarities", "retrieved", "experience"]
    found = read_table(table, columns).to_pylist()
    with_some = [at for at, row in enumerate(found) if row["retrieved"]]
    own = [findings(reports[at].as_py() or "") for at in with_some]
    theirs = [[findings(each) for each in found[at]["retrieved"]] for at in with_some]
    links = Counter(row["link"] for row in found)
    figures = {
        "records": len(found),
        "during": links["during"],
        "before": links["before"],
        "without_admission": links[None],
        "codes": dict(sorted(Counter(row["code"] for row in found if row["code"]).items())),
        "with_neighbours": len(with_some),
        "by_writer": dict(sorted(Counter(row["writer"] for row in found if row["writer"]).items())),
        "mean_similarity": _mean([np.mean(found[at]["similarities"]) for at in with_some]),
        "mean_words": _mean([len(found[at]["experience"].split()) for at in with_some]),
    }
    others = np.random.default_rng(0).permutation(len(theirs)).tolist()
    for name, neighbours in (("", theirs), ("_by_chance", [theirs[other] for other in others])):
        scores = mean_overlap(own, neighbours)
        figures |= {f"statement_{kind}{name}": _mean(scores[:, at]) for at, kind in enumerate(("jaccard", "f1"))}
    return figures


def _mean(values: Any) -> float | None:
    array = np.asarray(values, float)
    array = array[~np.isnan(array)]
    return round(float(array.mean()), 4) if len(array) else None
