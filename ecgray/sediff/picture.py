"""A recording, what an autoencoder makes of it, and the beat of its latent, as one picture."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32

from ecgray.metrics.reconstruction_picture import draw_reconstruction
from ecgray.sediff.vae import Vae
from ecgray.waveform.beats import crop_beats
from ecgray.waveform.delineator.reader import WaveReader


@torch.inference_mode()
def draw_rebuilt(
    vae: Vae, ecg: Float32[np.ndarray, "lead=12 time=5000"], *, title: str, synthetic: bool = False
) -> str:
    """SVG of a recording (mV, 500 Hz), its reconstruction over it, its first whole beat and the decoded one."""
    latent = vae.encode(torch.from_numpy(ecg)[None].to(next(vae.parameters()).device))
    beats = crop_beats(ecg, np.asarray(WaveReader.load().measure(ecg[None])[0].r_peaks, np.int64))
    return draw_reconstruction(
        ecg,
        vae.decode(latent)[0].cpu().numpy(),
        beats[0] if len(beats) else None,
        vae.decode_beat(latent)[0].cpu().numpy(),
        title=title,
        synthetic=synthetic,
    )
