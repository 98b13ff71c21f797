"""How long an ECG takes: seconds by batch size, sampler and steps, beside the paper's Table 5.

$ python benchmarks/sampling.py                                          # on a CPU: CPU seconds of one thread
$ python benchmarks/sampling.py --device cuda --size full --bf16 --compile --batches 32 128 256 1024 4096

Weights are random: they do not change the time. Few evaluations of the denoiser are timed, and a long run is reckoned
from them (each evaluation costs the same). The yardstick in the same run is the plain way to sample: condition, keys
and values computed anew at each step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from ecgray.models import Generator, Prompt
from ecgray.sediff.condition import Condition
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES
from ecgray.sediff.noise import gaussian, stream_keys
from ecgray.sediff.sampling import make_scheduler, sample
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.vae import Vae, parameter_count
from ecgray.text.encoders import load_text_encoder

PAPER = {32: 0.425, 128: 0.105, 256: 0.050, 512: 0.0295, 1024: 0.0245, 2048: 0.0220, 4096: 0.0205}
"""Seconds per ECG at 1,000 steps on an H200 (Table 5)."""
TIMED_STEPS = 8
PROMPT = Prompt(text="sinus rhythm, left bundle branch block", age=70, sex="F", heart_rate_bpm=72)


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="laptop", choices=sorted(SIZES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = _generator(options.size, options.device)
    if options.compile:
        generator.diffusion.denoiser.compile(mode="reduce-overhead")
    clock = _clock(options.device)
    count = parameter_count(generator.diffusion), parameter_count(generator.vae)
    print(
        f"{options.size}: {count[0]:,} weights in the denoiser, {count[1]:,} in the autoencoder; {options.device}",
        end="",
    )
    print(f", {'bfloat16' if options.bf16 else 'float32'}{', compiled' if options.compile else ''}\n")
    heads = ("batch", "evaluation, ms an ECG", "plain way, ms", "decoding, ms", "25 steps, s", "25, guided", "1000, s")
    print(f"| {' | '.join(heads)} | paper, s |\n{'|---' * (len(heads) + 1)}|")
    for batch in options.batches:
        cells = " | ".join(f"{cell:.4g}" for cell in _row(generator, batch, options, clock))
        print(f"| {batch} | {cells} | {PAPER.get(batch, '')} |", flush=True)


def _row(generator: Generator, batch: int, options: argparse.Namespace, clock: Callable[[], float]) -> list[float]:
    """The figures of one batch size."""
    condition = generator.condition([PROMPT] * batch)
    keys = stream_keys(0, torch.arange(batch, device=options.device))

    def drawn(guidance_scale: float) -> torch.Tensor:
        sampling = SamplingConfig(sampler="dpm++", steps=TIMED_STEPS, guidance_scale=guidance_scale)
        return sample(generator.diffusion, condition, keys, sampling, bf16=options.bf16)

    def seconds(work: Callable[[], object]) -> float:
        return _best(work, clock, options.repeats) / batch

    latents = drawn(1.0)
    one, two = (seconds(lambda scale=scale: drawn(scale)) / TIMED_STEPS for scale in (1.0, 1.5))
    naive = seconds(lambda: _plainly(generator, condition, keys, options.bf16)) / TIMED_STEPS
    decoding = seconds(lambda: generator.vae.decode(latents))
    return [
        1000 * one,
        1000 * naive,
        1000 * decoding,
        25 * one + decoding,
        25 * two + decoding,
        1000 * one + decoding,
    ]


def _generator(size: str, device: str) -> Generator:
    torch.manual_seed(0)
    vae, diffusion = Vae(VAE_SIZES[size]), Diffusion(SIZES[size])
    return Generator(vae.to(device).eval(), diffusion.to(device).eval(), load_text_encoder("lexical"))


def _clock(device: str) -> Callable[[], float]:
    def wall() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return time.process_time if device == "cpu" else wall


@torch.inference_mode()
def _best(work: Callable[[], object], clock: Callable[[], float], repeats: int) -> float:
    """The least of some runs, after one that does not count."""
    work()
    took = []
    for _ in range(repeats):
        start = clock()
        work()
        took.append(clock() - start)
    return min(took)


@torch.inference_mode()
def _plainly(generator: Generator, condition: Condition, keys: torch.Tensor, bf16: bool) -> torch.Tensor:
    """The same reverse process as a textbook writes it."""
    diffusion, sampling = generator.diffusion, SamplingConfig(sampler="dpm++", steps=TIMED_STEPS)
    scheduler = make_scheduler(diffusion.config.schedule, sampling)
    latent = gaussian(keys, 0, (diffusion.latent_channels, 128))
    for step in scheduler.timesteps:
        with torch.autocast(keys.device.type, dtype=torch.bfloat16, enabled=bf16):
            said = diffusion(latent, step.expand(len(latent)).to(keys.device), condition)
        latent = scheduler.step(said, step, latent, return_dict=False)[0]
    return latent


if __name__ == "__main__":
    main()
