"""Draw ECGs for many who ask at different times: one batch that requests join and leave between two steps.

A request joins as soon as there is room, whatever step the others are at, with its own number of steps, sampler,
guidance and seed; one that is given up leaves before the next step. One of few steps does not wait for one of many to
end, and the denoiser always sees as large a batch as there is.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int16

from ecgray.sediff.assumptions import with_assumptions
from ecgray.sediff.prompts import Prompt
from ecgray.sediff.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from ecgray.models.generator import Generator
    from ecgray.sediff.sampling import Drawing
    from ecgray.sediff.unet import Context


QUICK_STEPS = 100
"""An order of so many steps need not wait for one of more."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one request wants drawn: an ECG a prompt."""

    prompts: tuple[Prompt, ...]
    seed: int
    """With an ECG's number in the order, all that its noise depends on."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    @property
    def is_quick(self) -> bool:
        """Whether it has few steps."""
        return self.sampling.steps <= QUICK_STEPS


@dataclass(eq=False)
class Ticket:
    """An order on its way; its callbacks are called from the loop's own thread and must be quick."""

    order: Order
    stepped: Callable[[int, int], object]
    """Called after each step, with the steps done and all that there are."""
    drawn: Callable[[Int16[np.ndarray, "ecg lead=12 time=5000"] | BaseException, str], object]
    """Called once at the end, with counts of 1/1000 mV or with what went wrong, and the generator's fingerprint."""
    generator: Generator | None = None
    """By whom; None: the loop's own at the time."""
    given_up: bool = False


@dataclass(eq=False)
class _Active:
    ticket: Ticket
    drawing: Drawing
    generator: Generator


class DrawingLoop:
    """A thread that draws, `most` ECGs at a time. `submit` from any thread; `close` at the end."""

    def __init__(
        self, generator: Generator, *, most: int = 32, bf16: bool = False, begin: Callable[[], object] = lambda: None
    ) -> None:
        """`begin` is called in the thread before anything else."""
        self.generator, self.most, self.bf16 = generator, most, bf16
        self._waiting: deque[Ticket] = deque()
        self._active: list[_Active] = []
        self._changed = threading.Condition()
        self._closing = False
        self._joined_of: list[Drawing] = []
        self._joined: Context | None = None
        self._begin = begin
        self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
        self._thread.start()

    @property
    def load(self) -> int:
        """ECGs that are being drawn or wait."""
        with self._changed:
            waiting = sum(len(ticket.order.prompts) for ticket in self._waiting)
            return waiting + sum(len(each.drawing.keys) for each in self._active)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def submit(self, ticket: Ticket) -> None:
        """Queue an order; it is drawn in its turn."""
        with self._changed:
            self._waiting.append(ticket)
            self._changed.notify()

    def give_up(self, ticket: Ticket) -> None:
        """Nobody waits for this order any more: it leaves before the next step, and nothing is called."""
        ticket.given_up = True
        with self._changed:
            with contextlib.suppress(ValueError):
                self._waiting.remove(ticket)
            self._changed.notify()

    def replace(self, generator: Generator) -> None:
        """Take another generator for all orders from now on; those on their way keep the one they began with."""
        self.generator = generator

    def close(self) -> None:
        """Stop after the step at hand; what was not finished is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        self._begin()
        while True:
            with self._changed:
                while not (self._waiting or self._active or self._closing):
                    self._changed.wait()
                if self._closing:
                    return
            self._admit()
            self._active = [each for each in self._active if not each.ticket.given_up]
            for generator in dict.fromkeys(each.generator for each in self._active):
                self._step(generator, [each for each in self._active if each.generator is generator])

    def _next(self) -> Ticket | None:
        """The first that there is room for: of its kind, quick or long, first come, first served.

        Each kind has one order under way at least, beyond `most` where it must be: quick ones need not wait for long
        ones to end.
        """
        inside = sum(len(each.drawing.keys) for each in self._active)
        under_way = {each.ticket.order.is_quick for each in self._active}
        passed: set[bool] = set()
        for ticket in self._waiting:
            kind = ticket.order.is_quick
            if kind in passed:
                continue
            if inside + len(ticket.order.prompts) <= self.most or kind not in under_way:
                return ticket
            passed.add(kind)
        return None

    def _admit(self) -> None:
        """Begin as many waiting orders as there is room for."""
        import torch

        from ecgray.sediff.noise import stream_keys
        from ecgray.sediff.sampling import Drawing

        while True:
            with self._changed:
                ticket = self._next()
                if ticket is None:
                    return
                self._waiting.remove(ticket)
            generator, order = ticket.generator or self.generator, ticket.order
            try:
                with torch.inference_mode(), torch.autocast(generator.device.type, torch.bfloat16, self.bf16):
                    numbers = np.arange(len(order.prompts))
                    keys = stream_keys(order.seed, torch.from_numpy(numbers).to(generator.device))
                    condition = generator.condition(with_assumptions(order.prompts, order.seed, numbers))
                    drawing = Drawing(generator.diffusion, condition, keys, order.sampling)
            except Exception as error:  # a fault of one order must not end the others'
                _tell(ticket, ticket.drawn, error, generator.fingerprint)
                continue
            self._active.append(_Active(ticket, drawing, generator))

    def _step(self, generator: Generator, active: Sequence[_Active]) -> None:
        """One step of all that one generator draws; whoever is finished leaves."""
        from ecgray.sediff.sampling import step_together

        drawings = [each.drawing for each in active]
        try:
            step_together(generator.diffusion, drawings, self._context(drawings), bf16=self.bf16)
            for each in active:
                _tell(each.ticket, each.ticket.stepped, each.drawing.done, len(each.drawing.scheduler.timesteps))
            finished = [each for each in active if each.drawing.finished]
            if finished:
                self._hand_over(generator, finished)
        except Exception as error:
            self._fail(active, error)

    def _hand_over(self, generator: Generator, finished: Sequence[_Active]) -> None:
        import torch

        from ecgray.sediff.input import to_counts

        latents = torch.cat([each.drawing.latent for each in finished])
        counts = to_counts(torch.from_numpy(generator.decode(latents))).numpy()
        edges = np.cumsum([len(each.drawing.keys) for each in finished])[:-1]
        self._leave(finished)
        for each, own in zip(finished, np.split(counts, edges), strict=True):
            _tell(each.ticket, each.ticket.drawn, own, generator.fingerprint)

    def _fail(self, active: Sequence[_Active], error: Exception) -> None:
        self._leave(active)
        for each in active:
            _tell(each.ticket, each.ticket.drawn, error, each.generator.fingerprint)

    def _leave(self, gone: Sequence[_Active]) -> None:
        with self._changed:
            self._active = [each for each in self._active if each not in gone]

    def _context(self, drawings: list[Drawing]) -> Context:
        """The contexts of these drawings in one, made anew only where they have changed."""
        from ecgray.sediff.unet import joined

        if self._joined is None or self._joined_of != drawings:
            self._joined_of, self._joined = drawings, joined([drawing.context for drawing in drawings])
        return self._joined


def _tell(ticket: Ticket, call: Callable[..., object], *what: object) -> None:
    """Call back who still waits; one who cannot be told (its event loop has ended) is given up, and no other order."""
    if ticket.given_up:
        return
    try:
        call(*what)
    except Exception:  # whatever it is, it is that order's own
        ticket.given_up = True
