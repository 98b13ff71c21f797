"""SE-Diff beside four other generators: same records, same patients, same steps, one table.

$ python benchmarks/real_heart.py --data DIR --out runs/real_heart --drawn runs/drawn --only vae --inputs native
$ python benchmarks/real_generators.py --heart runs/real_heart --labels OUT [OUT ...] --scorer OUT --steps 8000

`--heart` gives the records that are learnt from (drawn and real patients), their intervals and the autoencoder;
`--labels` are the label jobs of these records. Each generator makes as many steps of 64 records. A step costs
differently: what each training took stands in a second table, in CPU seconds, the peer's autoencoder apart. Then each
draws an ECG for the terms, age, sex and heart rate of every held-out patient. DiffuSETS has an autoencoder of its own,
without a beat decoder (`--peer-vae-steps 0`: ours). Every step is one job, called as a user calls it; a second run goes
on where the first one stopped. Prints each command, then the tables.
"""

from __future__ import annotations

import argparse
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from one_job import run_job
from safetensors import safe_open

from ecgray.parquet import parquet_files, table_folder

NAMES = ("SE-Diff", "DiffuSETS", "BeatDiff", "SSSD", "WGAN")
PEER_VAE = ("--preset", "peer", "--model.loss.beat-weight", "0", "--model.loss.alpha-spec", "0")
"""DiffuSETS' autoencoder: the peer's, and nothing that teaches a beat decoder."""


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heart", type=Path, required=True, help="OUT of real_heart.py with --drawn")
    parser.add_argument("--labels", type=Path, nargs="+", required=True, help="OUT of label jobs, or labels tables")
    parser.add_argument("--scorer", type=Path, required=True, help="OUT of a train_scorer job")
    parser.add_argument("--latents", type=Path, help="OUT of an encode job; made here by default")
    parser.add_argument("--experience", type=Path, help="OUT of a retrieve job; without it SE-Diff reads no reports")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--peer-vae-steps", type=int, default=4000)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, default=Path("runs/generators"))
    options = parser.parse_args()
    out, heart = options.out.absolute(), options.heart.absolute()
    shared = {
        "records": heart / "together-drawn" / "records",
        "intervals": heart / "together-drawn-intervals",
        "labels": _together(options.labels, out / "labels"),
    }
    for name in options.only:
        _train(name, options, shared)
        told = {"experience": options.experience.absolute()} if name == "SE-Diff" and options.experience else {}
        run_job(
            "generate",
            *("--wordings", "terms", "--splits", "val", "test", "--wfdb", "False"),
            like=shared["records"],
            labels=shared["labels"],
            intervals=shared["intervals"],
            model=out / "models" / name,
            out=out / "generated" / name,
            **told,
        )
    scored = out / "-".join(["evaluation", *(name for name in options.only if options.only != list(NAMES))])
    run_job(
        "evaluate",
        *("--generated", *(str(out / "generated" / name) for name in options.only)),
        *("--names", *options.only),
        scorer=options.scorer.absolute(),
        vae=heart / "vae-native-drawn",
        out=scored,
        **shared,
    )
    print((scored / "results.md").read_text())
    print("| | steps | numbers in its folder | training, CPU s |\n" + "|---" * 4 + "|")
    for name in [*options.only, *(each.name for each in sorted((out / "models").glob("*-vae")))]:
        model = out / "models" / name
        cost = json.loads((model / "cpu_seconds.json").read_text())
        steps = json.loads((model / "figures.json").read_text())["steps"]
        print(f"| {name} | {steps:,} | {_parameters(model / 'model' / 'model.safetensors'):,} | {cost:,.0f} |")


def _train(name: str, options: argparse.Namespace, shared: dict[str, Path]) -> None:
    """One generator, and the CPU seconds of its training beside it."""
    heart, out = options.heart.absolute(), options.out.absolute()
    model = out / "models" / name
    words = ("--wordings", "both", "--steps", str(options.steps))
    if name in ("BeatDiff", "SSSD", "WGAN"):
        with costed(model):
            run_job("train_baseline", "--kind", name.lower(), *words, out=model, **shared)
        return
    vae, latents = heart / "vae-native-drawn", options.latents and options.latents.absolute()
    if name == "DiffuSETS":
        words = (*words, "--preset", "peer")
        if options.peer_vae_steps:
            vae, latents = out / "models" / "DiffuSETS-vae", None
            steps = ("--steps", str(options.peer_vae_steps))
            with costed(vae):
                run_job(
                    "train_vae", *PEER_VAE, *steps, records=shared["records"], intervals=shared["intervals"], out=vae
                )
    elif options.experience:
        shared = shared | {"experience": options.experience.absolute()}
    if latents is None:
        latents = out / f"latents-{vae.name}"
        run_job("encode", records=shared["records"], vae=vae, out=latents)
    with costed(model):
        run_job("train_diffusion", *words, vae=vae, latents=latents, out=model, **shared)


def _together(labels: list[Path], out: Path) -> Path:
    """The labels tables of several jobs as one folder, by hard links."""
    if len(labels) == 1:
        return labels[0].absolute()
    out.mkdir(parents=True, exist_ok=True)
    for source in labels:
        for part in parquet_files(table_folder(source, "labels")):
            if not (link := out / f"{source.name}-{part.name}").exists():
                link.hardlink_to(part)
    return out


def _parameters(path: Path) -> int:
    """Numbers in a file of weights: with the latents' autoencoder, or the GAN's critic."""
    with safe_open(path, "pt") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


@contextmanager
def costed(folder: Path) -> Iterator[None]:
    """Add what all processes below this one spend meanwhile to FOLDER/cpu_seconds.json, unless the job was done before.

    Ray's workers are no children that the job waits for, so that `getrusage` never hears of them: their clocks are read
    every second.
    """
    if (folder / "figures.json").exists():
        yield
        return
    spent: dict[tuple[int, float], float] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    times = child.cpu_times()
                    spent[child.pid, child.create_time()] = times.user + times.system

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        note = folder / "cpu_seconds.json"
        before = json.loads(note.read_text()) if note.exists() else 0.0
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(round(before + sum(spent.values()), 1)))


if __name__ == "__main__":
    main()
