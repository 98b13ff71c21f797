"""In which order a trainer sees the records: a pure function of seed, epoch and step.

A global batch never depends on how many workers share it, so that a run can be resumed exactly and moved to another
number of workers. Row groups are shuffled, a window of them is mixed at a time, every record comes once an epoch, and
the last batch is smaller rather than dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int64


class Order:
    """Which records each step sees, and which of them each worker takes.

    `group` is the row group of each record; `window_groups` row groups are mixed at a time.
    """

    def __init__(
        self, group: Int64[np.ndarray, "record"], *, batch_size: int, seed: int, window_groups: int = 32
    ) -> None:
        self.group = group
        self.batch_size = batch_size
        self.seed = seed
        self.window_groups = window_groups
        self._epoch = -1

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every record comes once."""
        return -(-len(self.group) // self.batch_size)

    def batch_records(self, step: int) -> int:
        """How many records a step has over all workers: fewer in the last of an epoch."""
        return min(self.batch_size, len(self.group) - step % self.steps_per_epoch * self.batch_size)

    def batch(self, step: int) -> Int64[np.ndarray, "batch"]:
        """The records of a step over all workers, those of one row group side by side."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        records = self._records[number * self.batch_size : (number + 1) * self.batch_size]
        return records[np.lexsort((records, self._place[self.group[records]]))]

    def share(self, step: int, *, rank: int, world: int) -> tuple[Int64[np.ndarray, "share"], float]:
        """The records that one worker takes of a step, and the factor for its mean loss.

        Data-parallel training averages the workers' gradients. The mean loss of n_r records out of n counts
        world * n_r / n, so that the average is the gradient of the mean over all n. A worker without a record of its
        own (the last batch is smaller than the world) computes one with the factor 0, for all must take part.

        >>> order = Order(np.zeros(5, np.int64), batch_size=3, seed=0)
        >>> [(len(records), factor) for records, factor in (order.share(1, rank=r, world=3) for r in range(3))]
        [(1, 1.5), (1, 1.5), (1, 0.0)]
        """
        batch = self.batch(step)
        mine = np.array_split(batch, world)[rank]
        if len(mine) == 0:
            return batch[:1], 0.0
        return mine, world * len(mine) / len(batch)

    def _shuffle(self, epoch: int) -> None:
        random = np.random.default_rng([self.seed, epoch])
        groups = int(self.group.max(initial=-1)) + 1
        place = random.permutation(groups)  # where each row group stands in this epoch
        window = place[self.group] // self.window_groups
        self._epoch, self._place = epoch, place
        self._records = np.lexsort((random.random(len(self.group)), window))
