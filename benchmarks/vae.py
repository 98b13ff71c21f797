"""The autoencoder's training step and encoding beside a bare pass of the network; what jobs/encode.py takes in memory.

$ python benchmarks/vae.py                     # laptop size, one core; jobs of up to 10,000 records, 1.2 GB of disk
$ python benchmarks/vae.py --records 0         # the network alone
$ python benchmarks/vae.py --records 0 --gpu   # the full size on a GPU, too

Records are noise with twelve R peaks: the content costs nothing. Training: what a worker does with counts that it has
read (millivolt, beats cut out, forward, losses, backward, clipping, AdamW, moving average) beside forward and backward
of the network alone. Encoding: from counts to latents in memory beside the encoder alone. The ways of a row take turns,
and the best round of each counts, so that what else the machine does falls on all alike.

Memory is that of jobs/encode.py and all that it starts (each page once: USS), sampled five times a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: a figure for one core

import loader  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from extract_archive import watch  # noqa: E402
from simulator import machine  # noqa: E402

from ecgray.recipes.train_vae import TRAIN_VAE  # noqa: E402
from ecgray.sediff.beats import batch_beats  # noqa: E402
from ecgray.sediff.config import SIZES, Input, VaeConfig  # noqa: E402
from ecgray.sediff.folder import save_vae  # noqa: E402
from ecgray.sediff.input import to_grid, to_network  # noqa: E402
from ecgray.sediff.step import Batch, Ema, make_optimizer, make_schedule, train_step  # noqa: E402
from ecgray.sediff.vae import Vae  # noqa: E402
from ecgray.tables import COUNTS_PER_MV  # noqa: E402

JOB = Path(__file__).parents[1] / "jobs" / "encode.py"
RECIPE = TRAIN_VAE["laptop"]
PEAKS = np.arange(150, 4800, 400)
"""Samples of the R peaks, twelve a record."""
INPUTS: tuple[Input, ...] = ("resampled", "native")


@dataclasses.dataclass(frozen=True)
class Case:
    """One network on one device, in one precision."""

    size: str
    input: Input
    bf16: bool
    batch: int
    device: str = "cpu"

    @property
    def config(self) -> VaeConfig:
        return dataclasses.replace(SIZES[self.size], input=self.input)

    def __str__(self) -> str:
        return f"{self.size}, {self.input}, {'bf16' if self.bf16 else 'float32'}, {self.batch} a batch"

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16)

    def counts(self) -> np.ndarray:
        """Recordings as they are stored."""
        return np.random.default_rng(0).integers(-2000, 2000, (self.batch, 12, 5000), np.int16)

    def network(self) -> Vae:
        torch.manual_seed(0)
        return Vae(self.config).to(self.device)


def millivolt(counts: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(counts.astype(np.float32) / COUNTS_PER_MV)


def bare_training(case: Case) -> Callable[[], object]:
    """Forward and backward of the network: no losses, no beats, no optimiser, no average."""
    model, grid = case.network(), to_grid(millivolt(case.counts()).to(case.device), case.config)

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with case.autocast():
            output = model(grid)
        (output.ecg.sum() + output.beat.sum() + output.mean.sum() + output.logvar.sum()).backward()

    return work


def training(case: Case, *, beats: bool = True) -> Callable[[], object]:
    """A worker's step on counts; without `beats` those are cut out beforehand, as the millivolts are."""
    model, counts = case.network(), case.counts()
    ema, optimizer = Ema(model, RECIPE.optimizer.ema), make_optimizer(model, RECIPE.optimizer)
    schedule = make_schedule(optimizer, RECIPE.optimizer)

    def cut() -> Batch:
        ecg = millivolt(counts)
        found = batch_beats(ecg.numpy(), [PEAKS] * case.batch, most=RECIPE.beats_per_record)
        return Batch(ecg.to(case.device), found.to(torch.device(case.device)))

    before = None if beats else cut()

    def work() -> None:
        train_step(
            model,
            before or cut(),
            config=case.config,
            optimizer=optimizer,
            schedule=schedule,
            clip_norm=RECIPE.optimizer.clip_norm,
            ema=ema,
            bf16=case.bf16,
        )

    return work


def bare_encoding(case: Case) -> Callable[[], object]:
    """The encoder alone, on what it sees."""
    model = case.network().eval()
    seen = to_network(to_grid(millivolt(case.counts()).to(case.device), case.config), case.config)

    @torch.inference_mode()
    def work() -> None:
        with case.autocast():
            model.encoder(seen)

    return work


def encoding(case: Case) -> Callable[[], object]:
    """From counts to latents, as jobs/encode.py has it; that one computes in float32."""
    model, counts = case.network().eval(), case.counts()

    @torch.inference_mode()
    def work() -> None:
        with case.autocast():
            model.encode(millivolt(counts).to(case.device)).float().cpu().numpy()

    return work


def compare(case: Case, ways: dict[str, Callable[[], object]], *, rounds: int, seconds: float) -> dict[str, float]:
    """Records per CPU second (on a GPU per second) of each way: the best of rounds taken in turn."""
    clock = time.process_time if case.device == "cpu" else time.perf_counter

    def once(work: Callable[[], object]) -> float:
        start, done = clock(), 0
        while clock() - start < seconds:
            work()
            if case.device == "cuda":
                torch.cuda.synchronize()
            done += case.batch
        return done / (clock() - start)

    for work in ways.values():
        work()
    found = [{name: once(work) for name, work in ways.items()} for _ in range(rounds)]
    return {name: max(one[name] for one in found) for name in ways}


def rows_of(case: Case, *, rounds: int, seconds: float) -> Iterator[str]:
    """Two rows of the table: training and encoding."""
    step = {"bare": bare_training(case), "whole": training(case), "beats cut": training(case, beats=False)}
    encode = {"bare": bare_encoding(case), "whole": encoding(case)}
    for name, ways in (("training", step), ("encoding", encode)):
        if case.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        rate = compare(case, ways, rounds=rounds, seconds=seconds)
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if case.device == "cuda" else ""
        cut = f"{rate['beats cut']:,.0f}" if "beats cut" in rate else ""
        share = rate["bare"] / rate["whole"]
        yield f"| {name} | {case} | {rate['whole']:,.0f} | {cut} | {rate['bare']:,.0f} | {share:.2f} | {memory} |"


def encode_job(folder: Path, records: int) -> dict[str, Any]:
    """jobs/encode.py on so many drawn records, in processes of its own: rate, CPU seconds, largest memory."""
    loader.draw(folder, records)
    save_vae(folder / "vae", Vae(SIZES["laptop"]), card="# Untrained\n", details={})
    command = [sys.executable, str(JOB), "laptop", "--records", str(folder / "records")]
    command += ["--vae", str(folder / "vae"), "--out", str(folder / "out")]
    told = folder / "stderr"
    with (
        told.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        most, cpu = watch(process.pid, process)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"jobs/encode.py ended with {process.returncode}\n{told.read_text()[-2000:]}")
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures | {"cpu_s": cpu, "most_mb": most}


def as_job(records: int) -> list[str]:
    """Encoding a tenth of the records, half of them, and all: does memory grow?

    The tenth may be done before the second worker is up, with one worker's memory less; of the half both have a share.
    """
    found = []
    for number in (records // 10, records // 2, records):
        with tempfile.TemporaryDirectory() as folder:
            found.append(encode_job(Path(folder), number))
    tenth, half, whole = found
    lines = ["| records | CPU s, Ray's start included | records/s of the clock | most memory, MB |", "|---" * 4 + "|"]
    lines += [
        f"| {one['records']:,} | {one['cpu_s']:.1f} | {one['records_per_s']:,.0f} | {one['most_mb']:,.0f} |"
        for one in found
    ]
    more = (whole["records"] - tenth["records"]) / (whole["cpu_s"] - tenth["cpu_s"])
    ratios = [whole["most_mb"] / one["most_mb"] for one in (tenth, half)]
    return [
        *lines,
        "",
        f"Memory: {ratios[0]:.2f} times that of ten times fewer records, {ratios[1]:.2f} times that of half of them. "
        f"What the last run has more than the first costs a CPU second for {more:,.0f} records, in all processes.",
    ]


def cases(*, gpu: bool) -> Iterator[Case]:
    for input_ in INPUTS:
        for bf16 in (False, True):
            yield Case("laptop", input_, bf16, RECIPE.batch_size)
    if gpu and torch.cuda.is_available():
        for input_ in INPUTS:
            yield Case("full", input_, bf16=True, batch=512, device="cuda")
    elif gpu:
        print("no CUDA here: the GPU's rows are left out", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000, help="to be encoded by the job; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--gpu", action="store_true", help="measure the full size on a GPU, too")
    parser.add_argument("--out", type=Path, help="write the tables there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Autoencoder: records per CPU second of one thread; on a GPU per second", ""]
    lines += [f"{machine()}; load {os.getloadavg()[0]:.0f}.", ""]
    header = "| what | network | records/s | beats cut beforehand | network alone | times its cost | memory, GB |"
    lines += [header, "|---" * 7 + "|"]
    for case in cases(gpu=options.gpu):
        lines += rows_of(case, rounds=options.rounds, seconds=options.seconds)
    lines += ["", *as_job(options.records)] if options.records else []
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
