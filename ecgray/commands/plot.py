"""`ecgray plot FILE`: a recording on standard paper."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ecgray.commands.classify import done, quality
from ecgray.commands.local import Reading, record_path, take
from ecgray.commands.screen import say, say_json
from ecgray.errors import ConfigError

_PNG_S = 60
_PNG_WIDTH = "2000"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw a recording on paper, in real millimetres: WFDB (.hea), zip, npy, csv or edf."""

    file: tyro.conf.Positional[Path]
    """The recording."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where to: .svg, or .png where rsvg-convert is installed; by default the recording's name, here."""
    layout: Literal["3x4+1", "6x2", "12x1"] = "3x4+1"
    """Columns of 2.5 s and a rhythm strip, columns of 5 s, or ten seconds of each lead."""
    speed: Literal[25, 50] = 25
    """mm/s."""
    gain: Literal[5, 10, 20] = 10
    """mm/mV."""
    title: str | None = None
    """Above the paper; the recording's name by default."""
    reading: Reading = Reading()
    json: bool = False
    """Print one JSON object: the file, the quality, what was done to the recording."""


def run(command: Plot) -> int:
    """Draw, and say where it is."""
    record = record_path(command.file)
    name = command.file.stem if record is None else record.name
    output = Path(f"{name}.svg") if command.output is None else command.output
    if output.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(f"{output} is neither an .svg nor a .png; name one of the two, as -o ecg.svg.")
    if output.suffix.lower() == ".png" and shutil.which("rsvg-convert") is None:
        raise ConfigError("a .png needs rsvg-convert, which is not installed; write .svg, or install librsvg2-bin.")
    from ecgray.output import write_bytes
    from ecgray.waveform.paper import draw_paper

    taken = take(command.file, command.reading)
    svg = draw_paper(
        taken.counts,
        title=name if command.title is None else command.title,
        subtitle="; ".join(taken.quality["flags"])[:110],
        layout=command.layout,
        speed_mm_s=command.speed,
        gain_mm_mv=command.gain,
    ).encode()
    content = svg if output.suffix.lower() == ".svg" else _png(svg)
    try:
        write_bytes(output, content)
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
        raise ConfigError(f"{output} cannot be written ({error.strerror}); give an -o in a folder of yours.") from None
    if command.json:
        say_json({"output": str(output), **taken.described()})
    else:
        say(f"{output}: {done(taken.input)}")
        say(f"quality: {quality(taken.quality)}")
    return 0


def _png(svg: bytes) -> bytes:
    """The picture in points, by librsvg."""
    convert = ["rsvg-convert", "--format", "png", "--width", _PNG_WIDTH, "--keep-aspect-ratio"]
    try:
        made = subprocess.run(convert, input=svg, capture_output=True, check=True, timeout=_PNG_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f"rsvg-convert did not draw the picture ({type(error).__name__}); write .svg instead."
        ) from None
    return made.stdout
