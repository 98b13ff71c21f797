"""From what a layout's tables say to the manifest: ids that are unique, one split a patient, paths that stay inside."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from ecgray.errors import ArchiveError, ConfigError
from ecgray.tables import MANIFEST


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How many of a hundred patients go to each split where the archive has no official one; the rest trains."""

    val_percent: int = 10
    test_percent: int = 10

    def __post_init__(self) -> None:
        if not (self.val_percent >= 0 and self.test_percent >= 0 and self.val_percent + self.test_percent < 100):
            raise ConfigError(
                f"val_percent={self.val_percent} and test_percent={self.test_percent} leave no patient to train on; "
                "both must be at least 0 and their sum below 100."
            )


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a layout's own tables and headers say: columns of `tables.MANIFEST` by name, one value a recording.

    `record_id` and `subject_id` are the source's own, without the layout; a null `subject_id` means that the source
    names no patient, a null or absent `split` that it has no official one. Columns that the source lacks are absent.
    """

    columns: Mapping[str, pa.Array]
    notes: Mapping[str, int] = field(default_factory=dict)
    """How often each quirk of the source's tables was met."""
    malformed_rows: int = 0
    """Rows that name a recording but have too many or too few fields, so that nothing of them can be trusted."""


def build_manifest(layout: str, listing: Listing, shares: Shares) -> pa.Table:
    """The manifest of a listing, in the source's order. Its schema's metadata holds the notes (`manifest_notes`).

    A second recording of the same id keeps its row under `<id>#2` with `refused` set, so that it is quarantined and
    never lost; a path that leads out of the archive and a row that cannot be taken apart likewise.

    Raises `ArchiveError` where nothing is listed or one patient stands in two splits.
    """
    columns = _with_malformed(listing)
    rows = len(columns["record_id"])
    if rows == 0:
        raise ArchiveError(f"The archive lists no recording as {layout}; give the folder that holds its recordings.")
    nothing = pa.nulls(rows, pa.string())
    own = pc.binary_join_element_wise(layout, columns["record_id"], ":")
    subject = pc.binary_join_element_wise(layout, columns.get("subject_id", nothing), ":")
    subject = pc.coalesce(subject, own)
    record_id, repeated = _numbered(own)
    made = columns | {
        "record_id": record_id,
        "subject_id": subject,
        "split": pc.coalesce(columns.get("split", nothing), hashed_split(subject, shares)),
        "source": pa.array([layout] * rows),
        "refused": pc.coalesce(
            columns.get("refused", nothing),
            pc.if_else(repeated, "duplicate_id", pa.scalar(None, pa.string())),
            _refused_paths(columns["path"]),
        ),
    }
    table = pa.table([_column(made, name, rows) for name in MANIFEST.names], schema=MANIFEST)
    _check_splits(table)
    notes = {name: count for name, count in listing.notes.items() if count}
    return table.replace_schema_metadata({"notes": json.dumps(notes, sort_keys=True)})


def _with_malformed(listing: Listing) -> dict[str, pa.Array]:
    """The columns, with a refused row at the end for each row that could not be taken apart."""
    columns, count = dict(listing.columns), listing.malformed_rows
    if not count:
        return columns
    added = {
        "record_id": pa.array([f"malformed-row-{number}" for number in range(1, count + 1)]),
        "path": pa.array([""] * count),
        "refused": pa.array(["row_malformed"] * count),
    }
    columns["refused"] = pa.nulls(len(columns["record_id"]), pa.string())
    return {
        name: pa.concat_arrays([column, added.get(name, pa.nulls(count, column.type))])
        for name, column in columns.items()
    }


def manifest_notes(schema: pa.Schema) -> dict[str, int]:
    """How often each quirk of the archive's tables was met while the manifest was built."""
    notes: dict[str, int] = json.loads((schema.metadata or {}).get(b"notes", b"{}"))
    return notes


def hashed_split(subject: pa.Array, shares: Shares) -> pa.Array:
    """The split of each patient by SHA-256 of the id: the same on every machine, whatever else the archive holds.

    >>> hashed_split(pa.array(["csn:JS00001", "csn:JS00002", "csn:JS00001"]), Shares()).to_pylist()
    ['train', 'train', 'train']
    """
    coded = subject.dictionary_encode()
    drawn = (_draw(name) for name in coded.dictionary.to_pylist())
    bounds = (shares.test_percent, shares.test_percent + shares.val_percent)
    names = ["test" if ball < bounds[0] else "val" if ball < bounds[1] else "train" for ball in drawn]
    return pa.array(names, pa.string()).take(coded.indices)


def _draw(name: str) -> int:
    """A number from 0 to 99, the same for the same patient wherever and whenever it is drawn."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 100


def _numbered(ids: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The ids made unique (a, a -> a, a#2), and which of them were repeats."""
    if len(pc.unique(ids)) == len(ids):
        return ids, pa.array([False] * len(ids))
    met: Counter[str] = Counter()
    unique, repeated = [], []
    for name in ids.to_pylist():
        met[name] += 1
        unique.append(name if met[name] == 1 else f"{name}#{met[name]}")
        repeated.append(met[name] > 1)
    return pa.array(unique, pa.string()), pa.array(repeated)


def _refused_paths(paths: pa.Array) -> pa.Array:
    """header_path where a path is empty, absolute, or leads upwards; null for the others."""
    suspect = pc.match_substring_regex(paths, r"^$|^/|^~|\.\.|\\|[[:cntrl:]]|:")
    if not pc.any(suspect).as_py():
        return pa.nulls(len(paths), pa.string())
    bad = [
        is_suspect and _leads_out(path) for path, is_suspect in zip(paths.to_pylist(), suspect.to_pylist(), strict=True)
    ]
    return pa.array(["header_path" if is_bad else None for is_bad in bad], pa.string())


def _leads_out(path: str) -> bool:
    return not path or not path.isprintable() or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts


def _column(made: Mapping[str, pa.Array], name: str, rows: int) -> pa.Array:
    kind = MANIFEST.field(name).type
    column = made[name].cast(kind) if name in made else pa.nulls(rows, kind)
    if name == "report":
        return pc.fill_null(column, "")
    return pc.coalesce(column, pa.array([[]] * rows, kind)) if name == "codes" else column


def _check_splits(manifest: pa.Table) -> None:
    pairs = manifest.select(["subject_id", "split"]).group_by(["subject_id", "split"]).aggregate([])
    apart = pairs.num_rows - len(pc.unique(pairs["subject_id"]))
    if apart:
        raise ArchiveError(
            f"{apart} patients of the archive stand in two splits; one patient may stand in one only. "
            "Correct the archive's folds."
        )
