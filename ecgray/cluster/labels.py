"""From records to labels.

Codes need no cluster: one process reads and maps 100,000 records a second, the ECGs left where they are, so that
800,000 take about as long as a Ray takes to start. The way from reports, by a language model, is another matter.
"""

from __future__ import annotations

import collections
import functools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from ecgray.output import output_folder, write_json
from ecgray.tables import LABELS, parquet_files, table_folder, write_tables
from ecgray.text.codes import likely_codes, terms_of_codes
from ecgray.text.terms import TERMS, with_parents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecgray.recipes.label import LabelConfig

_COLUMNS = ["record_id", "subject_id", "split", "codes", "likelihoods"]


def label(config: LabelConfig) -> dict[str, Any]:
    """Write OUT/labels and OUT/terms.json; returns the figures.

    A record that nobody coded, or whose codes stand for no term, gets no row: that nothing was said of it does not
    mean that nothing holds. The figures count both.
    """
    with output_folder(config.out, config, inputs={"records": config.records}) as folder:
        if folder.done is not None:
            return folder.done
        parts = parquet_files(table_folder(config.records, "records"))
        tally = _Tally()
        labels = pa.concat_tables(_label_part(part, config, tally) for part in _shown(parts))
        shutil.rmtree(folder.path / "labels", ignore_errors=True)  # of a killed run
        write_tables(labels, folder.path / "labels")
        write_json(folder.path / "terms.json", tally.terms())
        return folder.finish(tally.figures() | {"out": str(folder.path)})


@dataclass
class _Tally:
    """What was counted on the way."""

    records: int = 0
    without_codes: int = 0
    without_terms: int = 0
    count: collections.Counter[str] = field(default_factory=collections.Counter)
    train: collections.Counter[str] = field(default_factory=collections.Counter)
    unmapped: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, split: str, terms: tuple[str, ...], unmapped: tuple[str, ...]) -> bool:
        """Count a record; returns whether it gets a row."""
        self.records += 1
        self.unmapped.update(unmapped)
        self.without_codes += not terms and not unmapped
        self.without_terms += not terms and bool(unmapped)
        self.count.update(terms)
        if split == "train":
            self.train.update(terms)
        return bool(terms)

    def terms(self) -> dict[str, Any]:
        """What terms.json holds, most frequent first."""
        rows = [
            {"name": name, "group": TERMS[name].group, "count": count, "train_count": self.train[name]}
            for name, count in sorted(self.count.items(), key=lambda pair: (-pair[1], pair[0]))
        ]
        return {"terms": rows, "unmapped": dict(sorted(self.unmapped.items(), key=lambda pair: (-pair[1], pair[0])))}

    def figures(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "labelled": self.records - self.without_codes - self.without_terms,
            "without_codes": self.without_codes,
            "without_terms": self.without_terms,
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


def _label_part(part: Path, config: LabelConfig, tally: _Tally) -> pa.Table:
    table = pq.read_table(part, columns=_COLUMNS)
    found, kept = [], []
    rows = zip(*(table[name].to_pylist() for name in ("split", "codes", "likelihoods")), strict=True)
    for split, codes, likelihoods in rows:
        likely = likely_codes(codes or [], likelihoods, min_likelihood_percent=config.min_likelihood_percent)
        terms, unmapped = _terms(tuple(likely), config.with_parents)
        found.append((terms, unmapped))
        kept.append(tally.add(split, terms, unmapped))
    columns = {name: table[name] for name in ("record_id", "subject_id", "split")}
    columns["terms"] = pa.array([terms for terms, _ in found], LABELS.field("terms").type)
    columns["unmapped"] = pa.array([unmapped for _, unmapped in found], LABELS.field("unmapped").type)
    return pa.table(columns).cast(LABELS).filter(pa.array(kept, pa.bool_()))


@functools.lru_cache(maxsize=1 << 16)
def _terms(codes: tuple[str, ...], parents: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Records share their sets of codes: a few thousand sets among 800,000 records."""
    terms, unmapped = terms_of_codes(codes)
    return (with_parents(terms) if parents else terms), unmapped
