"""The delineator: a 1-D U-Net that reads every lead by itself, and at each scale what the leads have in common.

All leads go through the same weights, so that any number of them in any order can be read; the mean over leads beside
each lead's own features is what lets a flat P in aVL be found by its neighbours.
"""

from __future__ import annotations

import copy
import itertools

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ecgray.tables import FS
from ecgray.waveform.delineator.config import CLASSES, OUTPUT_FS, DelineatorConfig

STRIDE = 4
"""Input samples a step of the finest features: 125 Hz."""
_PER_STEP = OUTPUT_FS * STRIDE // FS
LAG = 10
"""Samples (20 ms) over which the slope is taken that a lead is scaled by."""
SPAN = 1000
"""Samples (2 s) over which a slope is averaged; the median over spans is the lead's, so that a burst does not count."""
FLAT_MV = 0.005
"""A lead whose slope over 20 ms stays below this (RMS) is taken as flat."""
RAIL_MV, RAIL_SHARE = 32.0, 0.05
"""A lead with more than such a share of its samples at this or beyond (a record ends at 32.767 mV) cannot be read."""
HIGHEST = 30.0
"""Scaled signals end here: a QRS reaches 3 to 8, an artefact any height."""


class Delineator(nn.Module):
    """From millivolts to the probability of P, QRS, T or none of them, in every lead."""

    def __init__(self, config: DelineatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DelineatorConfig()
        widths, kernel = config.widths, config.kernel
        self.stem = nn.Sequential(
            nn.Conv1d(1, widths[0], 31, stride=STRIDE, padding=15, bias=False), nn.BatchNorm1d(widths[0]), nn.ReLU()
        )
        into = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(_block(a, b, kernel) for a, b in zip(into, widths, strict=True))
        self.fuse = nn.ModuleList(nn.Conv1d(2 * width, width, 1) for width in widths)
        self.up = nn.ModuleList(_block(a + b, a, kernel) for a, b in itertools.pairwise(widths))
        self.head = nn.Conv1d(widths[0], len(CLASSES) * _PER_STEP, 5, padding=2)

    def forward(
        self, signal: Float[Tensor, "record lead time"], seen: Bool[Tensor, "record lead"]
    ) -> Float[Tensor, "record lead class step"]:
        """Logits at 250 Hz of scaled signals at 500 Hz (`scaled`); a lead that is not `seen` tells the others nothing.

        The time axis must be a multiple of four samples.
        """
        records, leads, samples = signal.shape
        share = seen.to(signal.dtype)
        share = share / share.sum(1, keepdim=True).clamp(min=1)
        features = self.stem(signal.reshape(records * leads, 1, samples))
        scales = []
        for level, (block, fuse) in enumerate(zip(self.down, self.fuse, strict=True)):
            if level:
                features = F.max_pool1d(features, 2, ceil_mode=True)
            features = block(features)
            features = F.relu(fuse(torch.cat([features, _common(features, share)], 1)))
            scales.append(features)
        for block, scale in zip(reversed(self.up), reversed(scales[:-1]), strict=True):
            finer = F.interpolate(features, size=scale.shape[-1], mode="linear", align_corners=False)
            features = block(torch.cat([scale, finer], 1))
        logits = self.head(features).reshape(records, leads, len(CLASSES), _PER_STEP, -1)
        return logits.transpose(-1, -2).flatten(-2)

    @torch.inference_mode()
    def probabilities(
        self, signal: Float[Tensor, "record lead time"]
    ) -> tuple[Float[Tensor, "record lead class step"], Bool[Tensor, "record lead"]]:
        """What each sample at 250 Hz belongs to, given millivolts at 500 Hz; and which leads could be read."""
        ready, seen = scaled(signal)
        return self(ready, seen).float().softmax(2), seen


def scaled(
    signal: Float[Tensor, "record lead time"],
) -> tuple[Float[Tensor, "record lead time"], Bool[Tensor, "record lead"]]:
    """Each lead in units of its own slopes: less its median, over the RMS of its change in 20 ms.

    A slow baseline has hardly any slope, and a burst fills one span only: neither shrinks the beats. Leads that are
    flat, saturated, or hold a value that is no number become zero, and are not `seen`.
    """
    finite = torch.isfinite(signal).all(-1)
    signal = torch.where(finite[..., None], signal, 0.0)
    change = (signal[..., LAG:] - signal[..., :-LAG]).square()
    spans = max(1, round(change.shape[-1] / SPAN))
    slope = torch.stack([part.mean(-1) for part in change.tensor_split(spans, -1)]).median(0).values.sqrt()
    saturated = (signal.abs() >= RAIL_MV).float().mean(-1) > RAIL_SHARE
    seen = finite & (slope > FLAT_MV) & ~saturated
    ready = (signal - signal[..., ::8].median(-1, keepdim=True).values) / slope.clamp(min=FLAT_MV)[..., None]
    return torch.where(seen[..., None], ready.clamp(-HIGHEST, HIGHEST), 0.0), seen


def folded(network: Delineator) -> Delineator:
    """The same network with each batch norm worked into the convolution before it: a fifth faster, for reading only."""
    network = copy.deepcopy(network).eval()
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, layer in enumerate(layers):
            before = layers[place - 1]
            if isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Conv1d):
                layers[place - 1] = fuse_conv_bn_eval(before, layer)
                layers[place] = nn.Identity()
            if isinstance(layer, nn.ReLU):
                layer.inplace = True
    return network


def _block(into: int, out: int, kernel: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first in (into, out):
        layers += [nn.Conv1d(first, out, kernel, padding=kernel // 2, bias=False), nn.BatchNorm1d(out), nn.ReLU()]
    return nn.Sequential(*layers)


def _common(
    features: Float[Tensor, "row channel step"], share: Float[Tensor, "record lead"]
) -> Float[Tensor, "row channel step"]:
    """The mean over a record's seen leads, for each of its leads."""
    by_lead = features.unflatten(0, (share.shape[0], share.shape[1]))
    mean = torch.einsum("rlct,rl->rct", by_lead, share.to(features.dtype))
    return mean[:, None].expand_as(by_lead).flatten(0, 1)
