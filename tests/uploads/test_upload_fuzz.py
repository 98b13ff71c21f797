"""Altered uploads of every kind: only `EcgInputError` escapes, and none takes a second."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from upload_cases import COUNTS, CSV, HELD, MV, NONE, NPY, Upload
from uploads import csv_bytes, edf_bytes, listed, npy_bytes, packed, zip_bytes

from ecgray.errors import EcgInputError
from ecgray.uploads.read import UploadSettings

SECONDS = 3.0
PIECES = [
    b"",
    b"-",
    b"0",
    b"99999999999999999999",
    b"\n",
    b" ",
    b"/",
    b"\0",
    b"nan",
    b"1e400",
    b",",
    b";",
    b'"',
    b"\xff",
]
PIECES += [b"PK\1\2", b"PK\5\6", b"\xff\xff\xff\xff", b"../", b"(", b"{'", b"'descr': '|O'", b"EDF+D", b"inf", b"\t"]
VALUES = [
    None,
    True,
    0,
    -1,
    10**400,
    1e999,
    float("nan"),
    "",
    "I",
    "uV",
    "int16",
    "==",
    [],
    [[]],
    {},
    [1],
    ["I"],
    [[1]],
]


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Pieces put in, cut out and changed, most of them near the beginning or the end, where structure is."""
    held = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        near = int(min(len(held), rng.choice([64, 300, 3000, len(held) or 1])))
        place = int(rng.integers(0, near + 1))
        place = place if rng.random() < 0.6 else max(0, len(held) - place)
        piece = PIECES[rng.integers(len(PIECES))] if rng.random() < 0.6 else rng.bytes(int(rng.integers(1, 5)))
        held[place : place + int(rng.choice([0, len(piece), rng.integers(0, 30)]))] = piece
    return bytes(held[: int(rng.integers(0, len(held) + 1))]) if rng.random() < 0.05 else bytes(held)


def mutated_fields(ecg: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    held = dict(ecg)
    for _ in range(rng.integers(1, 4)):
        name = [*ecg, "path"][rng.integers(len(ecg) + 1)]
        if rng.random() < 0.15:
            held.pop(name, None)
        elif name == "data" and isinstance(held.get(name), str) and rng.random() < 0.7:
            held[name] = mutated(held[name].encode(), rng).decode("latin-1")
        elif isinstance(held.get(name), list) and held[name] and rng.random() < 0.7:
            held[name] = list(held[name])
            held[name][rng.integers(len(held[name]))] = VALUES[rng.integers(len(VALUES))]
        else:
            held[name] = VALUES[rng.integers(len(VALUES))]
    return held


SHORT = COUNTS[:, :1500]
SEEDS: dict[str, tuple[Any, UploadSettings]] = {
    "zip": (zip_bytes(HELD, method=zipfile.ZIP_DEFLATED), NONE),
    "zip, stored": (zip_bytes(HELD), NONE),
    "npy": (npy_bytes(SHORT), NPY),
    "csv": (csv_bytes(MV[:, :1500], fs=500), CSV),
    "edf": (edf_bytes(SHORT, annotations=True), NONE),
    "files": (HELD, NONE),
    "json, base64": (packed(SHORT), NONE),
    "json, list": (listed(SHORT[:, :1300] / 1000), NONE),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_no_altered_upload_raises_anything_else(kind: str):
    sent, settings = SEEDS[kind]
    alter: Callable[[Any, np.random.Generator], Any] = mutated if isinstance(sent, bytes) else mutated_fields
    if kind == "files":
        alter = lambda files, rng: files | {"r.hea": mutated(files["r.hea"], rng)}  # noqa: E731
    end = time.monotonic() + SECONDS
    seed, codes = 0, set()
    while time.monotonic() < end:
        changed = alter(sent, np.random.default_rng(seed))
        start = time.process_time()
        try:
            Upload(name=kind, make=lambda changed=changed: changed, settings=settings).read()
            codes.add("")
        except EcgInputError as error:
            codes.add(error.code)
        except Exception as fault:
            raise AssertionError(f"seed {seed} of {kind}") from fault
        assert time.process_time() - start < 1, f"seed {seed} of {kind}"
        seed += 1
    assert seed > 100
    assert len(codes) > 3, codes
