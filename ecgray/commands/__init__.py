"""The command line: `ecgray doctor`, `ecgray classify`, `ecgray generate`, `ecgray plot`.

$ ecgray classify recording.hea -q "atrial fibrillation" -q "left bundle branch block"
$ ecgray generate "sinus bradycardia, 74-year-old man" --heart-rate 45 -n 4 --out drawn
$ ecgray plot recording.hea -o recording.svg
$ ecgray doctor

Exit status: 0 done; 1 failed; 2 wrong usage or bad input, with one sentence; 130 Ctrl-C. What was asked for goes to
stdout, progress to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from ecgray.commands import classify, doctor, generate, plot
from ecgray.recipes.command import in_a_sentence

__all__ = ["main"]

_SUMMARY = "Read ECGs and write them: zero-shot classification and text-to-ECG. Research use only, no medical device."


def main(args: Sequence[str] | None = None) -> None:
    """Run one command; raises `SystemExit` with its status."""
    try:
        with in_a_sentence("interrupted."):
            status = _run(args)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    raise SystemExit(status)


def _run(args: Sequence[str] | None) -> int:
    command = tyro.cli(
        Annotated[classify.Classify, tyro.conf.subcommand("classify")]
        | Annotated[generate.Generate, tyro.conf.subcommand("generate")]
        | Annotated[plot.Plot, tyro.conf.subcommand("plot")]
        | Annotated[doctor.Doctor, tyro.conf.subcommand("doctor")],
        prog="ecgray",
        description=_SUMMARY,
        args=args,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
    )
    match command:
        case classify.Classify():
            return classify.run(command)
        case generate.Generate():
            return generate.run(command)
        case plot.Plot():
            return plot.run(command)
        case _:
            return doctor.run(command)
