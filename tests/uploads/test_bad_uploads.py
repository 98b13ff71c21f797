"""Every bad upload gets its code or its flag, in under a second and 256 MB, and its sentence names nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_uploads import UPLOADS
from upload_cases import COUNTS, CSV, HELD, MV, NONE, NPY, Upload
from uploads import csv_bytes, edf_bytes, npy_bytes, packed, zip_bytes

from ecgray.errors import EcgInputError
from ecgray.uploads.read import UploadSettings

CANARY = "Zylinderkopf"
EXACT = [upload for upload in UPLOADS if not upload.code and not upload.flag]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    """All of them read by one process without pytest's checks of types, so that time and memory are the reader's."""
    script = Path(__file__).with_name("bad_uploads.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_every_upload_has_a_name_of_its_own():
    assert len({upload.name for upload in UPLOADS}) == len(UPLOADS)
    told = {upload.name.split()[0] for upload in UPLOADS}
    rows = [str(row) for row in range(1, 63)]
    assert set(rows) - told == set(), "rows of RELIABILITY B5"


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.name)
def test_an_upload_gets_its_code_or_its_flag(upload: Upload, outcomes: dict[str, dict[str, Any]]):
    found = outcomes[upload.name]
    assert (found["code"], found["status"]) == (upload.code, upload.status)
    assert upload.flag in found["flags"] if upload.flag else not found["flags"]
    assert found["seconds"] < 1
    assert found["mb"] < 256
    assert found.get("sentence", ".").endswith((".", "?"))
    assert "/" not in found.get("sentence", "")


@pytest.mark.parametrize("upload", EXACT, ids=lambda upload: upload.name)
def test_a_good_upload_is_read_to_the_bit(upload: Upload):
    assert np.array_equal(upload.read().counts, COUNTS)


SPOKEN = {
    "zip": (zip_bytes({f"{CANARY}.hea": HELD["r.hea"], f"../{CANARY}.dat": b"1"}), NONE),
    "zip of a text": (zip_bytes({f"{CANARY}.txt": CANARY.encode()}), NONE),
    "npy": (npy_bytes(COUNTS), UploadSettings(fs=500, unit="uV", leads=(CANARY,) * 12)),
    "npy's unit": (npy_bytes(COUNTS), UploadSettings(fs=500, unit=CANARY, leads=NPY.leads)),
    "npy's fields": (npy_bytes(np.zeros(3, [(CANARY, "<i2")])), NPY),
    "csv's names": (csv_bytes(MV, names=[f"{CANARY}{n}" for n in range(12)]), CSV),
    "csv's cells": (csv_bytes(MV) + CANARY.encode() + b",1\n", CSV),
    "csv's unit": (csv_bytes(MV).replace(b"(mV)", f"({CANARY})".encode()), CSV),
    "text": (CANARY.encode(), CSV),
    "edf's labels": (edf_bytes(COUNTS, labels=[CANARY] * 12), NONE),
    "edf's unit": (edf_bytes(COUNTS, unit=CANARY), NONE),
    "edf's numbers": (edf_bytes(COUNTS, fixed={236: CANARY[:8]}), NONE),
    "a field": (packed(COUNTS) | {CANARY: CANARY}, NONE),
    "a value": (packed(COUNTS) | {"encoding": CANARY}, NONE),
    "json's unit": (packed(COUNTS) | {"unit": CANARY}, NONE),
    "json's dtype": (packed(COUNTS) | {"dtype": CANARY}, NONE),
    "json's data": (packed(COUNTS) | {"data": f"{CANARY}!!"}, NONE),
}


@pytest.mark.parametrize("name", SPOKEN)
def test_no_sentence_holds_a_word_of_the_upload(name: str):
    sent, settings = SPOKEN[name]
    with pytest.raises(EcgInputError) as caught:
        Upload(name=name, make=lambda: sent, settings=settings).read()
    assert CANARY[:8] not in str(caught.value)
    assert caught.value.__cause__ is None or CANARY[:8] not in str(caught.value.__cause__)
