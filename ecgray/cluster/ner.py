"""Training of a statement reader on Ray Train: a small Llama from nothing, or from what a larger model answered."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.engine import frame, plain_tokens
from ecgray.cluster.ner_score import score_model
from ecgray.cluster.preflight import check_room
from ecgray.cluster.stepping import Stepping, refuse_diverged
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers, run_once, run_workers
from ecgray.errors import ConfigError
from ecgray.ner.folder import ner_card, save_folder, weights_of, write_card
from ecgray.ner.grammar import Statement
from ecgray.ner.model import build_model
from ecgray.ner.pairs import TaughtPairs, draw_pairs, read_pairs, rows_of
from ecgray.ner.step import AnswerLoss, learning_rate, make_ner_optimizer, ner_step
from ecgray.ner.tokens import ANSWER, AnswerTokens, build_tokenizer
from ecgray.ner.words import LEXICON
from ecgray.output import output_folder
from ecgray.recipes.spell import command
from ecgray.recipes.train_ner import TRAIN_NER
from ecgray.text.entities import write_answer
from ecgray.text.model_folder import model_folder, model_hash
from ecgray.text.prompt import load_prompt
from ecgray.text.terms import TERMS, TERMS_FILE
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import live_bar, read_journal

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.ner.step import Row
    from ecgray.recipes.train_ner import TrainNerConfig


@dataclass(frozen=True)
class NerPlan:
    """What the driver settled before the workers start; paths are absolute."""

    config: TrainNerConfig
    out: Path
    base: Path | None
    pairs: Path | None
    steps: int

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of a model that is trained from nothing, as the run began with it."""
        return self.out / "train" / "tokenizer"

    def start(self) -> tuple[Any, Any]:
        """The model before its first step, and its tokenizer."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(self.base or self.tokenizer, trust_remote_code=False)
        if self.base is None:
            torch.manual_seed(self.config.seed)
            return build_model(self.config.size, tokenizer), tokenizer
        model = AutoModelForCausalLM.from_pretrained(
            self.base, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        return model, tokenizer

    def taught(self) -> TaughtPairs | None:
        """The larger model's answers, where there are any."""
        return read_pairs(self.pairs, model=self.config.pairs_model) if self.pairs else None


def train_ner(config: TrainNerConfig) -> dict[str, Any]:
    """Train, export OUT/model, and score it through the engine; returns the figures.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    inputs: dict[str, Path | str] = {"lexicon": LEXICON, "terms": TERMS_FILE}
    if config.pairs:
        inputs = {"pairs": config.pairs}
    if config.base:
        inputs["base"] = model_hash(model_folder(config.base))
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        plan = settle(config)
        if plan.base is None and not plan.tokenizer.is_dir():
            build_tokenizer().save_pretrained(plan.tokenizer)
        with connected(dashboard=True):
            cpus, gpus = config.cpus_per_worker, int(config.gpu)
            check_room(workers=config.workers, cpus=cpus, gpus=gpus, spare_cpus=0, purpose="NER")
            before = newest_checkpoint(plan.out / CHECKPOINTS)
            if before is not None:
                tqdm.write(f"train_ner: goes on from step {before.step}", file=sys.stderr)
            with live_bar(plan.out, name="train_ner", total=plan.steps):
                _fit(plan, folder.fingerprint)
            return folder.finish(_export(plan))


def settle(config: TrainNerConfig) -> NerPlan:
    """Find the base model and the pairs, and count the steps; refuses what nothing can be learnt from."""
    pairs = config.pairs.absolute() if config.pairs else None
    base = model_folder(config.base) if config.base else None
    if base and pairs is None and not _is_ours(base):
        raise ConfigError(
            f"base={config.base} is no model of the statement grammar, and goes on learning from --pairs; give them."
        )
    if config.epochs and pairs is None:
        raise ConfigError(
            f"epochs={config.epochs} counts passes over --pairs, and there are none; give both, or --steps."
        )
    plan = NerPlan(config, config.out.absolute(), base, pairs, config.steps)
    taught = plan.taught()
    if taught is not None and config.epochs:
        plan = dataclasses.replace(plan, steps=math.ceil(config.epochs * len(taught.train) / config.batch_size))
    return plan


def _is_ours(base: Path) -> bool:
    """Whether a model answers in the short form of `AnswerTokens`, and so may go on with the grammar."""
    tokenizer = base / "tokenizer.json"
    return tokenizer.is_file() and f'"{ANSWER}"' in tokenizer.read_text()


def _fit(plan: NerPlan, name: str) -> None:
    config = plan.config
    workers = Workers(config.workers, config.cpus_per_worker, config.gpu)
    outcome = run_workers(ner_loop, plan, workers=workers, out=plan.out, name=name)
    rate = config.optimizer.learning_rate
    refuse_diverged(outcome, learning_rate=rate, field="--optimizer.learning-rate")


def ner_loop(settings: dict[str, NerPlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Stepping):
    """One worker's state between two steps."""

    def __init__(self, plan: NerPlan) -> None:
        self.plan, self.config = plan, plan.config
        ranks = Ranks(gpu=self.config.gpu, cpus=self.config.cpus_per_worker)
        super().__init__(ranks, out=plan.out, steps=plan.steps, checkpoint_every=self.config.checkpoint_every)
        model, self.tokenizer = plan.start()
        self.rows = row_maker(self.tokenizer)
        self.taught = plan.taught()
        loss = AnswerLoss(model.to(self.ranks.device))
        self.optimizer = make_ner_optimizer(loss, self.config.optimizer)
        self.model = model
        self.restore()
        self.loss = self.ranks.wrap(loss)

    def learn(self) -> dict[str, float]:
        """One step: this worker's share of the statements, the average of all gradients."""
        start = time.perf_counter()
        rows = self.rows(self._pairs())
        total = self.ranks.sum(float(sum(len(answer) for _, answer in rows)))
        loss = ner_step(
            self.loss,
            rows,
            optimizer=self.optimizer,
            config=self.config.optimizer,
            rate=learning_rate(self.config.optimizer, self.step, self.plan.steps),
            total=total / self.ranks.world,
            pad=self.tokenizer.pad_token_id or 0,
            chunk=self.config.chunk,
            bf16=self.config.bf16,
        )
        return {
            "loss": self.ranks.sum(loss) / self.ranks.world,
            "records_per_s": self.config.batch_size / (time.perf_counter() - start),
        }

    def _pairs(self) -> list[Statement]:
        """The share of this rank in the step's statements: the rank-th of each `world` of them."""
        seed, step, size = self.config.seed, self.step, self.config.batch_size
        if self.taught is not None:
            pairs = self.taught.of_step(size, seed=seed, step=step)
        else:
            pairs = draw_pairs(size, seed=seed, step=step, unknown_share=self.config.unknown_share)
        return pairs[self.ranks.rank :: self.ranks.world]

    def sets(self) -> dict[str, dict[str, Tensor]]:
        """The model's weights, tied ones once."""
        return {"model": weights_of(self.model)}

    def load_sets(self, sets: dict[str, dict[str, Tensor]]) -> None:
        """Take them up again."""
        self.model.load_state_dict(sets["model"], strict=False)  # tied weights stand once


def row_maker(tokenizer: Any) -> Callable[[list[Statement]], list[Row]]:
    """Statements as token ids: in the embedded model's short form, or in another model's own chat format."""
    if ANSWER in tokenizer.get_vocab():
        tokens = AnswerTokens(tokenizer)
        return lambda pairs: rows_of(pairs, tokens.prompt, lambda pair: tokens.reading(pair.reading))
    before, after = frame(tokenizer, load_prompt("extract"))

    def prompt(text: str) -> list[int]:
        return [*before, *plain_tokens(tokenizer, [text])[0], *after]

    def answer(pair: Statement) -> list[int]:
        said: list[int] = tokenizer.encode(write_answer(pair.reading), add_special_tokens=False)
        return [*said, tokenizer.eos_token_id]

    return lambda pairs: rows_of(pairs, prompt, answer)


def _export(plan: NerPlan) -> dict[str, Any]:
    """Make the folder of the last weights and score it; returns the run's figures."""
    last = newest_checkpoint(plan.out / CHECKPOINTS)
    assert last is not None
    model, tokenizer = plan.start()
    rows = read_journal(plan.out)
    final = [row["loss"] for row in rows[-20:]]
    taught = plan.taught()
    parameters = sum(weight.numel() for weight in model.parameters())
    training: dict[str, object] = {
        "steps": last.step,
        "statements a step": plan.config.batch_size,
        "seconds": round(sum(plan.config.batch_size / row["records_per_s"] for row in rows)),
        "final loss a token": round(sum(final) / len(final), 4),
        "seed": plan.config.seed,
    }

    placeless = dataclasses.replace(plan.config, out=Path("OUT"))

    def card(figures: dict[str, Any]) -> str:
        return ner_card(
            made_by=command("jobs/train_ner.py", "laptop", base=TRAIN_NER["laptop"], settings=placeless),
            source=_source(plan, taught),
            parameters=parameters,
            terms=len(TERMS),
            training=training,
            figures={name: value for name, value in figures.items() if value is not None},
        )

    folder = plan.out / "model"
    weights = dict(model.state_dict()) | last.tensors["model"]
    save_folder(folder, model, weights, tokenizer, card=card({}))
    cpus, gpus = plan.config.cpus_per_worker, int(plan.config.gpu)
    scores = run_once(score_model, folder, plan.config, taught, cpus=cpus, gpus=gpus)
    write_card(folder, card(scores))
    return (
        {"steps": last.step, "loss": sum(final) / len(final), "parameters": parameters}
        | scores
        | {"model": str(folder)}
    )


def _source(plan: NerPlan, taught: TaughtPairs | None) -> str:
    if taught is None and plan.base is not None:
        return "Gone on with the statements that ecgray's grammar draws (ecgray/ner), from the model that --base names."
    if taught is None:
        return "Trained from nothing on statements that ecgray's grammar draws (ecgray/ner), never on a report."
    return f"Fine-tuned on {len(taught.train):,} answers of a larger model, {len(taught.held_out):,} kept to score by."
