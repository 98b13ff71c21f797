"""The drawing loop: orders join and leave one batch between steps, and each is drawn as if it were alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ecgray.models import Generator, Prompt
from ecgray.models import drawing as module
from ecgray.models.drawing import DrawingLoop, Order, Ticket
from ecgray.sediff import sampling as steps_module
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.diffusion_config import SIZES
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.vae import Vae
from ecgray.text.encoders import load_text_encoder


def made(seed: int = 0, name: str = "one") -> Generator:
    torch.manual_seed(seed)
    diffusion = Diffusion(SIZES["debug"])
    for weight in diffusion.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    found = Generator(Vae(VAE_SIZES["debug"]), diffusion, load_text_encoder("lexical"))
    found.fingerprint = name
    return found


@pytest.fixture(scope="module")
def generator() -> Generator:
    return made()


@pytest.fixture
def loop(generator: Generator) -> Iterator[DrawingLoop]:
    found = DrawingLoop(generator, most=4)
    yield found
    found.close()
    assert not found.alive


class Waiting:
    """A ticket whose end can be waited for; it may hold the loop after a step."""

    def __init__(
        self,
        loop: DrawingLoop,
        *,
        count: int = 1,
        steps: int = 3,
        seed: int = 0,
        held_at: int = 0,
        text: str = "a",
        **how,
    ):
        self.done, self.held, self.go_on = threading.Event(), threading.Event(), threading.Event()
        self.steps: list[tuple[int, int]] = []
        self.held_at = held_at
        self.outcome: np.ndarray | BaseException | None = None
        self.fingerprint, self.ended_at = "", 0.0
        sampling = SamplingConfig(steps=steps, sampler=how.get("sampler", "ddim"), guidance_scale=how.get("scale", 1))
        self.order = Order(prompts=(Prompt(text=text),) * count, seed=seed, sampling=sampling)
        self.ticket = Ticket(self.order, self._stepped, self._drawn, how.get("generator"))
        loop.submit(self.ticket)

    def _stepped(self, step: int, of: int) -> None:
        self.steps.append((step, of))
        if step == self.held_at:
            self.held.set()
            assert self.go_on.wait(10)

    def _drawn(self, outcome: np.ndarray | BaseException, fingerprint: str) -> None:
        self.outcome, self.fingerprint, self.ended_at = outcome, fingerprint, time.monotonic()
        self.done.set()

    def counts(self) -> np.ndarray:
        assert self.done.wait(20)
        assert isinstance(self.outcome, np.ndarray), self.outcome
        return self.outcome

    def is_as_alone(self, generator: Generator) -> bool:
        own = generator.generate(self.order.prompts, seed=self.order.seed, sampling=self.order.sampling)
        return bool(np.abs(self.counts().astype(int) - own).max() <= 2)


def eventually(condition) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < 10
        time.sleep(0.005)


def test_an_order_is_drawn_as_by_the_generator(loop: DrawingLoop, generator: Generator):
    for order in (Waiting(loop, seed=2**53 - 1), Waiting(loop, count=3, seed=5, sampler="sde-dpm++", scale=2.0)):
        assert order.is_as_alone(generator)
        assert order.steps == [(step, 3) for step in (1, 2, 3)]
    assert loop.load == 0


def test_who_joins_under_way_is_drawn_as_alone_and_so_is_whom_it_joins(loop: DrawingLoop, generator: Generator):
    first = Waiting(loop, steps=8, seed=1, held_at=3, sampler="sde-dpm++", scale=1.5)
    assert first.held.wait(10)
    second = Waiting(loop, steps=2, seed=2, count=2, text="left bundle branch block and much more of it")
    first.go_on.set()
    assert second.is_as_alone(generator)
    assert len(first.steps) < 8, "a short order does not wait for a long one"
    assert first.is_as_alone(generator)


def test_no_more_than_most_are_drawn_at_once_and_the_first_comes_first(
    loop: DrawingLoop, monkeypatch: pytest.MonkeyPatch
):
    widths: list[int] = []
    plain = steps_module.step_together

    def step_together(diffusion, drawings, context, **how) -> None:
        widths.append(sum(len(drawing.keys) for drawing in drawings))
        plain(diffusion, drawings, context, **how)

    monkeypatch.setattr(steps_module, "step_together", step_together)
    first = Waiting(loop, held_at=1, steps=4)
    assert first.held.wait(10)
    others = [Waiting(loop, count=3, steps=2), Waiting(loop, count=2, steps=2), Waiting(loop, count=1, steps=1)]
    finished: list[int] = []
    for number, each in enumerate(others):
        each.ticket.drawn = lambda counts, name, number=number, each=each: (
            finished.append(number),
            each._drawn(counts, name),
        )
    assert loop.load == 7
    first.go_on.set()
    for each in (first, *others):
        each.counts()
    assert max(widths) <= 4
    assert finished[0] == 0, "two who would fit do not overtake three who do not"
    wide = Waiting(loop, count=6, steps=1)
    assert len(wide.counts()) == 6, "what is wider than the loop is drawn alone"


def test_who_is_given_up_leaves_before_the_next_step_and_is_not_called(loop: DrawingLoop, generator: Generator):
    gone = Waiting(loop, steps=50, held_at=2)
    assert gone.held.wait(10)
    stays = Waiting(loop, steps=5, seed=3)
    never = Waiting(loop, steps=5)
    loop.give_up(gone.ticket)
    loop.give_up(never.ticket)
    gone.go_on.set()
    assert stays.is_as_alone(generator)
    eventually(lambda: loop.load == 0)
    assert len(gone.steps) == 2
    assert not never.steps
    assert gone.outcome is None
    assert never.outcome is None
    loop.give_up(gone.ticket)  # again: nothing happens
    loop.give_up(stays.ticket)
    assert Waiting(loop).is_as_alone(generator)


def test_an_order_that_cannot_be_begun_does_not_end_the_others(
    loop: DrawingLoop, generator: Generator, monkeypatch: pytest.MonkeyPatch
):
    plain = generator.condition

    def condition(prompts):
        if prompts[0].text == "bad":
            raise ValueError("cannot be read")
        return plain(prompts)

    monkeypatch.setattr(generator, "condition", condition)
    good = Waiting(loop, steps=6, held_at=2)
    assert good.held.wait(10)
    bad, after = Waiting(loop, text="bad"), Waiting(loop, seed=4)
    good.go_on.set()
    assert bad.done.wait(10)
    assert isinstance(bad.outcome, ValueError)
    assert good.is_as_alone(generator)
    assert after.is_as_alone(generator)


def test_a_step_that_fails_is_told_to_all_in_it_and_the_loop_goes_on(
    loop: DrawingLoop, generator: Generator, monkeypatch: pytest.MonkeyPatch
):
    def out_of_memory(*_, **__) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(steps_module, "step_together", out_of_memory)
        bad = [Waiting(loop), Waiting(loop)]
        for each in bad:
            assert each.done.wait(10)
            assert isinstance(each.outcome, RuntimeError)
    assert Waiting(loop).is_as_alone(generator)
    assert loop.load == 0


@pytest.mark.parametrize("when", ["stepped", "drawn"])
def test_who_cannot_be_told_does_not_end_the_others(loop: DrawingLoop, generator: Generator, when: str):
    """The event loop of a request may be gone when its ECGs come."""
    good = Waiting(loop, steps=6, held_at=1)
    assert good.held.wait(10)
    deaf = Waiting(loop, steps=2)

    def gone(*_) -> None:
        raise RuntimeError("Event loop is closed")

    setattr(deaf.ticket, when, gone)
    good.go_on.set()
    assert good.is_as_alone(generator)
    eventually(lambda: loop.load == 0)
    assert loop.alive
    assert Waiting(loop).is_as_alone(generator)


def test_another_generator_draws_what_comes_and_not_what_is_under_way(loop: DrawingLoop, generator: Generator):
    other = made(seed=1, name="other")
    before = Waiting(loop, steps=6, held_at=2, seed=9)
    assert before.held.wait(10)
    chosen = Waiting(loop, steps=4, seed=9, generator=generator)
    loop.replace(other)
    after = Waiting(loop, steps=3, seed=9)
    before.go_on.set()
    assert after.is_as_alone(other)
    assert before.is_as_alone(generator)
    assert chosen.is_as_alone(generator), "an order may say who draws it"
    assert not after.is_as_alone(generator)
    assert (before.fingerprint, after.fingerprint, chosen.fingerprint) == ("one", "other", "one")


def test_a_loop_that_is_closed_stops_after_the_step_at_hand(generator: Generator):
    loop = DrawingLoop(generator)
    order = Waiting(loop, steps=1000)
    eventually(lambda: len(order.steps) > 2)
    loop.close()
    assert not loop.alive
    assert order.outcome is None
    loop.close()


def test_orders_from_many_threads_are_all_drawn(loop: DrawingLoop, generator: Generator):
    found: list[Waiting] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(Waiting(loop, seed=n, steps=1 + n % 4, count=1 + n % 3)))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each.is_as_alone(generator) for each in found)
    assert loop.load == 0
    assert module.DrawingLoop is DrawingLoop


def test_few_steps_do_not_wait_for_many_to_end_nor_one_of_their_kind_to_begin(loop: DrawingLoop, generator: Generator):
    many = Waiting(loop, count=4, steps=module.QUICK_STEPS + 1, seed=1, held_at=2)
    assert many.held.wait(10)
    more = Waiting(loop, count=2, steps=module.QUICK_STEPS + 1, seed=2)
    first, second = Waiting(loop, count=4, steps=3, seed=3), Waiting(loop, count=1, steps=3, seed=4)
    many.go_on.set()
    assert first.is_as_alone(generator)
    assert second.is_as_alone(generator)
    assert many.is_as_alone(generator)
    assert more.is_as_alone(generator)
    assert first.ended_at <= second.ended_at < many.ended_at < more.ended_at
