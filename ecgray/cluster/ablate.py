"""The diffusion without each of its parts: one training a variant, the same conditions and noise, one table."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ecgray.alignment.folder import load_scorer
from ecgray.cluster.diffusion import train_diffusion
from ecgray.cluster.encode import encode
from ecgray.cluster.evaluate import evaluate
from ecgray.cluster.generate import generate, told_like
from ecgray.output import output_folder
from ecgray.recipes.ablate import OTHER_VAE
from ecgray.recipes.evaluate import EvaluateConfig
from ecgray.sediff.folder import load_vae

if TYPE_CHECKING:
    from ecgray.recipes.ablate import AblateConfig


def ablate(config: AblateConfig) -> dict[str, Any]:
    """Train, generate and score every variant; returns the figures of each. OUT/evaluation/results.md is the table.

    What is finished is not done again: the same command goes on where a killed one stopped.
    """
    names: tuple[str, ...] = (
        "records",
        "latents",
        "vae",
        "labels",
        "intervals",
        "experience",
        "eta",
        "start",
        "scorer",
    )
    names += ("vae_without_beat", "vae_without_spec")
    inputs = {name: path for name in names if (path := getattr(config, name)) is not None}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        absolute = {name: path.absolute() for name, path in (inputs | {"out": config.out}).items()}
        config = dataclasses.replace(config, **absolute)  # type: ignore[arg-type]
        _refuse_unscorable(config)
        left_out = [variant for variant in config.variants if variant not in config.runnable]
        for number, variant in enumerate(config.runnable, 1):
            tqdm.write(f"[{number}/{len(config.runnable)}] {variant}", file=sys.stderr)
            if variant in OTHER_VAE:
                encode(config.encode(variant))
            train_diffusion(config.train(variant))
            generate(config.generate(variant))
        scored = evaluate(
            EvaluateConfig(
                generated=tuple(config.generate(variant).out for variant in config.runnable),
                names=config.runnable,
                records=config.records,
                intervals=config.intervals,
                labels=config.labels,
                scorer=config.scorer,
                vae=config.vae,
                seed=config.seed,
                workers=config.workers,
                cpus_per_worker=config.cpus_per_worker,
                gpu=config.gpu,
                out=config.out / "evaluation",
            )
        )
        losses = {
            variant: json.loads((config.train(variant).out / "figures.json").read_text())["ddpm"]
            for variant in config.runnable
        }
        return folder.finish({"left_out": left_out, "ddpm": losses} | scored)


def _refuse_unscorable(config: AblateConfig) -> None:
    """What is needed only after hours of training is opened before: autoencoders, scorer, conditions of the table."""
    for vae in {path for variant in config.runnable if (path := config.vae_of(variant)) is not None}:
        load_vae(vae)
    load_scorer(config.scorer)
    told_like(config.generate("full"), config.records)
