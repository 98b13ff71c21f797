"""The tables: Parquet folders with a fixed schema, the only interface between stages besides model folders.

An ECG is stored as 120,000 bytes: little-endian int16, 12 leads x 5,000 samples (10 s at 500 Hz), 1,000 counts per mV,
leads in the order of `ecgray.leads.LEADS`. Parquet has no int16, and a list column reads 7 to 15 times slower.
A file is the unit of commit: it exists whole or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ecgray.leads import LEADS

if TYPE_CHECKING:
    from jaxtyping import Int16

FS = 500
"""Samples per second of every stored ECG."""
SAMPLES = 5000
"""Samples per lead of every stored ECG: 10 s."""
COUNTS_PER_MV = 1000
"""Stored counts per millivolt."""
ECG_BYTES = len(LEADS) * SAMPLES * 2

RECORD_ROWS = 512
"""Rows in one file of the records table (61 MB): what a killed job loses at the most."""
RECORD_GROUP = 64
"""Rows in one row group of the records table."""
TEXT_ROWS = 1024
"""Rows in one file of a text table."""


def _field(name: str, type_: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    metadata = {"meaning": meaning} | ({"unit": unit} if unit else {})
    return pa.field(name, type_, metadata=metadata)


_WHO = [
    _field("record_id", pa.string(), "<layout>:<the source's own id>; stable between runs"),
    _field("subject_id", pa.string(), "<layout>:<the patient's id>; the record's id where the source names no patient"),
]
_MEASURED = [
    _field("rr_ms", pa.float32(), "RR interval by the recorder", "ms"),
    _field("p_onset_ms", pa.float32(), "P onset by the recorder", "ms"),
    _field("p_end_ms", pa.float32(), "P end by the recorder", "ms"),
    _field("qrs_onset_ms", pa.float32(), "QRS onset by the recorder", "ms"),
    _field("qrs_end_ms", pa.float32(), "QRS end by the recorder", "ms"),
    _field("t_end_ms", pa.float32(), "T end by the recorder", "ms"),
    _field("p_axis_deg", pa.float32(), "P axis by the recorder", "degree"),
    _field("qrs_axis_deg", pa.float32(), "QRS axis by the recorder", "degree"),
    _field("t_axis_deg", pa.float32(), "T axis by the recorder", "degree"),
]

_DESCRIBED = [
    *_WHO,
    _field("split", pa.string(), "train, val or test; one patient stands in one split only"),
    _field("age", pa.float32(), "age at the recording; null where unknown or above 89", "year"),
    _field("sex", pa.string(), "F or M; null where unknown"),
    _field("time", pa.string(), "when it was recorded, as the source writes it (ISO 8601); null where unknown"),
    _field("report", pa.string(), "the report as the source words it, statements joined; empty where none"),
    _field("codes", pa.list_(pa.string()), "<system>:<code>, as scp:NORM, snomed:426783006, cpsc:AF, demo:<term>"),
    _field("likelihoods", pa.list_(pa.float32()), "one for each code; null where the source gives none", "%"),
    *_MEASURED,
    _field("source", pa.string(), "the archive's layout"),
    _field("path", pa.string(), "the recording below the archive, without its ending"),
]

MANIFEST = pa.schema(
    [
        *_DESCRIBED,
        _field("refused", pa.string(), "the code of docs/data.md for which it is not even opened; null as a rule"),
    ]
)
"""One row a recording that an archive names: what ingest starts from."""

RECORDS = pa.schema(
    [
        *_DESCRIBED,
        _field("flags", pa.list_(pa.string()), "what was seen or done: <flag> or <flag>:<lead> (docs/data.md)"),
        _field("source_fs", pa.float32(), "sampling rate of the source", "Hz"),
        _field("source_duration_s", pa.float32(), "length of the source", "s"),
        _field("ecg", pa.binary(ECG_BYTES), "int16 little-endian, 12 x 5000, C order", "1/1000 mV"),
    ],
    metadata={
        "ecg_shape": f"{len(LEADS)},{SAMPLES}",
        "ecg_dtype": "<i2",
        "ecg_leads": ",".join(LEADS),
        "ecg_fs_hz": str(FS),
        "ecg_counts_per_mv": str(COUNTS_PER_MV),
    },
)
"""One row a recording: 12 leads, 10 s, 500 Hz, 1,000 counts per mV, neither filtered nor normalised."""
SIGNALS = [RECORDS.field(name) for name in ("record_id", "subject_id", "split", "ecg")]
"""What whoever reads recordings needs of them at the least."""

QUARANTINE = pa.schema(
    [
        *_WHO,
        _field("source", pa.string(), "the archive's layout"),
        _field("path", pa.string(), "the recording below the archive, without its ending"),
        _field("code", pa.string(), "why it cannot be read: a stable word (docs/data.md)"),
        _field("message", pa.string(), "the same in one sentence"),
    ]
)
"""One row a recording that could not be read."""

ENTITIES = pa.schema(
    [
        *_WHO,
        _field("statement", pa.string(), "the statement, cleaned: lower case, single blanks"),
        _field("entity", pa.string(), "the finding as the model words it, lower case"),
        _field("certainty", pa.string(), "Normal, Abnormal or Uncertain (hedged)"),
        _field("cited", pa.string(), "the words of the statement that say so"),
    ]
)
"""One row a record, statement and entity. A statement without findings has none."""

STATEMENTS = pa.schema(
    [
        _field("statement", pa.string(), "the statement, cleaned: lower case, single blanks"),
        _field("records", pa.int64(), "how many records it stands in"),
        _field(
            "status",
            pa.string(),
            "read, nothing (no finding), partly (read), unknown, uncited, corrected, refused, unmerged",
        ),
        _field("entities", pa.int32(), "how many entities it gave"),
        _field("uncited", pa.int32(), "entities dropped because their cited words do not stand in the statement"),
        _field("code", pa.string(), "why it was refused: a stable word (docs/data.md); null as a rule"),
    ]
)
"""One row a distinct statement, the most frequent first: what became of it."""

CACHE = pa.schema(
    [
        _field("text", pa.string(), "what the model was asked: a statement, a report, a list of entities"),
        _field("prompt_hash", pa.string(), "twelve digits of the prompt, the schema and the sampling"),
        _field("model_hash", pa.string(), "twelve digits of the model's files, and of an engine of your own"),
        _field("answer", pa.string(), "the model's answer, JSON; null where it failed"),
        _field("code", pa.string(), "why it failed: a stable word; null where it answered"),
        _field("tokens_in", pa.int32(), "prompt tokens"),
        _field("tokens_out", pa.int32(), "generated tokens"),
    ]
)
"""One row a text that a language model was asked; a row without an answer is asked again by the next run."""

LABELS = pa.schema(
    [
        *_WHO,
        _field("split", pa.string(), "train, val or test"),
        _field("terms", pa.list_(pa.string()), "the standard terms that hold for the record, sorted"),
        _field("unmapped", pa.list_(pa.string()), "codes or entities that no term stands for"),
    ]
)
"""One row a record: the standard terms that hold. Beside it, terms.json counts each term."""

ANSWERS = pa.schema(
    [
        *_WHO,
        _field("query", pa.string(), "the class's name, or the question itself"),
        _field("probability", pa.float32(), "sigmoid of the classifier's logit, uncalibrated"),
        _field("truth", pa.bool_(), "whether the class holds by the record's codes; null where nobody says"),
    ]
)
"""One row a record and query."""


INTERVALS = pa.schema(
    [
        *_WHO,
        _field("heart_rate_bpm", pa.float32(), "60,000 / mean RR", "bpm"),
        _field("rr_ms", pa.float32(), "mean RR interval", "ms"),
        _field("pr_ms", pa.float32(), "onset of P to onset of QRS; like those below the median over leads", "ms"),
        _field("qrs_ms", pa.float32(), "QRS duration", "ms"),
        _field("qt_ms", pa.float32(), "onset of QRS to end of T", "ms"),
        _field("qtcf_ms", pa.float32(), "QT / RR^(1/3), RR in s (Fridericia)", "ms"),
        _field("st60_mv", pa.float32(), "level 60 ms after the J point, in the lead where it is largest", "mV"),
        _field("p_ms", pa.float32(), "P duration", "ms"),
        _field("t_ms", pa.float32(), "T duration", "ms"),
        _field("qrs_global_ms", pa.float32(), "earliest onset to latest end of QRS in any lead", "ms"),
        _field("qt_global_ms", pa.float32(), "earliest onset of QRS to latest end of T in any lead", "ms"),
        _field("r_peaks", pa.list_(pa.int32()), "the R peaks, of all leads together", "sample at 500 Hz"),
        _field("missing", pa.list_(pa.string()), "<column>:<why it is null>, a stable word (docs/data.md)"),
    ]
)
"""One row a record: what was measured on it. A value that cannot be measured is null, and says why."""


LATENT_BYTES = 4 * 128 * 4

LATENTS = pa.schema(
    [
        *_WHO,
        _field("split", pa.string(), "train, val or test; one patient stands in one split only"),
        _field("latent", pa.binary(LATENT_BYTES), "float32 little-endian, 4 x 128, C order, unit deviation on train"),
    ],
    metadata={"latent_shape": "4,128", "latent_dtype": "<f4"},
)
"""One row a record: the posterior's mean, scaled as the model folder says that encoded it."""


ADMISSIONS = pa.schema(
    [
        _field("admission_id", pa.string(), "mimic-iv:<the source's hadm_id>"),
        _field("subject_id", pa.string(), "<layout>:<the patient's id>, as the records table has it"),
        _field("arrived", pa.timestamp("ms"), "registered in the emergency department; admitted where it was not"),
        _field("admitted", pa.timestamp("ms"), "admission to the hospital"),
        _field("discharged", pa.timestamp("ms"), "discharge or death"),
        _field("diagnoses", pa.list_(pa.string()), "icd9:<code> or icd10:<code> without a dot, sorted"),
        _field("diagnoses_3", pa.list_(pa.string()), "their categories: three characters, four of ICD-9's E codes"),
        _field("medications", pa.list_(pa.string()), "names of drugs, normalised, carriers left out, sorted"),
        _field("procedures", pa.list_(pa.string()), "icd9:<code> or icd10:<code> without a dot, sorted"),
    ]
)
"""One row an admission of a patient who has an ECG, sorted by its id."""

EXPERIENCE = pa.schema(
    [
        *_WHO,
        _field("split", pa.string(), "train, val or test; one patient stands in one split only"),
        _field("admission_id", pa.string(), "the admission that the ECG belongs to; null where none"),
        _field("link", pa.string(), "during (the admission), before (the last one before the ECG); null where none"),
        _field("neighbours", pa.list_(pa.string()), "the most similar admissions of other, training patients"),
        _field("similarities", pa.list_(pa.float32()), "tau of each: SE-Diff Eq. 22"),
        _field("retrieved", pa.list_(pa.string()), "the ECG report of each"),
        _field("experience", pa.string(), "the report r: one paragraph; empty where none"),
        _field("writer", pa.string(), "llm or template; null where there is no experience"),
        _field("code", pa.string(), "why there is no experience, or why not the llm's: a stable word (docs/data.md)"),
    ]
)
"""One row a record: the admissions like its own, and what they say about its ECG. Never to leave the machine room."""

EHR_QUARANTINE = pa.schema(
    [
        _field("table", pa.string(), "the hospital's table, as prescriptions"),
        _field("row", pa.int64(), "the row's number in the file; the header is 1"),
        _field("code", pa.string(), "why it was passed over: a stable word (docs/data.md)"),
    ]
)
"""One row a row of the hospital's tables that could not be used."""


GENERATED = pa.schema(
    [
        _field(
            "record_id", pa.string(), "synthetic:<the prompt's hash>-<seed>-<index>, as in the records table beside"
        ),
        _field("like", pa.string(), "the real record for whose condition it was generated; null for a free prompt"),
        _field("prompt", pa.string(), "the text that was asked"),
        _field("experience", pa.string(), "the report r that was given with it; empty where none"),
        _field("age", pa.float32(), "age that was asked; null where none was", "year"),
        _field("sex", pa.string(), "F or M as asked; null where neither was"),
        _field("heart_rate_bpm", pa.float32(), "heart rate that was asked; null where none was", "bpm"),
        _field("seed", pa.int64(), "draws the noise, together with the index"),
        _field("index", pa.int64(), "which of the ECGs that were asked, from 0"),
        _field("steps", pa.int32(), "steps of the sampler"),
        _field("sampler", pa.string(), "how the noise was taken away"),
        _field("guidance_scale", pa.float32(), "weight of the condition; 1: no guidance"),
        _field("flags", pa.list_(pa.string()), "what was odd about the prompt: stable words (docs/generation.md)"),
        _field("model", pa.string(), "twelve digits of the generator's model folder"),
    ]
)
"""One row a generated ECG: what was asked for. The ECGs themselves are in a records table beside it."""


def ecg_bytes(counts: Int16[np.ndarray, "lead=12 time=5000"]) -> bytes:
    """One ECG as it is stored."""
    return np.ascontiguousarray(counts, dtype="<i2").tobytes()


def ecg_counts(column: pa.Array | pa.ChunkedArray) -> Int16[np.ndarray, "batch lead=12 time=5000"]:
    """The ECGs of a column without a copy: read-only, counts of 1/1000 mV.

    >>> one = pa.array([ecg_bytes(np.ones((12, 5000), np.int16))], pa.binary(ECG_BYTES))
    >>> ecg_counts(one).shape, int(ecg_counts(one).max())
    ((1, 12, 5000), 1)
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    values = len(column) * ECG_BYTES // 2
    if values == 0:
        return np.zeros((0, len(LEADS), SAMPLES), np.int16)
    flat = np.frombuffer(column.buffers()[1], "<i2", values, column.offset * ECG_BYTES)
    return flat.reshape(-1, len(LEADS), SAMPLES)
