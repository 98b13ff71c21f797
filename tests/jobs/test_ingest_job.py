"""jobs/ingest.py from outside: one JSON line at the end, one sentence and exit 2 for a user's mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mimic_shaped import mimic_archive

JOB = Path(__file__).parents[2] / "jobs" / "ingest.py"


def job(*args):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run([sys.executable, JOB, *map(str, args)], capture_output=True, text=True, env=environment)


def refused(ran):
    """The sentence on stderr of a job that ended with exit status 2 and said nothing else."""
    assert ran.returncode == 2
    assert ran.stdout == ""
    (sentence,) = ran.stderr.strip().splitlines()
    return sentence


def test_a_folder_that_is_not_there(tmp_path):
    sentence = refused(job("debug", "--archive", tmp_path / "gone", "--out", tmp_path / "out"))
    assert sentence == f"ConfigError: {tmp_path}/gone is no folder; give the folder that holds the archive."
    assert not (tmp_path / "out").exists()


def test_a_layout_that_there_is_not(tmp_path):
    sentence = refused(job("debug", "--archive", tmp_path, "--out", tmp_path / "out", "--layout", "mimic"))
    assert "'mimic' is no layout; the layouts are auto, mimic-iv-ecg" in sentence


def test_shares_that_leave_no_one_to_train_on(tmp_path):
    sentence = refused(job("debug", "--archive", tmp_path, "--out", tmp_path / "out", "--val-percent", "90"))
    assert "val_percent=90 and test_percent=10 leave no patient" in sentence


@pytest.mark.ray
def test_the_last_line_holds_the_figures_and_the_folder_one_run(tmp_path):
    archive, out = tmp_path / "an archive", tmp_path / "out put"
    mimic_archive(archive, 10)
    ran = job("debug", "--archive", archive, "--out", out)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    assert (figures["records"], figures["quarantined"], figures["patients"]) == (10, 0, 5)
    assert figures["records_per_s"] > 0
    assert "10/10" in ran.stderr
    sentence = refused(job("debug", "--archive", archive, "--out", out, "--layout", "wfdb"))
    assert "holds a run that differs in layout" in sentence
