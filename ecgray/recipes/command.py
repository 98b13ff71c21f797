"""What every job does around its stage: read the recipe and its overrides, answer in one line, fail in one sentence."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import tyro

from ecgray.errors import EcgrayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Settings = TypeVar("Settings")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def run_job(
    meaning: str,
    recipes: Mapping[str, Settings],
    stage: Callable[[Settings], dict[str, Any]],
    *,
    args: Sequence[str] | None = None,
) -> None:
    """Run `python jobs/NAME.py RECIPE [--field value ...]`.

    The last line of stdout is one JSON object, the figures that `stage` returns. Exit status: 0 done, 1 failed,
    2 wrong usage or bad input, with one sentence on stderr.
    """
    with in_a_sentence("interrupted; the same command goes on where this one stopped."):
        settings = choose(meaning, recipes, args)
        figures = stage(settings)
    print(json.dumps(figures, allow_nan=False), flush=True)


@contextlib.contextmanager
def in_a_sentence(interrupted: str) -> Iterator[None]:
    """One sentence on stderr for what a user can put right, and its exit status; `interrupted` is the one of Ctrl-C."""
    try:
        yield
    except EcgrayError as error:
        name, code = type(error).__name__, getattr(error, "code", "")
        print(f"{name}{f' {code}' if code not in ('', name.lower()) else ''}: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        raise SystemExit(130) from None
    except OSError as error:
        if error.errno not in _DISK:
            raise
        place = error.filename or "the output folder"
        remedy = "make room, or give an --out that can be written, and run the same command again."
        print(f"{type(error).__name__}: {place}: {os.strerror(error.errno)}; {remedy}", file=sys.stderr)
        raise SystemExit(1) from None


def choose(meaning: str, recipes: Mapping[str, Settings], args: Sequence[str] | None = None) -> Settings:
    """The settings of the recipe that the command line names, with its overrides."""
    named = {name: (_hint(settings), settings) for name, settings in recipes.items()}
    return tyro.extras.overridable_config_cli(
        named, args=args, description=meaning, config=(tyro.conf.FlagConversionOff,)
    )


def _hint(settings: Any) -> str:
    return (type(settings).__doc__ or "").strip().split("\n")[0]
