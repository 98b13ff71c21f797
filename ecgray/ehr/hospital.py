"""MIMIC-IV's hosp tables to admissions: who was there when, with which diagnoses, drugs and procedures (SE-Diff 3.4).

admissions, diagnoses_icd, procedures_icd and prescriptions, each plain or gzip. Everything is read column by column and
a few MB at a time: half a million admissions with ten million prescriptions fit into a small memory. A row that cannot
be used is passed over with a code:

    row_malformed       too many or too few fields
    id_missing          no number where the patient's or the admission's belongs
    time_unreadable     admission or discharge is no time as 2180-07-23 08:44:00
    time_reversed       discharge before admission
    admission_repeated  an admission's second row
    admission_unknown   a diagnosis, procedure or drug of an admission that nobody lists
    code_missing        no code, or a version of the ICD that is neither 9 nor 10
    drug_missing        a prescription that names no drug
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from ecgray.ehr.codes import category, icd
from ecgray.ehr.csv_stream import Piece, Refused, read_pieces
from ecgray.ehr.medications import drug_name
from ecgray.ehr.profiles import distinct
from ecgray.errors import ArchiveError
from ecgray.tables import ADMISSIONS, EHR_QUARANTINE

LAYOUT = "mimic-iv-ecg"
"""Whose patients these are, as the records table has them."""
_TIMES = ("admittime", "dischtime", "edregtime")
_LEFT_OUT = ""
"""What a text is given for that is no error and no entry either: a carrier."""


@dataclass(frozen=True)
class Hospital:
    """What the hospital's tables say of some patients."""

    admissions: pa.Table
    """`tables.ADMISSIONS`, sorted by its id."""
    quarantine: pa.Table
    """`tables.EHR_QUARANTINE`."""
    others: int
    """Admissions of patients who were not asked for."""
    refused: dict[str, int]
    """Rows that were passed over, by table and code, as `diagnoses_icd.code_missing`."""


def hosp_folder(given: Path) -> Path:
    """Where the hosp tables lie: the folder itself, its `hosp`, or its `ehr/hosp`.

    Raises `ArchiveError` where none of them has an admissions table.
    """
    for folder in (given, given / "hosp", given / "ehr" / "hosp"):
        if table_path(folder, "admissions").is_file():
            return folder
    raise ArchiveError(f"{given} has no admissions.csv or admissions.csv.gz, nor has its hosp; give MIMIC-IV's folder.")


def table_path(folder: Path, table: str) -> Path:
    """The file of a hosp table, plain where there are both."""
    plain = folder / f"{table}.csv"
    return plain if plain.is_file() or not plain.with_name(f"{table}.csv.gz").is_file() else folder / f"{table}.csv.gz"


def read_hospital(folder: Path, *, subjects: pa.Array | pa.ChunkedArray | None = None) -> Hospital:
    """The admissions of these patients (ids as the records table has them), or of all.

    Raises `ArchiveError` where a table is missing or cannot be read.
    """
    quarantine = {"admissions": Refused()}
    stays = _Stays.gather(table_path(folder, "admissions"), quarantine["admissions"])
    wanted = stays.of(subjects)
    lists = {}
    for column, table, required, words in (
        ("diagnoses", "diagnoses_icd", ["hadm_id", "icd_code", "icd_version"], _icd_words),
        ("procedures", "procedures_icd", ["hadm_id", "icd_code", "icd_version"], _icd_words),
        ("medications", "prescriptions", ["hadm_id", "drug"], _drug_words),
    ):
        refused = quarantine.setdefault(table, Refused())
        lists[column] = _gather_lists(table_path(folder, table), required, refused, stays.ids, wanted, words)
    columns = stays.columns(wanted) | lists
    columns["diagnoses_3"] = _categories(lists["diagnoses"])
    return Hospital(
        pa.table([columns[name] for name in ADMISSIONS.names], schema=ADMISSIONS),
        _quarantine_table(quarantine),
        int((~wanted).sum()),
        {f"{table}.{code}": count for table, each in quarantine.items() for code, count in each.counts().items()},
    )


@dataclass(frozen=True)
class _Stays:
    """Every admission that the hospital lists, sorted by id; times in seconds since 1970."""

    ids: Int64[np.ndarray, " stay"]
    subjects: Int64[np.ndarray, " stay"]
    times: Int64[np.ndarray, "stay time=3"]
    """Admitted, discharged, arrived."""

    @classmethod
    def gather(cls, path: Path, refused: Refused) -> _Stays:
        """The usable rows of an admissions table."""
        pieces = read_pieces(path, ["subject_id", "hadm_id", *_TIMES[:2]], refused, optional=_TIMES[2:])
        found = [_stays_of(piece, refused) for piece in pieces]
        ids, subjects, times, rows = (
            np.concatenate([each[at] for each in found] or [empty])
            for at, empty in enumerate(
                (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.int64), np.zeros(0, np.int64))
            )
        )
        order = np.argsort(ids, kind="stable")
        repeated = np.zeros(len(ids), bool)
        repeated[order[1:]] = ids[order[1:]] == ids[order[:-1]]
        refused.add("admission_repeated", rows[repeated])
        order = order[~repeated[order]]
        return cls(ids[order], subjects[order], times[order])

    def of(self, subjects: pa.Array | pa.ChunkedArray | None) -> Bool[np.ndarray, " stay"]:
        """Which admissions are of these patients."""
        if subjects is None:
            return np.ones(len(self.ids), bool)
        return np.asarray(pc.is_in(_named(LAYOUT, self.subjects), value_set=pc.unique(subjects)))

    def columns(self, wanted: Bool[np.ndarray, " stay"]) -> dict[str, pa.Array]:
        """Ids and times of the wanted admissions."""
        admitted, discharged, arrived = (pa.array(1000 * each, pa.timestamp("ms")) for each in self.times[wanted].T)
        return {
            "admission_id": _named("mimic-iv", self.ids[wanted]),
            "subject_id": _named(LAYOUT, self.subjects[wanted]),
            "arrived": arrived,
            "admitted": admitted,
            "discharged": discharged,
        }


def _named(prefix: str, numbers: Int64[np.ndarray, " _"]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), ":")


def _stays_of(piece: Piece, refused: Refused) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Id, patient, times and row number of the usable rows of a piece."""
    (ids, has_id), (subjects, has_subject) = piece.numbers("hadm_id"), piece.numbers("subject_id")
    seconds = [_seconds(piece.columns[name]) for name in _TIMES]
    (admitted, known), (discharged, known_too), (arrived, emergency) = seconds
    named, timed = has_id & has_subject, known & known_too
    forward = discharged >= admitted
    refused.add("id_missing", piece.rows[~named])
    refused.add("time_unreadable", piece.rows[named & ~timed])
    refused.add("time_reversed", piece.rows[named & timed & ~forward])
    arrived = np.where(emergency & (arrived < admitted), arrived, admitted)
    good = named & timed & forward
    times = np.stack([admitted, discharged, arrived], axis=1)
    return ids[good], subjects[good], times[good], piece.rows[good]


def _seconds(column: pa.Array) -> tuple[Int64[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Seconds since 1970 of a column of times, and where it holds one."""
    plain = pc.match_substring_regex(column, r"^\s*\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?")
    return parse_times(pc.if_else(plain, column, b"").cast(pa.string()))


def parse_times(column: pa.Array) -> tuple[Int64[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Seconds since 1970 of times as 2180-07-23 08:44:00 or 2180-07-23T08:44, and where there is one.

    >>> parse_times(pa.array(["1970-01-02 00:00:01", "1970-01-02T00:01", "yesterday", None]))[0].tolist()
    [86401, 86460, 0, 0]
    """
    text = pc.replace_substring(pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(column), 0, 19), "T", " ")
    text = pc.if_else(pc.equal(pc.utf8_length(text), 16), pc.binary_join_element_wise(text, ":00", ""), text)
    times = pc.strptime(text, format="%Y-%m-%d %H:%M:%S", unit="s", error_is_null=True)
    known = times.is_valid().to_numpy(zero_copy_only=False)
    return pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), known


def _icd_words(piece: Piece) -> tuple[list[str | None], Int64[np.ndarray, " row"], str]:
    """The distinct codes of a piece, None where there is none, and which of them each row holds."""
    codes, which_code = piece.words("icd_code")
    versions, which_version = piece.words("icd_version")
    both = which_code * len(versions) + which_version
    counts = np.bincount(both)
    pairs, which = np.flatnonzero(counts), (np.cumsum(counts > 0) - 1)[both]
    words = [icd(codes[pair // len(versions)], versions[pair % len(versions)]) for pair in pairs.tolist()]
    return words, which, "code_missing"


def _drug_words(piece: Piece) -> tuple[list[str | None], Int64[np.ndarray, " row"], str]:
    texts, which = piece.words("drug")
    return [(drug_name(text) or _LEFT_OUT) if text else None for text in texts], which, "drug_missing"


def _gather_lists(
    path: Path,
    required: list[str],
    refused: Refused,
    ids: Int64[np.ndarray, " stay"],
    wanted: Bool[np.ndarray, " stay"],
    words: Callable[[Piece], tuple[list[str | None], Int64[np.ndarray, " row"], str]],
) -> pa.Array:
    """What a table lists for each of the wanted admissions: texts, sorted, each once."""
    vocabulary: dict[str, int] = {}
    stays, entries = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for piece in read_pieces(path, required, refused):
        number, has_id = piece.numbers("hadm_id")
        stay = np.minimum(np.searchsorted(ids, number), max(len(ids) - 1, 0))
        known = has_id & (ids[stay] == number) if len(ids) else np.zeros(len(number), bool)
        found, which, missing = words(piece)
        meant = np.array([_number(word, vocabulary) for word in found], np.int64)
        entry = meant[which] if len(meant) else np.zeros(0, np.int64)
        refused.add("id_missing", piece.rows[~has_id])
        refused.add("admission_unknown", piece.rows[has_id & ~known])
        refused.add(missing, piece.rows[known & (entry == -2)])
        kept = known & (entry >= 0)
        kept[kept] = wanted[stay[kept]]
        pairs = distinct(stay[kept] * (1 << 32) + entry[kept])  # once a piece, so that repeats never pile up
        stays.append(pairs >> 32)
        entries.append(pairs & 0xFFFFFFFF)
    return _lists(np.concatenate(stays), np.concatenate(entries), list(vocabulary), np.flatnonzero(wanted))


def _number(word: str | None, vocabulary: dict[str, int]) -> int:
    """The word's number in a vocabulary that grows; -1 for what is left out, -2 for what is missing."""
    if word is None:
        return -2
    return -1 if word == _LEFT_OUT else vocabulary.setdefault(word, len(vocabulary))


def _lists(
    stays: Int64[np.ndarray, " pair"],
    entries: Int64[np.ndarray, " pair"],
    vocabulary: list[str],
    chosen: Int64[np.ndarray, " chosen"],
) -> pa.Array:
    """Pairs of admission and entry to a list an admission."""
    alphabetic = sorted(range(len(vocabulary)), key=vocabulary.__getitem__)
    rank = np.empty(len(vocabulary), np.int64)
    rank[alphabetic] = np.arange(len(vocabulary))
    pairs = distinct(stays * (1 << 32) + rank[entries])
    offsets = np.append(np.searchsorted(pairs, chosen << 32), len(pairs)).astype(np.int32)
    words = pa.array([vocabulary[at] for at in alphabetic], pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), words.take(pa.array(pairs & 0xFFFFFFFF)))


def _categories(codes: pa.ListArray) -> pa.ListArray:
    """The categories of each list of codes, each once; sorted codes have sorted categories."""
    coded = codes.values.dictionary_encode()
    names = [category(code) for code in coded.dictionary.to_pylist()]
    categories = sorted(set(names))
    place = {name: at for at, name in enumerate(categories)}
    which = np.array([place[name] for name in names], np.int64)
    lengths = np.diff(codes.offsets.to_numpy())
    rows = np.repeat(np.arange(len(codes)), lengths)
    entries = which[coded.indices.to_numpy(zero_copy_only=False)] if len(coded) else np.zeros(0, np.int64)
    return _lists(rows, entries, categories, np.arange(len(codes)))


def _quarantine_table(quarantine: dict[str, Refused]) -> pa.Table:
    rows = [
        (table, code, np.concatenate(numbers))
        for table, refused in quarantine.items()
        for code, numbers in sorted(refused.rows.items())
    ]
    columns = [
        pa.array([name for name, _, numbers in rows for _ in range(len(numbers))], pa.string()),
        pa.array(np.concatenate([numbers for *_, numbers in rows] or [np.zeros(0, np.int64)])),
        pa.array([code for _, code, numbers in rows for _ in range(len(numbers))], pa.string()),
    ]
    return pa.table(columns, schema=EHR_QUARANTINE)
