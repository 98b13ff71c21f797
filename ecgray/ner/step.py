"""One training step of a language model on statements and answers: short rows with short ones, gradients added up."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int

from ecgray.ner.config import NerOptimizerConfig

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""Target of a token that the model need not say."""

_LENGTH_STEP, _ANSWER_STEP = 8, 256
"""Rows and answers are filled up to multiples of these: the CPU's kernels keep memory for every shape they ever saw."""

Row = tuple[list[int], list[int]]
"""Token ids of a prompt and of its answer."""


class AnswerLoss(torch.nn.Module):
    """A causal language model with its loss on the answer's tokens, so that DDP can wrap both."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Int[Tensor, "batch token"], targets: Int[Tensor, "batch token"]) -> Float[Tensor, ""]:
        """The cross entropy of the answers' tokens, summed.

        Rows are padded on the right, so no mask is needed: nothing before the padding sees it. Logits are computed only
        where an answer's token is predicted; over the other places they would be most of the work.
        """
        states = self.model.base_model(input_ids=tokens).last_hidden_state  # (batch, token, width)
        wanted = targets[:, 1:] != IGNORED
        said = torch.nn.functional.pad(states[:, :-1][wanted], (0, 0, 0, -int(wanted.sum()) % _ANSWER_STEP))
        right = torch.nn.functional.pad(targets[:, 1:][wanted], (0, len(said) - int(wanted.sum())), value=IGNORED)
        logits = self.model.get_output_embeddings()(said)  # (answer token, vocabulary)
        return torch.nn.functional.cross_entropy(logits.float(), right, reduction="sum", ignore_index=IGNORED)


def make_ner_optimizer(model: torch.nn.Module, config: NerOptimizerConfig) -> torch.optim.Optimizer:
    """AdamW; weight decay reaches matrices only."""
    matrices = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def learning_rate(config: NerOptimizerConfig, step: int, steps: int) -> float:
    """The learning rate of step 0, 1, ...: no state to restore.

    >>> config = NerOptimizerConfig(learning_rate=1.0, warmup_steps=10)
    >>> learning_rate(config, 4, 100), round(learning_rate(config, 99, 100), 4)
    (0.5, 0.0003)
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def pad_rows(
    rows: Sequence[Row], pad: int, *, multiple: int = 1
) -> tuple[Int[Tensor, "batch token"], Int[Tensor, "batch token"]]:
    """Tokens and targets of rows, padded on the right to a length that `multiple` divides; the prompt is no target.

    >>> tokens, targets = pad_rows([([5, 6], [7]), ([5], [8])], pad=0)
    >>> tokens.tolist(), targets.tolist()
    ([[5, 6, 7], [5, 8, 0]], [[-100, -100, 7], [-100, 8, -100]])
    """
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    longest += -longest % multiple
    tokens = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), IGNORED)
    for place, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        tokens[place, :end] = torch.tensor(prompt + answer)
        targets[place, len(prompt) : end] = torch.tensor(answer)
    return tokens, targets


def _no_sync(loss: Any) -> Any:
    """DDP adds gradients up over the workers once a step, with the last rows."""
    return loss.no_sync() if hasattr(loss, "no_sync") else contextlib.nullcontext()


def ner_step(
    loss: torch.nn.Module,
    rows: Sequence[Row],
    *,
    optimizer: torch.optim.Optimizer,
    config: NerOptimizerConfig,
    rate: float,
    total: float,
    pad: int,
    chunk: int,
    bf16: bool,
) -> float:
    """One step on these rows, `chunk` at a time, the short ones together; returns their loss a token.

    `total` is what the sum over the rows is divided by: the answer tokens of the whole batch, over the workers' number
    where DDP averages their gradients.
    """
    device = next(loss.parameters()).device
    ordered = sorted(rows, key=lambda row: len(row[0]) + len(row[1]))
    starts = range(0, len(ordered), chunk)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    summed = 0.0
    for start in starts:
        tokens, targets = (
            each.to(device) for each in pad_rows(ordered[start : start + chunk], pad, multiple=_LENGTH_STEP)
        )
        last = start == starts[-1]
        alone = contextlib.nullcontext() if last else _no_sync(loss)
        with alone, torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            part: Tensor = loss(tokens, targets) / total
            part.backward()
        summed += part.item()
    torch.nn.utils.clip_grad_norm_(loss.parameters(), config.clip_norm)
    optimizer.step()
    return summed
