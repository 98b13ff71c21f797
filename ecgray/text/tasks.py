"""Zero-shot tasks: what is asked of each record, and when the right answer is yes.

A class has a name (the archive's own), a query (what the classifier is asked) and the codes that make it true.
The queries are short clinical names. The six public tasks take the classes of the papers' tables, 106 in all:

- `ptbxl-super`, `ptbxl-sub`, `ptbxl-form`, `ptbxl-rhythm`: the classes of PTB-XL's scp_statements.csv. A statement
  counts whatever its likelihood, as in the public benchmarks.
- `cpsc2018`: nine classes, from its own words or from the Challenge's SNOMED codes.
- `csn-exact`, `csn-merl`: 38 classes of Chapman-Shaoxing-Ningbo. The public splits (MERL) test whether the class's
  acronym is a *substring* of the record's acronyms, so that every AVB is also a VB and every LVQRSAL an SA; `csn-merl`
  repeats that for comparison with published numbers, `csn-exact` is right.
- `demo-seen`, `demo-unseen`, `demo`: the embedded archive's conditions; the unseen ones are never trained on.

A file of the user's own holds queries without truth: JSON {name: query}, or one query a line.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.errors import ConfigError
from ecgray.text.terms import listed, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_QUERIES = 4096
MAX_QUERY_LETTERS = 512


@dataclass(frozen=True)
class Class:
    """One thing asked: `name` names the answer, `query` is the text asked, any of `codes` makes it true."""

    name: str
    query: str
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Task:
    """What is asked of each record."""

    name: str
    classes: tuple[Class, ...]
    known: frozenset[str] | None = None
    """Where given, a record with a code of the task's systems that is not among these takes no part."""
    labelled_only: bool = False
    """Whether a record that holds none of the classes takes no part, as in the public splits of PTB-XL and CSN."""

    @functools.cached_property
    def systems(self) -> frozenset[str]:
        """The code systems that say whether a class holds; empty for queries without truth."""
        return frozenset(code.partition(":")[0] for each in self.classes for code in each.codes)

    def truth(self, codes: Iterable[str]) -> tuple[bool, ...] | None:
        """Which classes hold for a record with these codes; None where it takes no part.

        >>> load_task("cpsc2018").truth(["cpsc:AF", "cpsc:RBBB"])
        (False, True, False, False, True, False, False, False, False)
        >>> load_task("cpsc2018").truth(["scp:AFIB"]) is None
        True
        """
        spoken = {code for code in codes if code.partition(":")[0] in self.systems}
        if not spoken or (self.known is not None and not spoken <= self.known):
            return None
        holds = tuple(not spoken.isdisjoint(each.codes) for each in self.classes)
        return None if self.labelled_only and not any(holds) else holds


@functools.cache
def _tasks() -> Mapping[str, Task]:
    classes: dict[str, tuple[Class, ...]] = {}
    for row in vocabulary("tasks.csv"):
        one = Class(row["name"], row["query"], frozenset(listed(row["codes"])))
        classes[row["task"]] = (*classes.get(row["task"], ()), one)
    classes["demo"] = classes["demo-seen"] + classes["demo-unseen"]
    tasks = [Task(name, each, labelled_only=name.startswith("ptbxl")) for name, each in classes.items()]
    tasks += [_csn("csn-exact", substring=False), _csn("csn-merl", substring=True)]
    return {task.name: task for task in tasks}


def _csn(name: str, *, substring: bool) -> Task:
    """The 38 classes of CSN. Where the archive gives a code several acronyms, the first one stands for it."""
    acronyms: dict[str, str] = {}
    for row in vocabulary("csn.csv"):
        acronyms.setdefault(row["code"], row["acronym"])
    asked = [row for row in vocabulary("csn.csv") if row["query"]]
    classes = tuple(Class(row["acronym"], row["query"], _holders(row["acronym"], acronyms, substring)) for row in asked)
    return Task(name, classes, known=frozenset(acronyms), labelled_only=True)


def _holders(acronym: str, acronyms: Mapping[str, str], substring: bool) -> frozenset[str]:
    return frozenset(code for code, own in acronyms.items() if acronym == own or (substring and acronym in own))


TASKS: Mapping[str, Task] = _tasks()
"""Every task that is known by name."""


def load_task(name_or_file: str) -> Task:
    """A task by its name, or the queries of a file: JSON {name: query}, or one query a line.

    Raises `ConfigError` where it is neither.
    """
    if name_or_file in TASKS:
        return TASKS[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise ConfigError(f"'{name_or_file}' is neither a task nor a file; give one of {', '.join(TASKS)}, or a file.")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; give JSON {{name: query}} or one query a line.") from None
    return task_of_queries(path.stem, _parse(path, text))


def _parse(path: Path, text: str) -> dict[str, str]:
    if path.suffix != ".json":
        lines = [line.strip() for line in text.splitlines()]
        return _unrepeated(path, [(line, line) for line in lines if line])
    try:
        queries: Any = json.loads(text, object_pairs_hook=lambda pairs: _unrepeated(path, pairs))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON (line {error.lineno}); give {{name: query}}.") from None
    if not isinstance(queries, dict) or not all(isinstance(query, str) for query in queries.values()):
        raise ConfigError(f"{path} holds something else than {{name: query}}; each query is a text.")
    return queries


def _unrepeated(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    repeated = [name for number, name in enumerate(names) if name in names[:number]]
    if repeated:
        raise ConfigError(f"{path} holds '{repeated[0][:40]}' twice; each query has a name of its own.")
    return dict(pairs)


def task_of_queries(name: str, queries: Mapping[str, str]) -> Task:
    """Queries without truth.

    Raises `ConfigError` where there are none, too many, or one is empty or too long.

    >>> task_of_queries("mine", {"af": "atrial fibrillation"}).classes[0].query
    'atrial fibrillation'
    """
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise ConfigError(f"'{name}' holds {len(queries)} queries; 1 to {MAX_QUERIES} are answered in one run.")
    for key, query in queries.items():
        if not query.strip() or len(query) > MAX_QUERY_LETTERS:
            raise ConfigError(
                f"Query '{key[:40]}' has {len(query)} letters; 1 to {MAX_QUERY_LETTERS} are read. Shorten it."
            )
    return Task(name, tuple(Class(key, " ".join(query.split())) for key, query in queries.items()))


def queries_of(classes: Sequence[Class]) -> list[str]:
    """What the classifier is asked, in the order of the classes."""
    return [each.query for each in classes]
