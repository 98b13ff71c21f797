"""Read an archive of ECG recordings into the records table.

$ python jobs/ingest.py laptop --archive ptb-xl/ --out runs/ptb-xl

Every recording that the archive names ends in OUT/records, or in OUT/quarantine with a code that says why. Run the same
command again after a crash: it goes on where it stopped.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.ingest import INGEST, IngestConfig


def stage(config: IngestConfig) -> dict[str, Any]:
    from ecgray.cluster.ingest import ingest

    return ingest(config)


if __name__ == "__main__":
    run_job(__doc__ or "", INGEST, stage)
