"""Reading and writing the files of tables. A file is the unit of commit: it exists whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.errors import ConfigError
from ecgray.tables import TEXT_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MAGIC = b"PAR1"
"""How a Parquet file begins and ends."""


def parquet_files(folder: Path) -> list[Path]:
    """The files of a table, sorted by name; of one of its files, this file.

    Raises `ConfigError` where the folder holds none, or one was cut short. Names that begin with `.` or `_` are work in
    progress.
    """
    if folder.is_file():
        files = [folder]
    else:
        files = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith((".", "_")))
    if not files:
        raise ConfigError(f"{folder} holds no table; give the folder with the *.parquet files that a job wrote.")
    for file in files:
        if not _is_whole(file):
            raise ConfigError(
                f"{file} cannot be read as Parquet (it has no end); copy it again, or run the job that wrote it."
            )
    return files


def _is_whole(file: Path) -> bool:
    """Whether a Parquet file ends as it must; what lies between is read later."""
    with file.open("rb") as opened:
        if opened.seek(0, os.SEEK_END) < 2 * len(_MAGIC):
            return False
        opened.seek(-len(_MAGIC), os.SEEK_END)
        return opened.read() == _MAGIC


def table_folder(path: Path, name: str) -> Path:
    """Where the table `name` lies, given a job's OUT or the table's own folder.

    >>> table_folder(Path("runs/ptb-xl/records"), "records")
    PosixPath('runs/ptb-xl/records')
    """
    below = path / name
    return below if below.is_dir() else path


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table in memory; name the columns and leave `ecg` out unless you need it."""
    files = parquet_files(folder)
    return pa.concat_tables(pq.read_table(path, columns=list(columns) if columns else None) for path in files)


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Raise `ConfigError` where what is read of a table's file inside cannot be read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(
            f"{file} cannot be read as Parquet ({type(error).__name__}); copy it again, or run the job that wrote it."
        ) from None


def read_footer(file: Path, fields: Sequence[pa.Field]) -> pq.FileMetaData:
    """How many rows and row groups one file of a table has, of which these columns will be read.

    Raises `ConfigError` where its end cannot be read, or it lacks one of the columns, or holds another type there.
    """
    with reading(file), pq.ParquetFile(file) as opened:
        footer, schema = opened.metadata, opened.schema_arrow
    for field in fields:
        found = schema.field(field.name).type if field.name in schema.names else None
        if found != field.type:
            has = "missing" if found is None else f"of type {found}"
            raise ConfigError(
                f"{file}: column {field.name!r} is {has}, and must be of type {field.type}; docs/data.md lists the "
                "columns."
            )
    return footer


def read_columns(file: Path, fields: Sequence[pa.Field]) -> pa.Table:
    """Some columns of one file of a table.

    Raises `ConfigError` where the file cannot be read, lacks one of the columns, or holds another type there.
    """
    read_footer(file, fields)
    with reading(file):
        return pq.read_table(file, columns=[each.name for each in fields])


def write_table(table: pa.Table, path: Path, *, row_group: int = TEXT_ROWS, repetitive: bool = False) -> None:
    """Write one file of a table, whole or not at all; `repetitive` where columns repeat few texts over many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(
            table,
            part,
            row_group_size=row_group,
            compression="none",
            use_dictionary=_texts(table) if repetitive else False,
        )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _texts(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type)]


def write_tables(table: pa.Table, folder: Path, *, rows: int = TEXT_ROWS) -> None:
    """Write a table as files of `rows` rows: part-00000.parquet and on."""
    for number, start in enumerate(_starts(table.num_rows, rows)):
        write_table(table.slice(start, rows), folder / f"part-{number:05d}.parquet")


def _starts(total: int, rows: int) -> Iterable[int]:
    return range(0, max(total, 1), rows)
