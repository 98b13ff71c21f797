"""Latents out of noise: the reverse process with the schedulers of diffusers (SE-Diff Eq. 24 and 25).

All noise comes from `ecgray.sediff.noise`: a latent depends on its condition, seed and index, and on what else is in
its batch only as far as sums are rounded differently. All four samplers are DPM-Solver++: of first order it is DDIM's
step, and with noise DDPM's ancestral one (tests hold them against those of diffusers). diffusers' own of these two
step by 1000 // steps, which leads past the next time wherever the number of steps does not divide 1,000.

The first step is t = 999, where training begins: with diffusers' default a few-step sampler starts from noise that the
network takes for something else. DPM-Solver++ spreads its steps evenly in the logarithm of the signal-to-noise ratio.
Evenly in t, the last of 25 steps leaps from t = 39 to the latent, and what lies in fine detail comes out too calm: of
values that have a deviation of 0.2, 0.14 are left (0.09 at 10 steps; evenly in log SNR 0.20 at both).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers import DPMSolverMultistepScheduler
from jaxtyping import Float, Int64
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.sediff.condition import Condition
from ecgray.sediff.diffusion_config import TRAINED_STEPS, ScheduleConfig
from ecgray.sediff.noise import gaussian
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.schedule import DIFFUSERS_NAMES, Schedule
from ecgray.sediff.unet import Context

_PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "flow": "flow_prediction"}
_WITH_NOISE = ("ddpm", "sde-dpm++")


@runtime_checkable
class Denoises(Protocol):
    """Whatever can be sampled: our diffusion of latents, a baseline's of strips or of beats."""

    @property
    def schedule(self) -> Schedule:
        """How much noise there is at each step."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and steps of what is drawn."""

    @property
    def denoiser(self) -> Callable[..., Tensor]:
        """Of what is noised, of times and of a context: what the schedule's prediction asks for."""

    def context(self, condition: Condition) -> Context:
        """What every step reads of its condition."""


def make_scheduler(config: ScheduleConfig, sampling: SamplingConfig) -> Any:
    """The scheduler of diffusers that goes backwards along this path; its steps are set."""
    flow = config.path == "flow"
    first_order = sampling.sampler in ("ddpm", "ddim")
    if first_order and flow:
        raise ConfigError(
            f"sampler={sampling.sampler} needs a diffusion of epsilon or v, and this one was trained on the flow; "
            "use dpm++ or sde-dpm++."
        )
    scheduler: Any = DPMSolverMultistepScheduler(
        num_train_timesteps=TRAINED_STEPS,
        beta_start=config.beta_first,
        beta_end=config.beta_last,
        beta_schedule=DIFFUSERS_NAMES.get(config.path, "linear"),
        prediction_type=_PREDICTIONS[config.prediction],
        timestep_spacing="trailing",
        algorithm_type="sde-dpmsolver++" if sampling.sampler in _WITH_NOISE else "dpmsolver++",
        solver_order=1 if first_order else 2,
        lower_order_final=True,
        final_sigmas_type="zero",
        use_flow_sigmas=flow,
        use_lu_lambdas=not (flow or first_order),
        thresholding=config.clip,  # with this greatest value: z_0-hat is clipped to -1 ... 1
        sample_max_value=1.0,
    )
    scheduler.set_timesteps(sampling.steps)
    return scheduler


class Drawing:
    """Latents on their way out of noise: one step at a time, so that several can be drawn in one batch.

    At each step the denoiser is asked what `asked` says, and its answer goes to `advance`.
    """

    def __init__(
        self, diffusion: Denoises, condition: Condition, keys: Int64[Tensor, " batch"], config: SamplingConfig
    ) -> None:
        rules = diffusion.schedule.config
        self.scheduler = make_scheduler(rules, config)
        self.shape, self.keys, self.config = diffusion.shape, keys, config
        self.guided = config.guidance_scale != 1
        told = condition if config.guidance_scale == 1 else condition.beside(condition.nothing())
        self.context = diffusion.context(told)
        self.latent = gaussian(keys, 0, self.shape) * float(self.scheduler.init_noise_sigma)
        self.done = 0
        """Steps taken."""
        self._from = 1 if rules.path == "flow" else 0  # the flow's sigma of step t is (t + 1) / T, at time sigma T

    @property
    def finished(self) -> bool:
        """Whether the last step was taken."""
        return self.done == len(self.scheduler.timesteps)

    def asked(self) -> tuple[Float[Tensor, "both latent step"], Float[Tensor, " both"]]:
        """What is to be denoised next, with and without its condition where guidance is on; and the times."""
        both = torch.cat([self.latent, self.latent]) if self.guided else self.latent
        time = self.scheduler.timesteps[self.done].float() - self._from
        return both, time.expand(len(both)).to(both.device)

    def advance(self, said: Float[Tensor, "both latent step"]) -> None:
        """Take the step that the denoiser's answer gives."""
        if self.guided:
            conditional, free = said.chunk(2)
            said = free + self.config.guidance_scale * (conditional - free)
        step = self.scheduler.timesteps[self.done]
        self.done += 1
        noise = gaussian(self.keys, self.done, self.shape) if self.config.sampler in _WITH_NOISE else None
        self.latent = self.scheduler.step(said, step, self.latent, variance_noise=noise, return_dict=False)[0]


@torch.inference_mode()
def sample(
    diffusion: Denoises,
    condition: Condition,
    keys: Int64[Tensor, " batch"],
    config: SamplingConfig,
    *,
    bf16: bool = False,
    progress: Callable[[], object] | None = None,
) -> Float[Tensor, "batch latent step"]:
    """One scaled latent a condition; `keys` come from `stream_keys`. `progress` is called after every step."""
    with torch.autocast(keys.device.type, dtype=torch.bfloat16, enabled=bf16):
        drawing = Drawing(diffusion, condition, keys, config)
        while not drawing.finished:
            drawing.advance(diffusion.denoiser(*drawing.asked(), drawing.context).float())
            if progress is not None:
                progress()
    return drawing.latent


@torch.inference_mode()
def step_together(diffusion: Denoises, drawings: Sequence[Drawing], context: Context, *, bf16: bool = False) -> None:
    """One step of several drawings, each at its own time, in one pass of the denoiser.

    `context` is `joined` of their contexts: it stays the same as long as they do.
    """
    asked = [drawing.asked() for drawing in drawings]
    latents, times = (torch.cat([each[part] for each in asked]) for part in (0, 1))
    with torch.autocast(latents.device.type, dtype=torch.bfloat16, enabled=bf16):
        said = diffusion.denoiser(latents, times, context).float()
        for drawing, own in zip(drawings, said.split([len(each[0]) for each in asked]), strict=True):
            drawing.advance(own)
