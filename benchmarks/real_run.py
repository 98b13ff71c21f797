"""The real run: pre-train on real PTB-XL recordings, ask other hospitals; and the model that saw only drawn patients.

$ python benchmarks/real_run.py --data DIR --out runs/real
$ python benchmarks/real_run.py --data DIR --out runs/real --drawn runs/demo/pretrain --only drawn

DIR holds ptbxl/, cpsc2018/ and chapman_shaoxing_ningbo/. Every step is one job, called as a user calls it; a second run
goes on where the first one stopped. Prints each command, then a table of the scores.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from one_job import run_job

ASKED = {
    "ptbxl": [("cpsc2018", "cpsc2018", ()), ("chapman_shaoxing_ningbo", "csn-exact", ())]
    + [("ptbxl", task, ("--splits", "test")) for task in ("ptbxl-super", "ptbxl-rhythm")],
    "drawn": [("ptbxl", task, ()) for task in ("ptbxl-super", "ptbxl-rhythm", "ptbxl-form")]
    + [("cpsc2018", "cpsc2018", ()), ("chapman_shaoxing_ningbo", "csn-exact", ())],
}
"""For each model: which records are asked which task. The splits of PTB-XL that it trained on are not asked."""


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--drawn", type=Path, help="OUT of the pretrain job that read the embedded archive")
    parser.add_argument("--only", choices=sorted(ASKED))
    parser.add_argument("--pretrain", default="", help="further words of the pretrain command")
    options = parser.parse_args()
    options.out = options.out.absolute()
    models = {"ptbxl": options.out / "pretrain"} | ({"drawn": options.drawn.absolute()} if options.drawn else {})
    wanted = [name for name in models if options.only in (None, name)]
    for archive in {archive for name in wanted for archive, _, _ in ASKED[name]}:
        run_job("ingest", archive=options.data.absolute() / archive, out=options.out / archive)
    if "ptbxl" in wanted:
        records, labels = options.out / "ptbxl", options.out / "labels"
        run_job("label", records=records, out=labels)
        run_job("pretrain", *shlex.split(options.pretrain), records=records, labels=labels, out=models["ptbxl"])
    rows = [_ask(name, models[name], options.out, *question) for name in wanted for question in ASKED[name]]
    head = ["| model | asked | records | classes | macro AUC | random weights | gain |", "|---" * 7 + "|"]
    print("\n".join([*head, *rows]))


def _ask(name: str, model: Path, out: Path, archive: str, task: str, words: tuple[str, ...]) -> str:
    to = out / f"zeroshot-{name}-{task}"
    found = run_job("zeroshot", *words, model=model, records=out / archive, queries=task, out=to)
    cells = [name, " ".join([task, *words]), f"{found['scored_records']}", f"{found['classes']} of {found['queries']}"]
    cells += [_score(found, score) for score in ("macro_auc", "random_macro_auc", "gain_over_random")]
    return f"| {' | '.join(cells)} |"


def _score(found: dict[str, Any], name: str) -> str:
    value, low, high = (found[name + end] for end in ("", "_low", "_high"))
    return "none" if value is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
