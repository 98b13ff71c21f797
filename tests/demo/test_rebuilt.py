"""The report's ECGs beside their reconstructions come from the run's own model and records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from ecgray.demo.rebuilt import VaeRun, read_real, rebuild
from ecgray.errors import ConfigError
from ecgray.output import write_json
from ecgray.parquet import write_tables
from ecgray.sediff.config import SIZES
from ecgray.sediff.folder import save_vae
from ecgray.sediff.vae import Vae
from ecgray.tables import RECORDS, ecg_bytes
from ecgray.waveform.write import write_recording

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FIGURES = {"steps": 3, "records": 8, "mae_mv": 0.1, "correlation": None}
FIGURES |= {"heart_rate_error_bpm": None, "qt_error_ms": 12.5}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> VaeRun:
    out = tmp_path_factory.mktemp("rebuilt")
    rng = np.random.default_rng(0)
    rows = [
        {"record_id": f"x:{n}", "subject_id": f"x:p{n}", "split": split, "ecg": ecg_bytes(ecg)}
        for n, (split, ecg) in enumerate(
            zip(("train", "test"), rng.integers(-500, 500, (2, 12, 5000)).astype(np.int16), strict=True)
        )
    ]
    write_tables(pa.Table.from_pylist(rows, RECORDS), out / "records")
    torch.manual_seed(0)
    save_vae(out / "vae" / "model", Vae(SIZES["debug"]), card="# A model\n", details={})
    write_json(out / "vae" / "figures.json", FIGURES)
    ecg = rng.integers(-500, 500, (12, 5000)).astype(np.int16)
    write_recording(out, "real", ecg, leads=LEADS)
    return VaeRun(records=next((out / "records").glob("*.parquet")), vae=out / "vae", real=out / "real.hea")


def test_a_drawn_and_a_real_ecg_are_shown(run: VaeRun):
    found = rebuild(run)
    drawn, real = found.pictures
    assert "SYNTHETIC" in drawn
    assert "SYNTHETIC" not in real
    assert (found.steps, found.records, found.qt_error_ms) == (3, 8, 12.5)
    assert len(rebuild(VaeRun(records=run.records, vae=run.vae, real=None)).pictures) == 1


def test_a_recording_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"there is no recording .*; give the path of a WFDB header"):
        read_real(tmp_path / "none.hea")


def test_a_file_without_a_test_patient_is_refused(run: VaeRun, tmp_path: Path):
    row = {"record_id": "x:1", "subject_id": "x:p", "split": "train", "ecg": ecg_bytes(np.zeros((12, 5000), np.int16))}
    write_tables(pa.Table.from_pylist([row], RECORDS), tmp_path)
    with pytest.raises(ConfigError, match="no record of a test patient"):
        rebuild(VaeRun(records=next(tmp_path.glob("*.parquet")), vae=run.vae, real=None))


def test_a_real_recording_is_read(real_data: Path):
    ecg = read_real(real_data / "ptbxl" / "records500" / "00000" / "00001_hr")
    assert ecg.shape == (12, 5000)
    assert 0.5 < np.ptp(ecg, axis=1).max() < 5
