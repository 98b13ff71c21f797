"""Where recordings come from: one reader a layout, the same manifest from each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from ecgray.archives import challenge, ludb, mimic, ptbxl, wfdb_tree
from ecgray.archives.comments import find_headers
from ecgray.archives.csv_file import csv_path
from ecgray.archives.manifest import Listing, Shares, build_manifest, manifest_notes
from ecgray.errors import ArchiveError, ConfigError

__all__ = ["LAYOUTS", "Layout", "Shares", "detect", "manifest_notes", "read_manifest"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an archive lies on disk."""

    read: Callable[[Path], Listing]
    table: str = ""
    """The file in the folder that it is known by."""
    names: re.Pattern[str] = re.compile(".*")
    """Where no such file is: how all of its recordings are named."""
    digital: bool = False
    """Whether its counts are microvolts whatever its headers' gains say."""

    @property
    def sign(self) -> str:
        """What the layout is known by, in words."""
        return self.table or f"*.hea named {self.names.pattern}"


def _challenge(layout: str) -> Layout:
    return Layout(read=partial(challenge.read, layout=layout), names=challenge.NAMES[layout])


LAYOUTS: dict[str, Layout] = {
    "mimic-iv-ecg": Layout(read=mimic.read, table="record_list.csv"),
    "ptb-xl": Layout(read=ptbxl.read, table="ptbxl_database.csv"),
    "cpsc2018": _challenge("cpsc2018"),
    "csn": _challenge("csn"),
    "georgia": _challenge("georgia"),
    "ludb": Layout(read=ludb.read, table="ludb.csv", digital=True),
    "wfdb": Layout(read=wfdb_tree.read),
}
"""Every layout by name; `detect` takes the first that fits."""


def detect(root: Path) -> str:
    """The layout of the archive in `root`: by the table that lies there, else by what its headers are called.

    Raises `ArchiveError` where nothing fits, or a layout fits most of the headers and not all.
    """
    for name, layout in LAYOUTS.items():
        if layout.table and csv_path(root, layout.table).is_file():
            return name
    names = [path.rpartition("/")[2] for path in find_headers(root).paths]
    for name, layout in LAYOUTS.items():
        fitting = 0 if layout.table else sum(1 for own in names if layout.names.fullmatch(own))
        if names and fitting == len(names):
            return name
        if fitting > len(names) / 2:
            raise ArchiveError(
                f"{fitting} of the {len(names)} headers below {root} are named as those of {name} "
                f"({layout.names.pattern}) and the others are not; to be taken for {name} all must be. "
                f"Give --layout {name} or --layout wfdb, or take the others away."
            )
    known = "; ".join(f"{name}: {layout.sign}" for name, layout in LAYOUTS.items())
    raise ArchiveError(f"{root} is laid out like no archive that is known ({known}); give the folder that holds these.")


def read_manifest(root: Path, layout: str, *, shares: Shares | None = None) -> pa.Table:
    """One row a recording that the archive names (schema `tables.MANIFEST`), in the archive's own order.

    No waveform is read. Raises `ArchiveError` where the archive's tables cannot be read or put a patient in two splits.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"{layout!r} is no layout; the layouts are auto, {', '.join(LAYOUTS)}.")
    if not root.is_dir():
        raise ConfigError(f"{root} is no folder; give the folder that holds the archive.")
    return build_manifest(layout, LAYOUTS[layout].read(root), shares or Shares())
