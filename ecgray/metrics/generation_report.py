"""The scores of several sets as CSV and as Markdown, each figure with its interval and its support."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ecgray.metrics.bootstrap import Estimate
from ecgray.metrics.generation import MEASURES, Measure


@dataclass(frozen=True)
class ScoredSet:
    """One row of every table."""

    name: str
    preset: str
    """Which preset and which settings made it; what a trivial set is."""
    ecgs: int
    patients: int
    scores: Mapping[str, Estimate]


def to_csv(sets: Sequence[ScoredSet]) -> str:
    """A line a set and measure: value, ends of the 95 % interval, records that could be measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "preset", "ecgs", "patients", "measure", "value", "low", "high", "records", "better"])
    for one in sets:
        for measure in MEASURES:
            found = one.scores.get(measure.name)
            if found is not None:
                numbers = ("" if each is None else f"{each:.6g}" for each in (found.value, found.low, found.high))
                head = [one.name, one.preset, one.ecgs, one.patients, measure.name]
                writer.writerow([*head, *numbers, found.records, measure.better])
    return text.getvalue()


def to_markdown(sets: Sequence[ScoredSet]) -> str:
    """A table for each group of measures, a row a set."""
    return "\n".join(_lines(sets))


def _lines(sets: Sequence[ScoredSet]) -> Iterator[str]:
    yield "| set | made by | ECGs | patients |"
    yield "|---|---|---|---|"
    for one in sets:
        yield f"| {_cell(one.name)} | {_cell(one.preset)} | {one.ecgs:,} | {one.patients:,} |"
    for table in dict.fromkeys(measure.table for measure in MEASURES):
        columns = [measure for measure in MEASURES if measure.table == table]
        yield ""
        yield f"## {table.capitalize()}"
        yield ""
        yield f"| set | {' | '.join(_head(measure) for measure in columns)} |"
        yield "|---|" + "---|" * len(columns)
        for one in sets:
            cells = [_figure(one.scores.get(measure.name), measure, one.ecgs) for measure in columns]
            yield f"| {_cell(one.name)} | {' | '.join(cells)} |"


def _head(measure: Measure) -> str:
    return f"{measure.head} ({measure.better})" if measure.better else measure.head


def _figure(found: Estimate | None, measure: Measure, ecgs: int) -> str:
    """Value, interval, and the support where not every ECG counts.

    >>> _figure(Estimate(12.04, 10.0, 15.26, 180), MEASURES[12], 200)
    '12.0 (10.0 to 15.3), n=180'
    """
    if found is None or found.value is None:
        return "-"
    text = f"{found.value:.{measure.digits}f}"
    if found.low is not None and found.high is not None:
        text += f" ({found.low:.{measure.digits}f} to {found.high:.{measure.digits}f})"
    return text if found.records == ecgs else f"{text}, n={found.records:,}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
