"""`ecgray generate PROMPT`: ECGs of what a clinical text says."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ecgray.client import Client, Generated, ModelInfo
from ecgray.commands.screen import coloured, plain, say, say_json, table
from ecgray.errors import ConfigError

if TYPE_CHECKING:
    from ecgray.sediff.prompts import Prompt

Format = Literal["wfdb", "npy", "svg"]
MOST_HERE = 1000
_TOGETHER = 32
_MEASURED = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtcf_ms")
_CALLED = {
    "no_known_term": "no finding that the generator knows is named",
    "negation": "a finding is denied",
    "finding_not_drawn": "a finding that this generator is known not to draw (the limits in its config.json)",
    "rate_not_followed": "a heart rate that this generator does not follow",
}


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Draw 10 s, 12-lead ECGs from clinical text. They are synthetic. Research use only, no medical device."""

    prompt: tyro.conf.Positional[str]
    """What they are to show, as "sinus bradycardia, left bundle branch block"."""
    age: float | None = None
    """Years; read from the text where it says them."""
    sex: Literal["F", "M"] | None = None
    """Read from the text where it says it."""
    heart_rate: float | None = None
    """Beats per minute; read from the text where it says them."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """ECGs."""
    steps: int | None = None
    """Of the sampler, 1 to 1,000; the model's own number by default."""
    seed: int | None = None
    """The same seed draws the same ECGs; drawn by default, and said."""
    guidance: float | None = None
    """1 follows the text, more exaggerates it; the model's own by default."""
    model: Path | None = None
    """A generator's folder; by default the small one that ships."""
    server: str | None = None
    """Ask a service instead, as http://127.0.0.1:8000; its token is taken from ECGRAY_TOKEN."""
    out: Path = Path("drawn")
    """The folder to write to."""
    format: Annotated[tuple[Format, ...], tyro.conf.UseAppendAction] = ()
    """wfdb, npy or svg, once for each; wfdb and svg by default."""
    json: bool = False
    """Print one JSON object: the files, what was asked and what was measured."""


def run(command: Generate) -> int:
    """Draw, write, and say what was measured in them."""
    from ecgray.sediff.prompts import Prompt

    if command.server is not None and command.model is not None:
        raise ConfigError("--model is a folder here, and --server has its own; give one of the two.")
    if not 1 <= command.n <= MOST_HERE:
        raise ConfigError(f"n={command.n} must lie between 1 and {MOST_HERE:,}; for more there is jobs/generate.py.")
    if command.seed is not None and not 0 <= command.seed < 2**53:
        raise ConfigError(f"seed={command.seed} must lie between 0 and 2**53 - 1.")
    _make(command.out)
    prompt = Prompt(text=command.prompt, age=command.age, sex=command.sex, heart_rate_bpm=command.heart_rate)
    with _Bar() as bar:
        found = _by_server(command, bar) if command.server else _here(command, prompt, bar)
    files = _written(command, prompt, found)
    if command.json:
        say_json(_as_json(found, files))
    else:
        _show(prompt, found, files)
    return 0


class _Bar:
    """A bar on stderr that appears with the first step."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self.step

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, done: int, of: int) -> None:
        """So many steps are done."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=of, desc="drawing", unit="step", file=sys.stderr, leave=False, disable=None)
        self._bar.update(done - self._bar.n)


def _by_server(command: Generate, progress: Callable[[int, int], None]) -> Generated:
    with Client(command.server or "", timeout_s=600) as client:
        return client.generate(
            command.prompt,
            age=command.age,
            sex=command.sex,
            heart_rate=command.heart_rate,
            n=command.n,
            steps=command.steps,
            seed=command.seed,
            guidance_scale=command.guidance,
            progress=progress,
        )


def _here(command: Generate, prompt: Prompt, progress: Callable[[int, int], None]) -> Generated:
    """What the service does, on a model folder."""
    import numpy as np

    from ecgray.commands.local import model_folder
    from ecgray.models.generator import EMBEDDED, load_generator
    from ecgray.models.loading import sampling_of
    from ecgray.sediff.prompts import flags, understood
    from ecgray.service.settings import NOTICE
    from ecgray.waveform.delineator.reader import WaveReader

    folder = EMBEDDED if command.model is None else model_folder(command.model)
    generator = load_generator(folder)
    sampling = sampling_of(generator.details, steps=command.steps, guidance_scale=command.guidance)
    generator.check_sampling(sampling)
    seed = secrets.randbelow(2**32) if command.seed is None else command.seed
    done, of = 0, sampling.steps * -(-command.n // _TOGETHER)

    def stepped() -> None:
        nonlocal done
        done += 1
        progress(min(done, of), of)

    counts = generator.generate(
        [prompt] * command.n, seed=seed, sampling=sampling, batch_size=_TOGETHER, progress=stepped
    )
    wanted = understood(prompt)
    measured = WaveReader.load().measure(counts.astype(np.float32) / 1000)
    return Generated(
        counts,
        seed,
        sampling.steps,
        sampling.sampler,
        sampling.guidance_scale,
        tuple(flags(prompt, generator.limits)),
        {"age": wanted.age, "sex": wanted.sex, "heart_rate_bpm": wanted.heart_rate_bpm},
        tuple({name: each.values[name] for name in _MEASURED} for each in measured),
        _stamp(folder, generator.fingerprint),
        "",
        NOTICE,
        {},
    )


def _stamp(folder: Path, fingerprint: str) -> ModelInfo:
    config = json.loads((folder / "config.json").read_bytes())
    return ModelInfo("generator", config["kind"], config["version"], fingerprint, config["preset"])


def _written(command: Generate, prompt: Prompt, found: Generated) -> list[list[Path]]:
    """The files of each ECG; an array of all stands with the first."""
    import numpy as np

    from ecgray.output import write_bytes
    from ecgray.waveform.paper import draw_paper

    formats: Sequence[str] = command.format or ("wfdb", "svg")
    name, out = f"{prompt.hash}", command.out
    try:
        files: list[list[Path]] = [[] for _ in found.counts]
        if "wfdb" in formats:
            for own, header in zip(files, found.save_wfdb(out, name=name), strict=True):
                own += [header, header.with_suffix(".dat")]
        if "svg" in formats:
            for index, (own, ecg) in enumerate(zip(files, found.counts, strict=True)):
                path = out / f"{name}-{found.seed}-{index}.svg"
                svg = draw_paper(ecg, title=command.prompt[:90], subtitle=_subtitle(found, index), synthetic=True)
                write_bytes(path, svg.encode())
                own.append(path)
        if "npy" in formats:
            path = out / f"{name}-{found.seed}.npy"
            np.save(path, found.counts, allow_pickle=False)
            files[0].append(path)
    except OSError as error:
        raise _not_written(out, error) from None
    return files


def _make(out: Path) -> None:
    """The folder, before anything is drawn."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(out, error) from None
    if not os.access(out, os.W_OK):
        raise ConfigError(f"{out} cannot be written; give an --out that is a folder of yours.")


def _not_written(out: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{out} cannot be written ({error.strerror}); give an --out that is a folder of yours.")


def _subtitle(found: Generated, index: int) -> str:
    asked, rate = found.asked, found.measured[index].get("heart_rate_bpm")
    words = [f"{asked['age']:.0f} years" if asked.get("age") is not None else "", asked.get("sex") or ""]
    words.append(f"{asked['heart_rate_bpm']:.0f} bpm asked" if asked.get("heart_rate_bpm") is not None else "")
    words.append(f"{rate:.0f} bpm measured" if rate is not None else "rate not measurable")
    return ", ".join(word for word in words if word)


def _as_json(found: Generated, files: Sequence[Sequence[Path]]) -> dict[str, Any]:
    """As the service answers, with files in place of the signals."""
    ecgs = [
        {"index": index, "files": [str(path) for path in own], "measured": measured}
        for index, (own, measured) in enumerate(zip(files, found.measured, strict=True))
    ]
    return {
        "model": vars(found.model),
        "synthetic": True,
        "seed": found.seed,
        "steps": found.steps,
        "sampler": found.sampler,
        "guidance_scale": found.guidance_scale,
        "flags": list(found.flags),
        "asked": found.asked,
        "ecgs": ecgs,
        "notice": found.notice,
    }


def _show(prompt: Prompt, found: Generated, files: Sequence[Sequence[Path]]) -> None:
    """What was asked against what was measured."""
    asked = found.asked.get("heart_rate_bpm")
    rows = [["file", "asked", "measured", "PR", "QRS", "QTcF"]]
    for own, measured in zip(files, found.measured, strict=True):
        rate = "-" if asked is None else f"{asked:.0f} bpm"
        values = [("heart_rate_bpm", "bpm"), ("pr_ms", "ms"), ("qrs_ms", "ms"), ("qtcf_ms", "ms")]
        rows.append([str(own[0]) if own else "-", rate, *(_value(measured.get(name), unit) for name, unit in values)])
    for line in table(rows):
        say(plain(line))
    for flag in found.flags:
        say(coloured(f"about the text: {_CALLED.get(flag, flag.replace('_', ' '))}", "yellow"))
    how = f"{found.steps} steps of {found.sampler}, guidance {found.guidance_scale:g}, seed {found.seed}"
    say(f"{found.model.kind} {found.model.version} ({found.model.sha256}): {how}.")
    say("SYNTHETIC: drawn by a generator, no recording of a person. Research use only; not a medical device.")


def _value(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.0f} {unit}"
