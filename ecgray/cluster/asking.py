"""One part of the texts through an engine that may fail, hang, die or answer nonsense, to one file of the cache.

The file is the commit: a part that has one is never asked again. A diary on disk says what was being asked when a
process died. After a first death the part is asked in small pieces, each committed by itself; a piece that killed
again, text by text; and a text that was being asked at two deaths gets the code `engine_died` or `timed_out` instead
of a third chance.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgray.cluster.cache import Row, remember
from ecgray.cluster.engine import Engine, Said
from ecgray.errors import ClusterError, EcgrayError
from ecgray.text.entities import AnswerError
from ecgray.text.prompt import Prompt

_PIECE = 32
"""Texts that are asked at a stretch after a death."""
_DEATHS = 2
"""Deaths while a text was asked alone, for that to be no chance: nodes go away, too."""
MOST_DEATHS = 24
"""Deaths in one part after which the texts are not to blame."""


@dataclass(frozen=True)
class Asking:
    """What is asked, and where the answers go."""

    prompt: Prompt
    model_hash: str
    cache: Path
    diaries: Path
    timeout_s: float
    """How long one part may take; its process is ended after that."""


@dataclass
class Spent:
    """What a part took."""

    texts: int = 0
    calls: int = 0
    """Prompts that the engine was given, second attempts included."""
    tokens_in: int = 0
    tokens_out: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Texts without an answer by code."""


def answer_part(name: str, texts: Sequence[str], engine: Engine, asking: Asking) -> Spent:
    """Have the texts answered and committed as CACHE/NAME.parquet.

    Raises `ClusterError` where the engine keeps dying, `ConfigError` where its model is unfit. Whatever else an engine
    raises ends in a code for the text it fails on.
    """
    spent = Spent(texts=len(texts))
    if (asking.cache / f"{name}.parquet").exists():  # the process died between the commit and its reply
        return spent
    with contextlib.closing(Diary(asking.diaries / name)) as diary:
        _answer(name, texts, engine, asking, diary, spent)
    diary.forget()
    return spent


def _answer(name: str, texts: Sequence[str], engine: Engine, asking: Asking, diary: Diary, spent: Spent) -> None:
    if diary.attempts > MOST_DEATHS:
        diary.forget()  # the next run of the job tries afresh
        raise ClusterError(
            f"the engine died {diary.attempts} times in one part of the texts; see to its memory, or give it a longer "
            "--timeout-s, and run the same command again."
        )
    diary.begin()
    rows = [Row(texts[at], None, code) for at, code in diary.condemned.items()]
    for start, end in diary.plan(len(texts)):
        with diary.asking(start, end, asking.timeout_s):
            found = ask(texts[start:end], engine, asking.prompt, spent)
        if diary.attempts:  # each piece for itself, so that another death does not cost it
            _commit(found, asking.cache / f"{name}.{start}-{end}.parquet", asking, spent)
            diary.done(start, end)
        else:
            rows += found
    _commit(rows, asking.cache / f"{name}.parquet", asking, spent)


def _commit(rows: Sequence[Row], path: Path, asking: Asking, spent: Spent) -> None:
    remember(rows, path, asking.prompt.hash, asking.model_hash)
    spent.failed.update(row.code for row in rows if row.code)


def ask(texts: Sequence[str], engine: Engine, prompt: Prompt, spent: Spent) -> list[Row]:
    """A row a text: its answer, or why there is none. An answer that is none is asked for once more."""
    first = _ask_some(texts, engine, prompt, 0, spent)
    rows = [_row(text, said, prompt) for text, said in zip(texts, first, strict=True)]
    again = [at for at, row in enumerate(rows) if (row.code or "").startswith("answer_")]
    second = _ask_some([texts[at] for at in again], engine, prompt, 1, spent)
    for at, said in zip(again, second, strict=True):
        rows[at] = _row(texts[at], said, prompt)
    return rows


def _ask_some(texts: Sequence[str], engine: Engine, prompt: Prompt, attempt: int, spent: Spent) -> list[Said]:
    """Ask; where the engine raises, ask each half, down to the texts that it raises on."""
    if not texts:
        return []
    spent.calls += len(texts)
    try:
        said = engine.ask(texts, prompt, attempt)
        if len(said) != len(texts):
            raise ValueError(f"{len(said)} answers to {len(texts)} texts")
    except EcgrayError:  # the model is unfit, as without a chat template: no text is to blame
        raise
    except Exception as error:
        if type(error).__name__ == "EngineDeadError":  # vLLM's engine is a process of its own, and cannot come back
            os._exit(1)
        if len(texts) == 1:
            return [Said(code="engine_failed")]
        middle = len(texts) // 2
        halves = (texts[:middle], texts[middle:])
        return [each for half in halves for each in _ask_some(half, engine, prompt, attempt, spent)]
    spent.tokens_in += sum(each.tokens_in for each in said)
    spent.tokens_out += sum(each.tokens_out for each in said)
    return said


def _row(text: str, said: Said, prompt: Prompt) -> Row:
    code = said.code
    if code is None and said.answer is not None:
        try:
            prompt.check(text, said.answer)
            return Row(text, said.answer, None, said.tokens_in, said.tokens_out)
        except AnswerError as error:
            code = "answer_cut" if said.cut else error.code
    return Row(text, None, code or "engine_failed", said.tokens_in, said.tokens_out)


class Diary:
    """What was being asked when a process died, kept on disk while a part is asked.

    `+` begins an attempt, `3 7` says that texts 3 to 6 are asked now, `done 3 7` that they are committed, and
    Python's own watchdog writes `Timeout` when it ends the process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        attempts = path.read_text(errors="replace").split("+\n")[1:] if path.exists() else []
        self.attempts = len(attempts)
        """How often a process began this part and did not end it."""
        fatal = [each for each in map(_fatal, attempts) if each]
        self._fatal = Counter(place for place, _ in fatal)
        self._done = {place for attempt in attempts for place in _places(attempt, "done ")}
        last = dict(fatal)
        self.condemned = {
            place[0]: last[place] for place, deaths in self._fatal.items() if deaths >= _DEATHS and _is_one(place)
        }
        """Texts that are not asked any more, each with its code."""
        self._file = path.open("a", buffering=1)

    def begin(self) -> None:
        """Begin an attempt."""
        self._file.write("+\n")

    def plan(self, texts: int) -> Iterator[tuple[int, int]]:
        """Which texts to ask at a stretch."""
        if not self.attempts:
            yield 0, texts
            return
        for start in range(0, texts, _PIECE):
            piece = (start, min(start + _PIECE, texts))
            singly = [(at, at + 1) for at in range(*piece)] if self._fatal[piece] else [piece]
            yield from (each for each in singly if each not in self._done and each[0] not in self.condemned)

    @contextlib.contextmanager
    def asking(self, start: int, end: int, timeout_s: float) -> Iterator[None]:
        """Note what is asked, and end this process where that takes too long."""
        self._file.write(f"{start} {end}\n")
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=self._file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

    def done(self, start: int, end: int) -> None:
        """Note that these are committed."""
        self._file.write(f"done {start} {end}\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def forget(self) -> None:
        """The part is committed: remove it."""
        self._path.unlink(missing_ok=True)


def _fatal(attempt: str) -> tuple[tuple[int, int], str] | None:
    """What an attempt was asking when it ended, and the code of that; None where it was not asking."""
    open_places = set(_places(attempt, "")) - set(_places(attempt, "done "))
    if not open_places:
        return None
    return open_places.pop(), "timed_out" if re.search(r"(?m)^Timeout", attempt) else "engine_died"


def _places(attempt: str, before: str) -> list[tuple[int, int]]:
    return [(int(start), int(end)) for start, end in re.findall(rf"(?m)^{before}(\d+) (\d+)$", attempt)]


def _is_one(place: tuple[int, int]) -> bool:
    return place[1] - place[0] == 1
