"""What the demo's report says: `ecgray.demo.story` reads it from a run, `ecgray.demo.report` writes the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """One arrow of the path: what it does, the command that does the same alone, how long it took, what came out."""

    meaning: str
    command: str
    seconds: float
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well one class is told apart: AUROC with its 95 % interval, beside a random encoder's, and the support."""

    name: str
    auroc: float
    low: float
    high: float
    random_auroc: float | None
    positives: int
    records: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """The scores of one task; `macro` is the mean over its scored classes."""

    macro: float
    low: float
    high: float
    random_macro: float
    scores: tuple[Score, ...]
    not_scored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One answer about one ECG. `above_percent`: how many of the test ECGs got a lower probability for the query."""

    query: str
    probability: float
    above_percent: float
    truth: bool
    unseen: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One ECG on paper, its machine report, what is true of it and what the classifier answers."""

    svg: str
    report: str
    truths: tuple[str, ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One recording in quarantine."""

    path: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measured line: (step, value) pairs."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Rebuilding:
    """What the autoencoder makes of ECGs that it did not learn from; errors are medians over held-out drawn ECGs."""

    pictures: tuple[str, ...]
    """SVGs: a recording, its reconstruction, its first beat and the decoded one."""
    steps: int
    records: int
    mae_mv: float | None
    correlation: float | None
    heart_rate_error_bpm: float | None
    qt_error_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Written:
    """One ECG that was written from text: on paper, beside what was asked and what was measured on it."""

    svg: str
    prompt: str
    asked_bpm: float | None
    measured_bpm: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Writing:
    """The generator: what it is, and how near the hearts that it draws come to the rate that was asked."""

    shown: tuple[Written, ...]
    steps: int
    """Steps that it was trained further in this run."""
    records: int
    asked: int
    """ECGs for which a heart rate was asked."""
    measured: int
    """Those of them on which one could be measured."""
    error_bpm: float | None
    """Median of the difference."""
    seconds_each: float
    """Seconds for one ECG on all workers together."""
    sampling: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything the page says."""

    patients: int
    records: int
    split_records: dict[str, int]
    train_records: int
    """Training ECGs that were learnt from: those with an unseen condition are left out."""
    test_patients: int
    parameters: int
    seconds: float
    machine: str
    version: str
    steps: tuple[Step, ...]
    seen: Board
    unseen: Board
    curves: tuple[Curve, ...]
    shown: tuple[Shown, ...]
    rebuilt: Rebuilding
    written: Writing
    refused: tuple[Refused, ...]
    settings: str
