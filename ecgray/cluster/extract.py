"""From reports to entities: gather the distinct texts, have those asked that no cache answers, join the answers back.

Records are read file by file, the ECGs left where they are. What is held in memory is the distinct texts and their
answers; Ray and the engine are started only where something is left to ask.
"""

from __future__ import annotations

import functools
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tqdm import tqdm

from ecgray.artifact import check_sums
from ecgray.cluster.cache import look_up
from ecgray.cluster.engine import answers_hash, engine_class
from ecgray.errors import ConfigError, EcgrayError
from ecgray.output import OutputFolder, output_folder
from ecgray.parquet import parquet_files, read_columns, table_folder, write_table, write_tables
from ecgray.tables import ENTITIES, RECORDS, STATEMENTS
from ecgray.text.entities import Entity, Reading, read_answer
from ecgray.text.joining import Found, found_in, merged
from ecgray.text.model_folder import model_folder, model_hash
from ecgray.text.prompt import Prompt, load_prompt, merge_question, prompt_path, read_groups
from ecgray.text.readings import read_readings
from ecgray.text.statements import is_empty, texts_of

if TYPE_CHECKING:
    from ecgray.cluster.llm import Asked
    from ecgray.recipes.extract import ExtractConfig

DIARIES = ".asking"
_READ = [RECORDS.field(name) for name in ("record_id", "subject_id", "report")]
FINAL = {"too_long"}
"""Codes that asking again does not change."""
_OUTCOME = ("answered", "refused_by_code", "merge_refused_by_code")
"""Figures that tell whether asking again brought anything."""


def extract(config: ExtractConfig) -> dict[str, Any]:
    """Write OUT/entities, OUT/statements and OUT/quarantine; returns the figures.

    A finished OUT is returned as it is; where statements were refused in it, those are asked again.
    """
    model = model_folder(config.model)
    check_sums(model)
    if config.engine != "vllm":
        engine_class(config.engine)
    corrections = read_readings(config.readings, unit=config.unit) if config.readings else {}
    inputs: dict[str, Path | str] = {
        "records": config.records,
        "model": model_hash(model),
        "prompt": prompt_path("extract"),
    }
    if config.merge == "llm":
        inputs["merge_prompt"] = prompt_path("merge")
    if config.readings:
        inputs["readings"] = config.readings
    with output_folder(config.out, config, inputs=inputs) as folder:
        earlier = folder.done
        if earlier and {*earlier["refused_by_code"], *earlier.get("merge_refused_by_code", ())} <= FINAL:
            return earlier
    if earlier is not None:
        (folder.path / "figures.json").unlink(missing_ok=True)
    with output_folder(config.out, config, inputs=inputs) as folder:
        try:
            figures = _Run(config, folder, model, corrections).go()
            as_before = earlier and all(figures.get(name) == earlier.get(name) for name in _OUTCOME)
            folder.finish(earlier if earlier and as_before else figures)  # so that what was made of it stays valid
            return figures
        except EcgrayError:
            if earlier is not None:  # no engine to ask again: what was finished is as good as before
                folder.finish(earlier)
            raise


@dataclass
class _Gathered:
    """What stands in the records."""

    records: int = 0
    empty: int = 0
    short: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    """In how many records each distinct text stands."""


class _Run:
    """One run of the job: its settings, where it writes, what it knows so far."""

    def __init__(
        self, config: ExtractConfig, folder: OutputFolder, model: Path, corrections: Mapping[str, Reading]
    ) -> None:
        self.config, self.out, self.model, self.corrections = config, folder.path, model, corrections
        self.model_hash = answers_hash(model, config.engine)
        self.cache = (config.cache or folder.path / "cache").absolute()
        self.parts = parquet_files(table_folder(config.records, "records"))
        self.texts_of = functools.lru_cache(maxsize=1 << 16)(
            functools.partial(texts_of, unit=config.unit, min_words=config.min_words)
        )
        self.readings: dict[str, Reading] = {}
        self.codes: dict[str, str] = {}
        self.unmerged: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}

    def go(self) -> dict[str, Any]:
        for left_over in (self.out / "entities").glob(".*.parquet.*"):
            left_over.unlink(missing_ok=True)
        gathered = self._timed("gather", self._gather)
        figures = self._extract(gathered)
        figures |= self._timed("join", lambda: self._join(self._merge()))
        self._write_statements(gathered.texts)
        if not self._model_is_of_use():
            print("extract: warning: no answer can be used; is this model made for it?", file=sys.stderr)
        figures["seconds"] = {name: round(value, 2) for name, value in self.seconds.items()}
        return figures | {"model": self.config.model, "model_hash": self.model_hash, "out": str(self.out)}

    def _model_is_of_use(self) -> bool:
        """Whether an answer of the model can be used, or nothing was left to ask it."""
        answers = [each for each in self.readings.values() if not each.corrected]
        if not answers:
            return bool(self.readings) and not self.codes
        return any(each.entities for each in answers) or not any(each.uncited for each in answers)

    def _timed(self, name: str, step: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = step()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result

    def _gather(self) -> _Gathered:
        gathered = _Gathered()
        for part in tqdm(self.parts, unit="file", desc="reports"):
            reports = read_columns(part, _READ)["report"].to_pylist()
            gathered.records += len(reports)
            for report, count in Counter(report or "" for report in reports).items():
                texts = self.texts_of(report)
                if not texts:
                    gathered.empty += count * is_empty(report)
                    gathered.short += count * (not is_empty(report))
                for text in texts:
                    gathered.texts[text] += count
        print(
            f"extract: {gathered.records} records, passed over {gathered.empty} without a report and {gathered.short} "
            f"of fewer than {self.config.min_words} words; {len(gathered.texts)} distinct {self.config.unit}s",
            file=sys.stderr,
        )
        if not gathered.records:
            raise ConfigError(f"{self.config.records} has no record; give OUT of an ingest job that kept some.")
        return gathered

    def _extract(self, gathered: _Gathered) -> dict[str, Any]:
        """Have the texts read; fills `readings` and `codes`, returns the figures of that."""
        prompt = load_prompt("extract", max_tokens=self.config.max_tokens)
        corrected = {text: self.corrections[text] for text in gathered.texts if text in self.corrections}
        left = [text for text in gathered.texts if text not in corrected]
        long = {text for text in left if len(text) > self.config.max_letters}
        known, asked, cached = self._answers([text for text in left if text not in long], prompt)
        answered = {text: read_answer(text, answer) for text, answer in known.answers.items()}
        self.readings = corrected | answered
        self.codes = known.codes | dict.fromkeys(long, "too_long")
        readings = answered.values()
        return {
            "records": gathered.records,
            "empty": gathered.empty,
            "short": gathered.short,
            "statements": gathered.texts.total(),
            "distinct": len(gathered.texts),
            "corrected": len(corrected),
            "cached": cached,
            "asked": asked.calls,
            "calls_per_1000_reports": round(asked.calls / gathered.records * 1000, 2),
            "answered": len(answered),
            "unknown": sum(each.unknown and not each.entities for each in readings),
            "partly": sum(each.unknown and bool(each.entities) for each in readings),
            "uncited": sum(each.uncited for each in readings),
            "refused": len(self.codes),
            "refused_by_code": _by_code(self.codes),
            "tokens_in": asked.tokens_in,
            "tokens_out": asked.tokens_out,
            "rows_per_s": round(asked.rows_per_s, 1),
        }

    def _answers(self, texts: Sequence[str], prompt: Prompt) -> tuple[Any, Asked, int]:
        """What is known of the texts after all that the cache lacks was asked; how many it had."""
        from ecgray.cluster.llm import Asked

        wanted = set(texts)
        known = self._timed("cache", lambda: look_up(self.cache, wanted, prompt.hash, self.model_hash))
        missing = [text for text in texts if text not in known.answers]
        if not missing:
            return known, Asked(), len(known.answers)
        asked = self._ask(missing, prompt)
        self.seconds[f"{prompt.purpose}_start"], self.seconds[f"{prompt.purpose}_ask"] = asked.start_s, asked.ask_s
        after = self._timed("cache", lambda: look_up(self.cache, wanted, prompt.hash, self.model_hash))
        return after, asked, len(known.answers)

    def _ask(self, texts: Sequence[str], prompt: Prompt) -> Asked:
        from ecgray.cluster.asking import Asking
        from ecgray.cluster.engine import EngineSettings
        from ecgray.cluster.llm import Pool, ask_all

        config = self.config
        settings = EngineSettings(
            model=self.model,
            gpu=config.gpu,
            tensor_parallel=config.tensor_parallel,
            max_model_len=config.max_model_len,
            max_num_seqs=config.max_num_seqs,
            kv_cache_mb=config.kv_cache_mb,
            gpu_memory_share=config.gpu_memory_share,
        )
        pool = Pool(
            engine=config.engine,
            settings=settings,
            replicas=config.replicas,
            cpus=config.cpus_per_replica,
            part_rows=config.part_rows,
            start_timeout_s=config.start_timeout_s,
        )
        return ask_all(texts, Asking(prompt, self.model_hash, self.cache, self.out / DIARIES, config.timeout_s), pool)

    def _merge(self) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
        """Which name goes by which in each list of names that a report gives; the figures of asking that."""
        if self.config.merge != "llm":
            return {}, {}
        questions: Counter[str] = Counter()
        for part in self.parts:
            for report, records in Counter(read_columns(part, _READ)["report"].to_pylist()).items():
                names = {each.entity.name for each in found_in(self.texts_of(report or ""), self.readings)}
                if len(names) > 1:
                    questions[merge_question(sorted(names))] += records
        prompt = load_prompt("merge", max_tokens=self.config.max_tokens)
        known, asked, _ = self._answers(list(questions), prompt)
        self.unmerged = [_unmerged(text, questions[text], code) for text, code in sorted(known.codes.items())]
        groups = {text: read_groups(text.split("\n"), answer) for text, answer in known.answers.items()}
        return groups, {
            "merge_lists": len(questions),
            "merge_asked": asked.calls,
            "merge_refused_by_code": _by_code(known.codes),
        }

    def _join(self, merge: tuple[dict[str, dict[str, str]], dict[str, Any]]) -> dict[str, Any]:
        """Write a file of entities for each file of records; a file of an earlier run is replaced whole."""
        groups, figures = merge
        rows_of = functools.lru_cache(maxsize=1 << 16)(functools.partial(self._rows, groups))
        entities = with_refused = 0
        for part in tqdm(self.parts, unit="file", desc="join"):
            records = read_columns(part, _READ)
            columns: list[list[str]] = [[] for _ in ENTITIES]
            for record, subject, report in zip(*(column.to_pylist() for column in records.columns), strict=True):
                found, refused = rows_of(report or "")
                with_refused += refused
                for each in found:
                    for column, value in zip(columns, (record, subject, *each), strict=True):
                        column.append(value)
            table = pa.table([pa.array(column, pa.string()) for column in columns], schema=ENTITIES)
            entities += table.num_rows
            write_table(table, self.out / "entities" / part.name, repetitive=True)
        return {"entities": entities, "records_with_refused": with_refused} | figures

    def _rows(self, groups: dict[str, dict[str, str]], report: str) -> tuple[list[tuple[str, str, str, str]], bool]:
        """What a report states: statement, entity, certainty and cited words; whether a text of it was refused."""
        texts = self.texts_of(report)
        found = found_in(texts, self.readings)
        if self.config.merge != "off":
            names = {each.entity.name for each in found}
            found = merged(found, groups.get(merge_question(sorted(names)), {}))
        return [_row(each) for each in found], any(text in self.codes for text in texts)

    def _write_statements(self, count: Counter[str]) -> None:
        rows = [
            self._statement(text, number) for text, number in sorted(count.items(), key=lambda one: (-one[1], one[0]))
        ]
        refused = [row for row in rows if row["code"]] + self.unmerged
        for name, chosen in (("statements", rows), ("quarantine", refused)):
            draft = self.out / f".{name}"
            shutil.rmtree(draft, ignore_errors=True)
            write_tables(pa.Table.from_pylist(chosen, STATEMENTS), draft)
            shutil.rmtree(self.out / name, ignore_errors=True)
            draft.replace(self.out / name)

    def _statement(self, text: str, records: int) -> dict[str, Any]:
        reading = self.readings.get(text)
        row = {"statement": text, "records": records, "code": None if reading else self.codes.get(text)}
        if reading is None:
            return row | {"status": "refused", "entities": 0, "uncited": 0}
        return row | {"status": reading.status, "entities": len(reading.entities), "uncited": reading.uncited}


def _by_code(codes: Mapping[str, str]) -> dict[str, int]:
    return dict(sorted(Counter(codes.values()).items()))


def _unmerged(question: str, records: int, code: str) -> dict[str, Any]:
    """The row of quarantine for a list of names that the model could not merge; its reports keep them all."""
    names = question.split("\n")
    row = {"statement": ", ".join(names), "records": records, "entities": len(names), "uncited": 0, "code": code}
    return row | {"status": "unmerged"}


def _row(found: Found) -> tuple[str, str, str, str]:
    entity: Entity = found.entity
    return found.statement, entity.name, entity.certainty, entity.cited
