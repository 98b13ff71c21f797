"""What pre-training terms and downstream queries have in common: table and picture. One process, seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.errors import ConfigError
from ecgray.metrics.overlap import TaskOverlap, draw_overlap
from ecgray.output import output_folder, write_bytes
from ecgray.text.encoders import load_text_encoder
from ecgray.text.overlap import Overlap, find_overlap
from ecgray.text.review import csv_bytes
from ecgray.text.tasks import TASKS, Task, load_task

if TYPE_CHECKING:
    from ecgray.recipes.overlap import OverlapConfig


def overlap(config: OverlapConfig) -> dict[str, Any]:
    """Write OUT/overlap.csv, nearest.csv and overlap.svg; returns the counts."""
    tasks = [load_task(name) for name in dict.fromkeys(config.queries)]
    own = {f"queries of {name}": Path(name) for name in config.queries if name not in TASKS}
    with output_folder(config.out, config, inputs={"labels": config.labels, **own}) as folder:
        if folder.done is not None:
            return folder.done
        terms = _terms(config.labels, config.min_train_count)
        found = find_overlap(terms, tasks, load_text_encoder(config.text_encoder), threshold=config.threshold)
        _write_tables(found, tasks, folder.path)
        write_bytes(folder.path / "overlap.svg", _draw(found, len(terms), config).encode())
        return folder.finish({"terms": len(terms), **found.figures(), "out": str(folder.path)})


def _terms(labels: Path, least: int) -> list[str]:
    """The pre-training terms that terms.json names.

    Raises `ConfigError` where there is no such file, or no term in it.
    """
    path = labels if labels.is_file() else labels / "terms.json"
    try:
        rows = json.loads(path.read_text("utf-8"))["terms"]
        terms = [str(row["name"]) for row in rows if row["train_count"] >= least]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is no list of terms; give OUT of a label job as --labels.") from None
    if not terms:
        raise ConfigError(
            f"{path} names no term with {least} training records; give other labels, or a lower --min-train-count."
        )
    return terms


def _write_tables(found: Overlap, tasks: list[Task], out: Path) -> None:
    asking = {
        query: ";".join(task.name for task in tasks if any(each.query == query for each in task.classes))
        for query in {pair.query for pair in found.pairs}
    }
    pairs = [
        (pair.term, pair.query, f"{pair.similarity:.4f}", pair.verdict, asking[pair.query]) for pair in found.pairs
    ]
    write_bytes(out / "overlap.csv", csv_bytes(("term", "query", "similarity", "verdict", "tasks"), pairs))
    nearest = [
        (one.task, one.name, pair.query, pair.term, f"{pair.similarity:.4f}", pair.verdict, overlaps)
        for one in found.nearest
        for pair, overlaps in [(one.pair, "yes" if one.overlaps else "no")]
    ]
    columns = ("task", "class", "query", "nearest_term", "similarity", "verdict", "overlaps")
    write_bytes(out / "nearest.csv", csv_bytes(columns, nearest))


def _draw(found: Overlap, terms: int, config: OverlapConfig) -> str:
    tasks = [
        TaskOverlap(
            name,
            queries,
            found.true_queries[name],
            found.false_queries[name],
            tuple({one.pair.query: one.pair.similarity for one in found.nearest if one.task == name}.values()),
        )
        for name, queries in found.queries.items()
    ]
    counts = found.figures()
    return draw_overlap(
        tasks,
        found.between,
        title="What the questions and pre-training have in common",
        subtitle=f"{terms:,} terms, {counts['queries']} distinct queries; {counts['queries_overlapping']} queries "
        f"overlap in {counts['pairs']} pairs, {counts['pairs_opposed']} pairs are opposites. Text encoder: "
        f"{Path(config.text_encoder).name}",
        threshold=config.threshold,
    )
