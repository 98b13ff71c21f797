"""A classifier of two classes: fit to some ECGs, asked about others."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.alignment.resnet import ResNet
from ecgray.downstream.config import ClassifierConfig
from ecgray.metrics.auroc import auroc

MEASURES = ("f1", "f1_minority", "accuracy", "auc")
"""Macro F1, F1 of class 1, the part answered rightly, AUROC."""


def make_classifier(config: ClassifierConfig, inputs: int) -> nn.Module:
    """The network: latents (flattened, `inputs` numbers) or ECGs in, two logits out.

    >>> make_classifier(ClassifierConfig(), 512)(torch.zeros(3, 4, 128)).shape
    torch.Size([3, 2])
    """
    if config.kind == "resnet":
        network = ResNet(config.resnet)
        return nn.Sequential(network, nn.Dropout(config.dropout), nn.Linear(network.width, 2))
    layers: list[nn.Module] = [nn.Flatten()]
    for width in config.hidden:
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 2))


def fit(
    inputs: Float32[np.ndarray, "ecg axis time"],
    target: Int[np.ndarray, " ecg"],
    *,
    held_back: Bool[np.ndarray, " ecg"],
    config: ClassifierConfig,
    seed: int,
    device: str = "cpu",
) -> nn.Module:
    """Learn by cross entropy (AdamW); the weights of the pass with the lowest loss on those held back."""
    torch.manual_seed(seed)
    model = make_classifier(config, math.prod(inputs.shape[1:])).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    x, y = torch.from_numpy(inputs).to(device), torch.from_numpy(target.astype(np.int64)).to(device)
    learnt, kept_back = np.flatnonzero(~held_back), torch.from_numpy(np.flatnonzero(held_back)).to(device)
    random, least, waited = np.random.default_rng(seed), math.inf, 0
    best = copy.deepcopy(model.state_dict())
    for _ in range(config.epochs):
        model.train()
        for rows in _batches(random.permutation(learnt), config.batch_size):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        loss = F.cross_entropy(_logits(model, x[kept_back]), y[kept_back]).item()
        waited += 1
        if loss < least:
            least, waited, best = loss, 0, copy.deepcopy(model.state_dict())
        if waited >= config.patience:
            break
    model.load_state_dict(best)
    return model.eval()


def _batches(rows: Int[np.ndarray, " _"], size: int) -> list[Tensor]:
    """Of `size` each; the rest goes with the last, so that batch norm never sees a single ECG."""
    return [torch.from_numpy(part) for part in np.array_split(rows, max(1, len(rows) // size))]


@torch.inference_mode()
def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    model.eval()
    return torch.cat([model(part) for part in inputs.split(64)])


def score(
    model: nn.Module, inputs: Float32[np.ndarray, "ecg axis time"], target: Int[np.ndarray, " ecg"]
) -> dict[str, float]:
    """What `MEASURES` names, on a test set of both classes."""
    device = next(model.parameters()).device
    answer = _logits(model, torch.from_numpy(inputs).to(device)).softmax(dim=-1)[:, 1].cpu().numpy()
    said = (answer > 0.5).astype(int)
    return {
        "f1": float(f1_score(target, said, average="macro", zero_division=0)),
        "f1_minority": float(f1_score(target, said, zero_division=0)),
        "accuracy": float(accuracy_score(target, said)),
        "auc": auroc(target == 1, answer.astype(np.float64)),
    }
