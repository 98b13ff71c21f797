"""The same distinct texts through one engine: called directly, by our actor on Ray Data, and by ray.data.llm.

$ python benchmarks/extract_engine.py --texts 1000                     # a small network of random weights
$ python benchmarks/extract_engine.py --texts 10000 --model FOLDER     # `embedded`, or a Hugging Face folder

Each way runs in a process of its own, on one CPU thread, one after the other. The engine's start does not count: rows
a second and CPU seconds are from when it stands. ray.data.llm does not say when, and hands over its first batch when
most are answered: it runs twice, on all texts and on a tenth of them, and the difference counts. Tokenising and
checking the answers is part of the first two ways and not of the third. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
WAYS = ("direct", "actor", "ray.data.llm")
BATCH = 64
HEDGES = ["", "possible ", "probable ", "cannot rule out ", "consider ", "borderline ", "no ", "marked ", "suspect "]
AFTER = ["", ", age undetermined", " in inferior leads", " in lateral leads", ", new since last tracing", " (v1-v3)"]


def statements(number: int) -> list[str]:
    """Distinct statements of the term library's names, with and without hedges, sites and ages, in mixed order."""
    import random

    from ecgray.text.terms import TERMS

    plain = [f"{hedge}{term}{after}" for term in TERMS for hedge in HEDGES for after in AFTER]
    random.Random(0).shuffle(plain)
    plain += [f"{one} and {other}" for one, other in itertools.pairwise(plain)]
    if len(plain) < number:
        raise SystemExit(f"there are {len(plain)} statements only")
    return plain[:number]


def settings(model: Path) -> Any:
    from ecgray.cluster.engine import EngineSettings

    return EngineSettings(model=model)


def direct(model: Path, texts: list[str]) -> dict[str, float]:
    """One call with all texts, answers checked; no Ray."""
    from ecgray.cluster.asking import Spent, ask
    from ecgray.cluster.engine import make_engine
    from ecgray.text.prompt import load_prompt

    engine = make_engine("vllm", settings(model))
    ask(texts[:BATCH], engine, load_prompt("extract"), Spent())  # compiles the schema
    up = time.time()
    rows = ask(texts, engine, load_prompt("extract"), Spent())
    return {"up": up, "end": time.time(), "rows": len(rows)}


def actor(model: Path, texts: list[str]) -> dict[str, float]:
    """The job's own way, cache files included."""
    from ecgray.cluster.asking import Asking
    from ecgray.cluster.llm import Pool, ask_all
    from ecgray.text.prompt import load_prompt

    with tempfile.TemporaryDirectory() as folder:
        asking = Asking(load_prompt("extract"), "model", Path(folder) / "cache", Path(folder) / "diaries", 900)
        pool = Pool(engine="vllm", settings=settings(model), replicas=1, cpus=1, part_rows=1024, start_timeout_s=600)
        began = time.time()
        asked = ask_all(texts, asking, pool)
    up = began + asked.start_s
    return {"up": up, "end": up + asked.ask_s, "rows": asked.texts}


def ray_data_llm(model: Path, texts: list[str]) -> dict[str, float]:
    """Ray's processor with the same engine arguments; it gets the tokens ready made."""
    from ecgray.cluster.connect import connected  # isort: skip  (it settles the environment that Ray reads)
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig
    from transformers import AutoTokenizer

    from ecgray.cluster.engine import frame, plain_tokens
    from ecgray.text.prompt import load_prompt

    prompt, tokenizer = load_prompt("extract"), AutoTokenizer.from_pretrained(model)
    before, after = frame(tokenizer, prompt)
    rows = [{"tokens": [*before, *tokens, *after]} for tokens in plain_tokens(tokenizer, texts)]
    sampling = {
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": prompt.sampling.max_tokens,
        "structured_outputs": {"json": json.dumps(prompt.schema)},
    }
    engine = {
        "dtype": "bfloat16",
        "max_num_seqs": 256,
        "kv_cache_memory_bytes": 256 << 20,
        "enable_prefix_caching": True,
        "enforce_eager": True,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    config = vLLMEngineProcessorConfig(
        model_source=str(model),
        engine_kwargs=engine,
        batch_size=BATCH,
        concurrency=(1, 1),
        max_concurrent_batches=8,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
        placement_group_config={"bundles": [{"CPU": 1}]},
        runtime_env={"env_vars": {name: os.environ[name] for name in ENVIRONMENT}},
    )
    process = build_processor(
        config,
        preprocess=lambda row: {"tokenized_prompt": row["tokens"], "sampling_params": sampling},
        postprocess=lambda row: {"answer": row["generated_text"]},
    )
    began = time.time()
    with connected():
        # small blocks, because one comes back when all of it is answered
        data = process(ray.data.from_items(rows, override_num_blocks=-(-len(rows) // BATCH)))
        counted = sum(len(batch["answer"]) for batch in data.iter_batches(batch_size=BATCH))
    return {"up": began, "end": time.time(), "rows": counted}


ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


class Meter(threading.Thread):
    """CPU seconds of a process and all below it, sampled."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.spent: dict[int, float] = {}
        self.line: list[tuple[float, float]] = []

    def run(self) -> None:
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            for one in self._tree():
                try:
                    times = one.cpu_times()
                except psutil.Error:
                    continue
                self.spent[one.pid] = times.user + times.system
            self.line.append((time.time(), sum(self.spent.values())))
            time.sleep(0.25)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.Error:
            return []

    def between(self, start: float, end: float) -> float:
        """CPU seconds from one time to another."""
        import numpy as np

        times, spent = zip(*self.line, strict=True)
        first, last = np.interp([start, end], times, spent)
        return float(last - first)


def measure(way: str, model: Path, number: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--way", way, "--model", str(model), "--texts", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        meter = Meter(process.pid)
        meter.start()
        said, wrong = process.communicate()
        meter.join()
    if process.returncode:
        return {"failed": wrong.strip().splitlines()[-1][:300]}
    found = json.loads(next(line for line in said.splitlines() if line.startswith('{"up"')))  # vLLM prints, too
    seconds = found["end"] - found["up"]
    cpu_s = meter.between(found["up"], found["end"])
    return {
        "rows_per_s": round(found["rows"] / seconds, 1),
        "cpu_s_per_1000": round(1000 * cpu_s / found["rows"], 2),
        "start_s": round(found["up"] - meter.line[0][0], 1),
        "whole_s": round(found["end"] - meter.line[0][0], 1),
        "rows": found["rows"],
        "seconds": seconds,
        "cpu_s": cpu_s,
    }


def measure_difference(way: str, model: Path, number: int) -> dict[str, Any]:
    """The rates between a tenth of the texts and all of them; the start is what the rates leave of the whole time."""
    tenth, whole = (measure(way, model, each) for each in (number // 10, number))
    if "failed" in tenth or "failed" in whole:
        return tenth | whole
    rows, seconds = (whole[name] - tenth[name] for name in ("rows", "seconds"))
    return {
        "rows_per_s": round(rows / seconds, 1),
        "cpu_s_per_1000": round(1000 * (whole["cpu_s"] - tenth["cpu_s"]) / rows, 2),
        "start_s": round(whole["whole_s"] - whole["rows"] * seconds / rows, 1),
        "whole_s": whole["whole_s"],
        "rows": whole["rows"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--model", default="", help="`embedded` or a Hugging Face folder; a random network by default")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    if options.way:
        run = dict(zip(WAYS, (direct, actor, ray_data_llm), strict=True))[options.way]
        print(json.dumps(run(Path(options.model), statements(options.texts))))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = _model(options.model, Path(folder))
        found: dict[str, Any] = {
            way: (measure_difference if way == "ray.data.llm" else measure)(way, model, options.texts)
            for way in options.ways
        }
    rates = {way: each.get("rows_per_s") for way, each in found.items()}
    if rates.get("direct"):
        found["share_of_direct"] = {way: round(rate / rates["direct"], 3) for way, rate in rates.items() if rate}
    found |= {"texts": options.texts, "model": options.model or "random", "cpus": os.cpu_count()}
    print(json.dumps(found))


def _model(name: str, folder: Path) -> Path:
    if name:
        from ecgray.text.model_folder import model_folder

        return model_folder(name)
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_llama import tiny_llama

    return tiny_llama(folder / "model", context=1024)


if __name__ == "__main__":
    main()
