"""From records to labels.

Neither way needs a cluster: one process reads and maps 100,000 records a second by their codes, the ECGs left where
they are, so that 800,000 take about as long as a Ray takes to start. From entities it is slower, and still minutes.
"""

from __future__ import annotations

import collections
import functools
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from ecgray.cluster.entity_labels import ByEntities, Said
from ecgray.metrics.frequency import TermCount, draw_frequency
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.parquet import parquet_files, table_folder, write_table
from ecgray.tables import LABELS, TEXT_ROWS
from ecgray.text.codes import likely_codes, terms_of_codes
from ecgray.text.review import csv_bytes
from ecgray.text.terms import GROUPS, TERMS, with_parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ecgray.recipes.label import LabelConfig


class Source(Protocol):
    """What speaks of the records."""

    reasons: tuple[str, ...]
    """Why a record may get no row; each is a figure."""

    def read(self, part: Path) -> list[Said]:
        """What is said of each record of a file of the records table."""
        ...

    def finish(self, out: Path) -> dict[str, Any]:
        """Write what is the source's own; returns its figures."""
        ...

    def noted(self) -> dict[str, Any]:
        """What terms.json holds besides."""
        ...


def label(config: LabelConfig) -> dict[str, Any]:
    """Write OUT/labels, OUT/terms.json and how often each term holds; returns the figures.

    A record of which nothing is said, or only what no term stands for, gets no row: that nothing was said of it does
    not mean that nothing holds. The figures count both.
    """
    given = {"records": config.records, "entities": config.entities, "review": config.review}
    inputs = {name: path for name, path in given.items() if path is not None}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        parts = parquet_files(table_folder(config.records, "records"))
        source: Source = ByEntities(config, parts) if config.source == "entities" else ByCodes(config)
        tally = _Tally()
        shutil.rmtree(folder.path / "labels", ignore_errors=True)  # of a killed run
        _write((_label_part(part, source, tally) for part in _shown(parts)), folder.path / "labels")
        write_json(folder.path / "terms.json", tally.terms() | source.noted())
        _write_frequency(tally, folder.path)
        figures = tally.figures(source.reasons) | source.finish(folder.path)
        if not tally.count:
            print("label: warning: no record got a label; the figures say why", file=sys.stderr)
        return folder.finish(figures | {"out": str(folder.path)})


class ByCodes:
    """The archive's own codes."""

    reasons: tuple[str, ...] = ("without_codes", "without_terms")

    def __init__(self, config: LabelConfig) -> None:
        self._config = config
        # Records share their sets of codes: a few thousand sets among 800,000 records.
        self._together = functools.lru_cache(maxsize=1 << 16)(self._of_codes)

    def read(self, part: Path) -> list[Said]:
        """What is said of each record of a file of the records table."""
        table = pq.read_table(part, columns=["codes", "likelihoods"])
        least = self._config.min_likelihood_percent
        rows = zip(table["codes"].to_pylist(), table["likelihoods"].to_pylist(), strict=True)
        return [
            self._together(tuple(likely_codes(codes or [], likelihoods, min_likelihood_percent=least)))
            for codes, likelihoods in rows
        ]

    def _of_codes(self, codes: tuple[str, ...]) -> Said:
        terms, unmapped = terms_of_codes(codes)
        reason = "" if terms else "without_terms" if unmapped else "without_codes"
        return (with_parents(terms) if self._config.with_parents else terms), unmapped, reason

    def finish(self, out: Path) -> dict[str, Any]:
        """Nothing besides."""
        return {}

    def noted(self) -> dict[str, Any]:
        """Nothing besides."""
        return {}


@dataclass
class _Tally:
    """What was counted on the way."""

    records: int = 0
    silent: collections.Counter[str] = field(default_factory=collections.Counter)
    count: collections.Counter[str] = field(default_factory=collections.Counter)
    train: collections.Counter[str] = field(default_factory=collections.Counter)
    unmapped: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, split: str, said: Said) -> bool:
        """Count a record; returns whether it gets a row."""
        terms, unmapped, reason = said
        self.records += 1
        self.unmapped.update(unmapped)
        self.count.update(terms)
        if split == "train":
            self.train.update(terms)
        if not terms:
            self.silent[reason] += 1
        return bool(terms)

    @property
    def labelled(self) -> int:
        return self.records - self.silent.total()

    def counts(self) -> list[TermCount]:
        """The terms, most frequent first."""
        ordered = sorted(self.count.items(), key=lambda pair: (-pair[1], pair[0]))
        return [TermCount(name, TERMS[name].group if name in TERMS else "entity", count) for name, count in ordered]

    def terms(self) -> dict[str, Any]:
        """What terms.json holds, most frequent first."""
        rows = [
            {"name": one.name, "group": one.group, "count": one.count, "train_count": self.train[one.name]}
            for one in self.counts()
        ]
        return {"terms": rows, "unmapped": dict(sorted(self.unmapped.items(), key=lambda pair: (-pair[1], pair[0])))}

    def figures(self, reasons: tuple[str, ...]) -> dict[str, Any]:
        assert set(self.silent) <= set(reasons), self.silent
        return {
            "records": self.records,
            "labelled": self.labelled,
            **{reason: self.silent[reason] for reason in reasons},
            "terms": len(self.count),
            "unmapped": len(self.unmapped),
        }


def _shown(parts: list[Path]) -> Iterator[Path]:
    """The parts, with a bar of records."""
    rows = [pq.read_metadata(part).num_rows for part in parts]
    with tqdm(total=sum(rows), unit="record", desc="label") as bar:
        for part, number in zip(parts, rows, strict=True):
            yield part
            bar.update(number)


def _label_part(part: Path, source: Source, tally: _Tally) -> pa.Table:
    who = pq.read_table(part, columns=["record_id", "subject_id", "split"])
    said = source.read(part)
    kept = [tally.add(split, one) for split, one in zip(who["split"].to_pylist(), said, strict=True)]
    columns = {name: who[name] for name in ("record_id", "subject_id", "split")}
    columns["terms"] = pa.array([terms for terms, _, _ in said], LABELS.field("terms").type)
    columns["unmapped"] = pa.array([unmapped for _, unmapped, _ in said], LABELS.field("unmapped").type)
    return pa.table(columns).cast(LABELS).filter(pa.array(kept, pa.bool_()))


def _write(tables: Iterable[pa.Table], folder: Path) -> None:
    """Write the rows as they come, in files of `TEXT_ROWS`; an empty table is one empty file."""
    held, number = LABELS.empty_table(), 0
    for table in tables:
        held = pa.concat_tables([held, table])
        while held.num_rows >= TEXT_ROWS:
            write_table(held.slice(0, TEXT_ROWS), folder / f"part-{number:05d}.parquet")
            held, number = held.slice(TEXT_ROWS), number + 1
    if held.num_rows or number == 0:
        write_table(held, folder / f"part-{number:05d}.parquet")


def _write_frequency(tally: _Tally, out: Path) -> None:
    """OUT/frequency.csv and the picture of it (SuPreME's Fig. 4)."""
    counts = tally.counts()
    share = 100 / max(tally.labelled, 1)
    rows = [(one.name, one.group, one.count, tally.train[one.name], f"{one.count * share:.4g}") for one in counts]
    columns = ("term", "group", "records", "train_records", "percent_of_labelled")
    write_bytes(out / "frequency.csv", csv_bytes(columns, rows))
    subtitle = f"{len(counts):,} labels of {tally.labelled:,} labelled records; {tally.records:,} records in all"
    picture = draw_frequency(counts, title="How many records hold each label", subtitle=subtitle, groups=GROUPS)
    write_bytes(out / "frequency.svg", picture.encode())
