"""Answer over HTTP: ask questions of ECGs, have ECGs drawn from text, on a page or by programs (docs/service.md).

$ python jobs/serve.py laptop    # the small models that ship, on http://127.0.0.1:8000
$ python jobs/serve.py laptop --classifier runs/model --generator runs/diffusion
$ python jobs/serve.py paper --host 0.0.0.0 --write serve.yaml    # for `serve deploy`; needs ECGRAY_TOKEN

Prints one JSON object when it is ready, and one when it ends: Ctrl-C, after what is under way is answered.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.serve import SERVE, ServeConfig


def stage(config: ServeConfig) -> dict[str, Any]:
    from ecgray.cluster.serve import serve

    out = sys.stdout
    return serve(config, announce=lambda ready: print(json.dumps(ready), file=out, flush=True))


if __name__ == "__main__":
    run_job(__doc__ or "", SERVE, stage)
