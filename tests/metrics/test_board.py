"""The score board: what is scored, what is not and why, and its picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ecgray.metrics.board import Board, make_board
from ecgray.metrics.picture import draw_board

CLASSES = [("AF", "atrial fibrillation"), ("VF", "ventricular fibrillation"), ("ECG", "an ecg"), ("<b>", "a < b & c")]


def _drawn(records: int = 300):
    random = np.random.default_rng(0)
    truth = random.random((records, 4)) < 0.3
    truth[:, 1], truth[:, 2] = False, True
    answers = random.random((records, 4)).astype(np.float32)
    return truth, (answers + truth) / 2, answers, np.array([f"p{number % 200}" for number in range(records)])


@pytest.fixture(scope="module")
def board() -> Board:
    truth, ours, theirs, patients = _drawn()
    return make_board(CLASSES, truth, model=ours, random=theirs, patients=patients, resamples=200)


def test_classes_and_the_macro_average(board: Board):
    truth, ours, theirs, _ = _drawn()
    scored = [each for each in board.classes if each.model]
    assert [each.name for each in scored] == ["AF", "<b>"]
    for label, each in [(0, scored[0]), (3, scored[1])]:
        assert each.model is not None
        assert each.random is not None
        assert each.model.auc == pytest.approx(roc_auc_score(truth[:, label], ours[:, label]), abs=1e-12)
        assert each.random.auc == pytest.approx(roc_auc_score(truth[:, label], theirs[:, label]), abs=1e-12)
        assert (each.positives, each.positives + each.negatives) == (truth[:, label].sum(), 300)
        assert each.positive_patients <= each.positives
    assert board.model is not None
    assert board.model.auc == pytest.approx(np.mean([each.model.auc for each in scored if each.model]))
    assert (board.records, board.patients) == (300, 200)


def test_what_cannot_be_scored_is_named_with_its_reason(board: Board):
    assert board.not_scored == ["VF", "ECG"]
    assert [each.reason for each in board.classes] == [None, "no record has it", "every record has it", None]


def test_the_gain_is_paired(board: Board):
    """Its interval is narrower than the two intervals would allow, because both rows share their resamples."""
    truth, ours, _, patients = _drawn()
    same = make_board(CLASSES, truth, model=ours, random=ours, patients=patients, resamples=200)
    assert same.gain is not None
    assert (same.gain.auc, same.gain.low, same.gain.high) == (0.0, 0.0, 0.0)
    assert board.gain is not None
    assert board.model is not None
    assert board.random is not None
    assert board.gain.auc == pytest.approx(board.model.auc - board.random.auc)
    assert board.gain.low is not None
    assert board.gain.low > 0


def test_nothing_can_be_scored():
    truth, ours, _, patients = _drawn()
    board = make_board(CLASSES[1:3], truth[:, 1:3], model=ours[:, 1:3], random=None, patients=patients, resamples=20)
    assert board.model is board.random is board.gain is None
    assert board.not_scored == ["VF", "ECG"]
    assert "2 not scored" in draw_board(board, title="nothing")


def test_the_picture_is_deterministic_well_formed_and_escaped(board: Board):
    svg = draw_board(board, title="a < b", subtitle="<script>")
    assert svg == draw_board(board, title="a < b", subtitle="<script>")
    root = ElementTree.fromstring(svg)
    text = " ".join(node.text or "" for node in root.iter() if node.tag.endswith("text"))
    for shown in ("a < b", "<script>", "macro average", "atrial fibrillation", "of 300", "2 not scored"):
        assert shown in text
    assert "ventricular fibrillation" not in text
    assert board.model is not None
    assert f"{board.model.auc:.3f}" in text
