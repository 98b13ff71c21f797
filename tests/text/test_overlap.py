"""Which queries the pre-training terms already name."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from ecgray.cluster.overlap import overlap
from ecgray.errors import ConfigError
from ecgray.recipes.overlap import PUBLIC_TASKS, OverlapConfig
from ecgray.text.overlap import find_overlap
from ecgray.text.tasks import TASKS, task_of_queries
from ecgray.text.terms import TERMS


class Drawn:
    """An encoder of given angles: texts that are not named stand at a right angle to all."""

    name, width, pooler, fingerprint = "drawn", 64, "cls", "0" * 12

    def __init__(self, cosines: dict[str, float]) -> None:
        self._cosines = {text.lower(): value for text, value in cosines.items()}
        self._others: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        vectors = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            if text.lower() in self._cosines:
                cosine = self._cosines[text.lower()]
                vectors[row, :2] = cosine, (1 - cosine**2) ** 0.5
            else:
                vectors[row, 2 + self._others.setdefault(text, len(self._others))] = 1
        return 3 * vectors  # no encoder promises vectors of length 1


def test_the_papers_own_false_overlap_is_marked():
    """Table 6: third and second degree AV block at 0.98; case makes no query new."""
    encoder = Drawn({"third degree av block": 0.98, "second degree av block": 1.0})
    task = task_of_queries("mine", {"a": "second degree av block", "b": "Second degree AV block", "c": "short pr"})
    found = find_overlap(["third degree av block", "st elevation"], [task], encoder)
    assert [(pair.term, pair.verdict) for pair in found.pairs] == [("third degree av block", "opposed")] * 2
    assert found.figures() == {
        "pairs": 2,
        "pairs_caseless": 1,
        "pairs_opposed": 2,
        "pairs_wider_or_narrower": 0,
        "queries": 2,
        "queries_overlapping": 1,
        "queries_overlapping_falsely": 1,
    }
    assert (found.true_queries["mine"], found.false_queries["mine"]) == (0, 2)
    assert not find_overlap(["third degree av block"], [task], encoder, threshold=0.99).pairs


def test_what_is_the_same_overlaps_at_any_threshold():
    encoder = Drawn({})
    terms = ["sinus rhythm", "st elevation"]
    found = find_overlap(terms, [task_of_queries("mine", {"a": "st elevation"})], encoder, threshold=1.0)
    assert [(pair.term, pair.similarity, pair.verdict) for pair in found.pairs] == [("st elevation", 1.0, "same")]
    assert [(one.pair.term, one.overlaps) for one in found.nearest] == [("st elevation", True)]


def test_tasks_are_compared_with_each_other():
    one = task_of_queries("one", {"a": "st elevation", "b": "sinus rhythm"})
    other = task_of_queries("other", {"c": "sinus rhythm"})
    found = find_overlap(["x"], [one, other], Drawn({}))
    assert found.between == {("one", "one"): 2, ("one", "other"): 1, ("other", "one"): 1, ("other", "other"): 1}


def test_other_queries_in_the_same_file_are_other_input(tmp_path: Path):
    queries = tmp_path / "mine.txt"
    queries.write_text("st elevation\n")
    config = OverlapConfig(labels=_labels(tmp_path / "in", list(TERMS)), out=tmp_path / "out", queries=(str(queries),))
    assert overlap(config)["queries"] == 1
    queries.write_text("st elevation\nsinus rhythm\n")
    with pytest.raises(ConfigError, match="the input"):
        overlap(config)


def _labels(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir()
    rows = [{"name": name, "group": "x", "count": 2, "train_count": number} for number, name in enumerate(names)]
    (folder / "terms.json").write_text(json.dumps({"terms": rows, "unmapped": {}}))
    return folder


def test_the_job_counts_lists_and_draws(tmp_path: Path):
    figures = overlap(OverlapConfig(labels=_labels(tmp_path / "in", list(TERMS)), out=tmp_path / "out"))
    assert figures["terms"] == len(TERMS) - 10, "the first ones stand in fewer training records than pretrain asks for"
    queries = {each.query for task in PUBLIC_TASKS for each in TASKS[task].classes}
    assert figures["queries"] == len(queries)
    pairs = list(csv.DictReader((tmp_path / "out" / "overlap.csv").read_text("utf-8-sig").splitlines()))
    assert len(pairs) == figures["pairs"] > 40
    assert [row["similarity"] for row in pairs] == sorted((row["similarity"] for row in pairs), reverse=True)
    assert min(float(row["similarity"]) for row in pairs) >= 0.95
    by_text = {(row["term"], row["query"]): row for row in pairs}
    both = by_text["atrial fibrillation", "atrial fibrillation"]
    assert (both["verdict"], both["tasks"]) == ("same", "ptbxl-rhythm;cpsc2018;csn-exact")
    nearest = list(csv.DictReader((tmp_path / "out" / "nearest.csv").read_text("utf-8-sig").splitlines()))
    assert len(nearest) == 106
    svg = (tmp_path / "out" / "overlap.svg").read_text()
    assert all(f">{task}<" in svg for task in PUBLIC_TASKS)


@pytest.mark.parametrize("content", ["", "[]", '{"terms": [{"name": "x"}]}'])
def test_what_is_no_list_of_terms_is_refused(tmp_path: Path, content: str):
    (tmp_path / "terms.json").write_text(content)
    with pytest.raises(ConfigError, match="no list of terms"):
        overlap(OverlapConfig(labels=tmp_path, out=tmp_path / "out"))


def test_labels_without_training_records_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="names no term with 9 training records"):
        overlap(OverlapConfig(labels=_labels(tmp_path / "in", ["a"]), out=tmp_path / "out", min_train_count=9))


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"threshold": 1.1}, {"min_train_count": -1}, {"queries": ()}])
def test_settings_that_make_no_sense_are_refused(settings: dict):
    with pytest.raises(ConfigError):
        OverlapConfig(labels=Path("x"), out=Path("y"), **settings)
