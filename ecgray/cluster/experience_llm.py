"""Who writes the experience reports: templates alone, or a language model with the templates behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ecgray.artifact import check_sums
from ecgray.cluster.asking import Asking
from ecgray.cluster.cache import Known, look_up
from ecgray.cluster.engine import EngineSettings, answers_hash, engine_class
from ecgray.cluster.llm import Asked, Pool, ask_all
from ecgray.parquet import read_columns, write_table
from ecgray.tables import EXPERIENCE, RECORDS
from ecgray.text.entities import AnswerError
from ecgray.text.experience import case_of, question, read_report
from ecgray.text.model_folder import model_folder, model_hash
from ecgray.text.prompt import load_prompt, prompt_path

if TYPE_CHECKING:
    from ecgray.recipes.retrieve import RetrieveConfig

TOLD = [RECORDS.field(name) for name in ("record_id", "subject_id", "split", "report", "age", "sex", "rr_ms")]
"""What a row of experience is made from, beside its links."""
_DIARIES = ".asking"


class Templates:
    """The workers' templates stand."""

    def inputs(self) -> dict[str, Path | str]:
        """What the answers depend on beside records and hospital."""
        return {}

    def write(self, parts: Iterable[Path], table: Path, out: Path) -> dict[str, Any]:
        """Leave the table as it is."""
        return {}


class LanguageModel(Templates):
    """What the model answers takes the template's place where it passes the checks."""

    def __init__(self, config: RetrieveConfig) -> None:
        self.config = config
        self.model = model_folder(config.llm)
        check_sums(self.model)
        if config.engine != "vllm":
            engine_class(config.engine)
        self.prompt = load_prompt("experience", max_tokens=config.max_tokens)
        self.hash = answers_hash(self.model, config.engine)

    def inputs(self) -> dict[str, Path | str]:
        """See `Templates`."""
        return {"llm": model_hash(self.model), "prompt": prompt_path("experience")}

    def write(self, parts: Iterable[Path], table: Path, out: Path) -> dict[str, Any]:
        """Have each distinct question answered once, then write each file of the table anew; returns figures."""
        files = [(part, table / part.name) for part in parts]
        questions = dict.fromkeys(each for part, file in files for each in _questions(part, file) if each)
        known, asked = self._answers(list(questions), out)
        refused: Counter[str] = Counter()
        for part, file in files:
            refused.update(_write(part, file, known))
        return {
            "questions": len(questions),
            "asked": asked.calls,
            "refused_by_code": dict(sorted(refused.items())),
            "tokens_in": asked.tokens_in,
            "tokens_out": asked.tokens_out,
        }

    def _answers(self, questions: list[str], out: Path) -> tuple[Known, Asked]:
        cache, wanted = (self.config.cache or out / "cache").absolute(), set(questions)
        known = look_up(cache, wanted, self.prompt.hash, self.hash)
        missing = [each for each in questions if each not in known.answers]
        if not missing:
            return known, Asked()
        asking = Asking(self.prompt, self.hash, cache, out / _DIARIES, self.config.timeout_s)
        asked = ask_all(missing, asking, self._pool())
        return look_up(cache, wanted, self.prompt.hash, self.hash), asked

    def _pool(self) -> Pool:
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
        return Pool(
            engine=config.engine,
            settings=settings,
            replicas=config.replicas,
            cpus=config.cpus_per_replica,
            part_rows=config.part_rows,
            start_timeout_s=config.start_timeout_s,
        )


def experience_writer(config: RetrieveConfig) -> Templates:
    """Who writes by these settings; raises `ConfigError` or `ArtifactError` where the model cannot be used."""
    return Templates() if config.llm == "none" else LanguageModel(config)


def _questions(part: Path, file: Path) -> list[str | None]:
    """What is asked about each record of a file; None where nothing was retrieved."""
    retrieved = read_columns(file, [EXPERIENCE.field("retrieved")])["retrieved"].to_pylist()
    records = read_columns(part, TOLD).to_pylist()
    return [
        question(case_of(record, found)) if found else None for record, found in zip(records, retrieved, strict=True)
    ]


def _write(part: Path, file: Path, known: Known) -> Counter[str]:
    """Put the answers into a file of the table; returns how often each code kept a template."""
    rows = read_columns(file, list(EXPERIENCE)).to_pylist()
    refused: Counter[str] = Counter()
    for row, asked in zip(rows, _questions(part, file), strict=True):
        if asked is None:
            continue
        try:
            answer = known.answers[asked]
            row |= {"experience": read_report(asked, answer), "writer": "llm", "code": None}
        except (KeyError, AnswerError) as error:
            row["code"] = error.code if isinstance(error, AnswerError) else known.codes.get(asked, "engine_failed")
            refused[row["code"]] += 1
    write_table(pa.Table.from_pylist(rows, EXPERIENCE), file)
    return refused
