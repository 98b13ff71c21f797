"""Damage done to a few recordings of the drawn archive on purpose: what the quarantine is for."""

from __future__ import annotations

from pathlib import Path

_KEPT_BYTES = 41_234
_ROT = bytes.fromhex("00800080ff7fff7f")


def damage(recordings: list[Path], *, count: int) -> list[Path]:
    """Spoil `count` of the recordings (paths without their ending), spread over all; returns which.

    By turns, a signal file is cut short, as by a broken transfer, and some of its bytes are overwritten, as by a
    failing disk. Doing it twice does no more.
    """
    chosen = [recordings[(2 * number + 1) * len(recordings) // (2 * count)] for number in range(count)]
    for number, recording in enumerate(chosen):
        signal = recording.with_name(recording.name + ".dat")
        with signal.open("r+b") as file:
            if number % 2 == 0:
                file.truncate(_KEPT_BYTES)
            else:
                file.seek(_KEPT_BYTES)
                file.write(_ROT)
    return chosen
