"""Files of tables are written whole or not at all, and one that is not whole is refused in a sentence."""

import pyarrow as pa
import pytest

from ecgray import parquet, tables
from ecgray.errors import ConfigError


def test_a_table_comes_back_in_the_order_it_was_written(tmp_path):
    table = pa.table({"number": list(range(2500))})
    parquet.write_tables(table, tmp_path, rows=1024)
    assert [path.name for path in parquet.parquet_files(tmp_path)] == [f"part-0000{i}.parquet" for i in range(3)]
    assert parquet.read_table(tmp_path)["number"].to_pylist() == list(range(2500))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        parquet.write_table(pa.table({"a": [1]}), tmp_path / "part-00000.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="holds no table"):
        parquet.read_table(tmp_path)


def test_a_file_without_a_footer_or_of_another_kind_is_refused_in_a_sentence(tmp_path):
    number, text = pa.field("value", pa.int64()), pa.field("value", pa.string())
    parquet.write_tables(pa.table({"value": list(range(1000))}), tmp_path)
    (file,) = parquet.parquet_files(tmp_path)
    assert parquet.read_footer(file, [number]).num_rows == 1000
    parquet.write_tables(tables.LABELS.empty_table(), tmp_path / "labels")
    assert parquet.read_footer(tmp_path / "labels" / "part-00000.parquet", list(tables.LABELS)).num_rows == 0
    with pytest.raises(ConfigError, match=r"column 'value' is of type int64, and must be of type string; docs"):
        parquet.read_footer(file, [text])
    with pytest.raises(ConfigError, match=r"column 'other' is missing, and must be of type int64"):
        parquet.read_footer(file, [pa.field("other", pa.int64())])
    whole = file.read_bytes()
    file.write_bytes(whole[:-200] + bytes(192) + whole[-8:])
    with pytest.raises(ConfigError, match=r"cannot be read as Parquet .*; copy it again"):
        parquet.read_footer(file, [])


def test_a_file_that_was_cut_short_is_refused_in_a_sentence(tmp_path):
    """By whoever lists the table's files: every job does so first."""
    parquet.write_tables(pa.table({"value": list(range(1000))}), tmp_path / "table")
    file = next((tmp_path / "table").glob("*.parquet"))
    assert parquet.parquet_files(tmp_path / "table") == parquet.parquet_files(file) == [file]
    whole = file.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 5, 0):
        file.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"cannot be read as Parquet .*; copy it again"):
            parquet.parquet_files(tmp_path / "table")
