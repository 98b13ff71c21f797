"""Records per second of one training step (forward, backward, clipping, AdamW), as jobs/pretrain.py takes it.

$ python benchmarks/training_step.py             # the laptop recipe on one CPU core; the paper recipe too where CUDA is
$ python benchmarks/training_step.py --seconds 1   # a look

On a CPU the figure is records per CPU second of one thread, so that a busy machine does not change it much; on a GPU
records per second, with the memory it took. Batches lie on the device already: benchmarks/loader.py measures reading.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
from collections.abc import Iterator

import torch

from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig
from ecgray.supreme.config import EncoderConfig
from ecgray.supreme.model import Supreme
from ecgray.supreme.step import Batch, make_optimizer, make_schedule, train_step

WARM_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each case, after the warm-up")
    parser.add_argument("--terms", type=int, default=40, help="queries a record; in recipe paper always 295")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| recipe | encoder | precision | torch.compile | records/s | memory, GB |\n|---|---|---|---|---|---|")
    for name, encoder, bf16, compiled, device in cases():
        recipe = PRETRAIN[name]
        config = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, encoder=encoder), bf16=bf16)
        terms = 295 if name == "paper" else options.terms
        records = config.batch_size // max(config.workers, 1)
        try:
            rate = measure(config, records, terms=terms, seconds=options.seconds, compiled=compiled, device=device)
            said = f"{rate:,.0f}"
        except Exception as error:  # a compiler that is not there, memory that is not: the row says so
            said = f"failed: {type(error).__name__}"
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if device == "cuda" else ""
        print(
            f"| {name}, {records} a step | {shape(encoder)} | {'bf16' if bf16 else 'fp32'} | "
            f"{'on' if compiled else 'off'} | {said} | {memory} |",
            flush=True,
        )


def cases() -> Iterator[tuple[str, EncoderConfig, bool, bool, str]]:
    """Recipe, encoder, bf16, torch.compile, device."""
    laptop = PRETRAIN["laptop"].model.encoder
    for tokens in ("flat", "lead"):
        for bf16 in (False, True):
            for compiled in (False, True):
                yield "laptop", dataclasses.replace(laptop, tokens=tokens), bf16, compiled, "cpu"
    if torch.cuda.is_available():
        paper = PRETRAIN["paper"].model.encoder
        for tokens in ("lead", "flat"):
            for compiled in (False, True):
                yield "paper", dataclasses.replace(paper, tokens=tokens), True, compiled, "cuda"


def shape(encoder: EncoderConfig) -> str:
    return f"{encoder.tokens} tokens ({encoder.token_count}), {encoder.width}/{encoder.depth}/{encoder.heads}"


def measure(config: PretrainConfig, records: int, *, terms: int, seconds: float, compiled: bool, device: str) -> float:
    """Records per second; on a CPU per CPU second."""
    torch.manual_seed(0)
    model = Supreme(config.model).to(device)
    optimizer = make_optimizer(model, config.optimizer)
    schedule = make_schedule(optimizer, config.optimizer)
    batch = Batch(
        torch.randn(records, 12, 5000, device=device),
        torch.randn(terms, config.model.text_width, device=device),
        (torch.rand(records, terms, device=device) < 0.1).float(),
    )
    stepped = torch.compile(model) if compiled else model

    def run(count: int) -> None:
        for _ in range(count):
            train_step(
                stepped,
                batch,
                optimizer=optimizer,
                schedule=schedule,
                loss=config.loss,
                clip_norm=config.optimizer.clip_norm,
                bf16=config.bf16,
            )
        if device == "cuda":
            torch.cuda.synchronize()

    clock = time.perf_counter if device == "cuda" else time.process_time
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.compile remarks on its own internals
        run(WARM_STEPS)
    begin, steps = clock(), 0
    while clock() - begin < seconds:
        run(WARM_STEPS)
        steps += WARM_STEPS
    return records * steps / (clock() - begin)


if __name__ == "__main__":
    main()
