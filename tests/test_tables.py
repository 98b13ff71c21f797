"""Tables keep every count, and say what each field means."""

import numpy as np
import pyarrow as pa
import pytest

from ecgray import tables


def test_an_ecg_survives_the_column_to_the_count():
    counts = np.random.default_rng(0).integers(-32768, 32767, (3, 12, 5000), dtype=np.int16)
    column = pa.array([tables.ecg_bytes(one) for one in counts], pa.binary(tables.ECG_BYTES))
    assert np.array_equal(tables.ecg_counts(column), counts)
    assert np.array_equal(tables.ecg_counts(column.slice(1, 2)), counts[1:])
    assert np.array_equal(tables.ecg_counts(pa.chunked_array([column, column])), np.concatenate([counts, counts]))


def test_the_column_is_read_without_a_copy():
    column = pa.array([bytes(tables.ECG_BYTES)], pa.binary(tables.ECG_BYTES))
    assert not tables.ecg_counts(column).flags.owndata


@pytest.mark.parametrize("schema", [tables.MANIFEST, tables.RECORDS, tables.QUARANTINE, tables.LABELS, tables.ANSWERS])
def test_every_field_says_what_it_means(schema):
    assert all(field.metadata[b"meaning"] for field in schema)
