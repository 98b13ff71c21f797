"""Walk the whole path on the embedded archive: draw patients, ingest, label, pre-train, ask, report.

$ python jobs/demo.py debug     # what `make demo` runs: four minutes on two idle cores

Nothing is downloaded and no GPU is needed. Everything is written under runs/demo; open runs/demo/report.html. Run the
same command again after a crash: it goes on where it stopped.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.demo import DEMO, DemoConfig


def stage(config: DemoConfig) -> dict[str, Any]:
    from ecgray.cluster.demo import demo

    return demo(config)


if __name__ == "__main__":
    run_job(__doc__ or "", DEMO, stage)
