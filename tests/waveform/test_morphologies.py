"""The fitted morphologies that ship: whole, sound, and named in NOTICE."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ecgray.leads import LEADS, frontal_residual
from ecgray.recipes.fit_simulator import CLASSES
from ecgray.waveform.morphologies import EMBEDDED, fitted
from ecgray.waveform.simulator import simulate

NOTICE = Path(__file__).parents[2] / "NOTICE"


def test_every_class_of_the_recipe_is_there_and_fits():
    fit = fitted()
    assert fit.classes == CLASSES
    assert not fit.skipped
    assert float(fit.correlation[~fit.flat].min()) > 0.95
    assert float(fit.nrmse.median()) < 0.02
    assert int(fit.beats.min()) >= 30


def test_its_sources_are_named_in_notice_and_none_is_mimic():
    sources = json.loads(EMBEDDED.read_text())["sources"]
    assert sources == ["cpsc2018", "ludb", "ptb-xl"]
    said = NOTICE.read_text().lower().replace(" ", "")
    section = said[said.index("eta.json") :]
    assert all(source in section for source in sources)
    assert "mimic" not in EMBEDDED.read_text().lower()


def test_it_holds_no_record_id():
    assert ":" not in "".join(json.loads(EMBEDDED.read_text())["classes"])


def test_the_simulator_draws_them_and_leads_agree_nearly():
    """Leads were fitted one by one, so III = II - I holds as far as the fits do, not exactly."""
    fit = fitted()
    ecg = simulate(fit.morphology(), fit.rr_s[:, None].repeat(1, 12))
    assert ecg.shape == (20, 12, 5000)
    assert torch.isfinite(ecg).all()
    normal = ecg[0].numpy()
    assert 1.5 < np.ptp(normal, axis=1).max() < 4
    assert np.abs(frontal_residual(normal)).max() < 0.15
    assert normal[LEADS.index("aVR")].min() < -0.6


def test_blocks_have_their_signs():
    """R' in V1 of a right bundle block, no S in V6 and a deep V1 of a left one, a deep III of a left hemiblock."""
    fit = fitted()
    beats = dict(zip(fit.classes, fit.draw().numpy(), strict=True))
    at = {lead: number for number, lead in enumerate(LEADS)}
    right, left = beats["right bundle branch block"], beats["left bundle branch block"]
    assert right[at["V1"], 115:160].max() > 0.4
    assert left[at["V1"]].min() < -1.0
    assert left[at["V6"]].min() > -0.3
    assert beats["left anterior fascicular block"][at["III"]].min() < -0.3
