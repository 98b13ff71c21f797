"""The journal: every step once, also after a run was killed and went on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

from ecgray.training.journal import METRICS, TENSORBOARD, Journal, live_bar, read_journal


def _board_steps(folder: Path, name: str) -> list[int]:
    """The steps of a scalar in TensorBoard's own files (records of length, sum, event, sum)."""
    steps = []
    for path in sorted((folder / TENSORBOARD).iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = content[at + 12 : at + 12 + length]
            assert masked_crc32c(event) == int.from_bytes(content[at + 12 + length : at + 16 + length], "little")
            parsed = event_pb2.Event.FromString(event)
            steps += [parsed.step for value in parsed.summary.value if value.tag == name]
            at += 16 + length
    return steps


def _write(folder: Path, steps: range, *, after: int) -> None:
    with Journal(folder, after=after) as journal:
        for step in steps:
            journal.write({"step": step, "loss": 1 / step})


def test_a_run_that_goes_on_has_every_step_once(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 9), after=0)
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 9, "lo')  # killed while it wrote
    _write(tmp_path, range(6, 13), after=5)
    assert [row["step"] for row in read_journal(tmp_path)] == list(range(1, 13))
    assert _board_steps(tmp_path, "loss") == list(range(1, 13))


def test_a_half_written_row_is_no_row(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1}\n{"step": 2')
    assert read_journal(tmp_path) == [{"step": 1}]


def test_nan_never_reaches_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path, after=0) as journal, pytest.raises(ValueError, match="JSON compliant"):
        journal.write({"step": 1, "loss": float("nan")})
    assert read_journal(tmp_path) == []


def test_the_bar_shows_the_last_step_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with live_bar(tmp_path, name="pretrain", total=5):
        _write(tmp_path, range(1, 6), after=0)
    out, err = capsys.readouterr()
    assert out == ""
    assert "5/5" in err
    assert "loss=0.2" in err
