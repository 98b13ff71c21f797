"""When things happen: impulses of the atria, beats of the ventricles, spikes of a pacemaker.

One mechanism for every rhythm. The atria fire by themselves; each impulse asks the AV node for passage, which lets it
through after the PR interval or, while the ventricles are refractory or the node is blocked, does not. Ventricles may
also fire by themselves. So a compensatory pause, a dropped beat or a dissociated rhythm is not drawn: it follows.
All times are onsets, in seconds from the start of the strip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from ecgray.demo.heart import Heart

Times = Float64[np.ndarray, "_"]

FIRST_S, LAST_S = -2.5, 11.0
"""Events are drawn from before the strip to after it: a wave under way at its start must have begun."""
STRIP_S = 10.0


@dataclass(frozen=True)
class Rhythm:
    """Everything that happens around one strip: onsets by kind of event."""

    events: dict[str, Times]
    """Atrial kinds: p, ectopic p, retrograde p, fibrillation, flutter. Ventricular: beat, early beat. Also: spike."""
    pr_s: float | None
    """PR interval of conducted sinus beats; None where atria and ventricles have no fixed distance."""
    breath: tuple[float, float]
    """Frequency in Hz and phase in rad of the breath."""
    facts: dict[str, str] = field(default_factory=dict)
    """What a report may say of it, as which kind of second degree block."""

    def beats(self) -> Times:
        """QRS onsets within the strip, in order."""
        return np.sort(self.events["beat"][_inside(self.events["beat"])])

    def all_beats(self) -> Times:
        """QRS onsets within the strip, early ones too."""
        every = np.concatenate([self.events["beat"], self.events.get("early beat", np.zeros(0))])
        return np.sort(every[_inside(every)])

    def mean_rr_s(self) -> float:
        """Mean time between two ventricular beats of the strip."""
        every = self.all_beats()
        return float(np.diff(every).mean()) if len(every) > 1 else STRIP_S / 2


def _inside(times: Times) -> np.ndarray:
    return (times > 0.02) & (times < STRIP_S - 0.1)


def draw_rhythm(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """The events around one strip of this heart."""
    for name, draw in _RHYTHMS.items():
        if heart.has(name):
            return draw(heart, rng)
    return _sinus(heart, rng)


def _breath(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0.17, 0.36)), float(rng.uniform(0, 2 * np.pi))


def pace(heart: Heart, breath: tuple[float, float], rng: np.random.Generator) -> Times:
    """Impulses of the sinus node: RR varies with blood pressure (LF, 0.1 Hz) and breath (HF), after McSharry et al.

    In sinus arrhythmia the breath moves RR by more than 160 ms and 16 %; elsewhere by less than 100 ms and 11 %.
    """
    while True:
        times = _pace_once(heart, breath, rng)
        gaps = np.diff(times[(times > -0.2) & (times < STRIP_S)])
        swing = gaps.max() - gaps.min()
        if heart.has("sinus arrhythmia"):
            if swing > max(0.16, 0.16 * heart.rr_s):
                return times
        elif swing < min(0.1, 0.11 * heart.rr_s):
            return times


def _pace_once(heart: Heart, breath: tuple[float, float], rng: np.random.Generator) -> Times:
    young = np.clip((70 - heart.patient.age) / 60, 0.1, 1.0)
    rest = np.clip(heart.rr_s / 0.9, 0.35, 1.3) ** 1.5
    high = rng.uniform(0.4, 1.0) * 0.032 * young * rest
    low = rng.uniform(0.4, 1.0) * 0.018 * (0.4 + young) * rest
    if heart.has("sinus arrhythmia"):
        high, low = rng.uniform(0.13, 0.24), 0.01
    phase = rng.uniform(0, 2 * np.pi)
    times, time = [], FIRST_S - rng.uniform(0, 1) * heart.rr_s
    while time < LAST_S:
        times.append(time)
        swing = high * np.sin(2 * np.pi * breath[0] * time + breath[1]) + low * np.sin(2 * np.pi * 0.1 * time + phase)
        time += heart.rr_s * (1 + swing + 0.004 * rng.standard_normal())
    return np.array(times)


def conduct(
    impulses: Times,
    *,
    delay_s: Callable[[int], float | None],
    own: Times,
    refractory_s: float,
    concealed_s: float,
) -> tuple[Times, Times]:
    """Ventricular beats that follow from atrial impulses: (onsets of the beats, delay of each impulse or NaN).

    `delay_s(number)` is the AV node's delay for impulse `number`, None where it blocks. `own` are beats that the
    ventricles make themselves. An impulse that would arrive less than `refractory_s` after a conducted beat is lost,
    and less than `concealed_s` after one of the ventricles' own, which has entered the node from below.
    """
    beats: list[float] = []
    delays = np.full(len(impulses), np.nan)
    for number, time in enumerate(impulses):
        delay = delay_s(number)
        if delay is None:
            continue
        arrival = time + delay
        earlier = own[own <= arrival + 0.1]
        if beats and arrival - beats[-1] < refractory_s:
            continue
        if arrival - earlier.max(initial=-np.inf) < concealed_s:
            continue
        beats.append(arrival)
        delays[number] = delay
    return np.array(beats), delays


def _sinus(heart: Heart, rng: np.random.Generator) -> Rhythm:
    breath = _breath(rng)
    impulses = pace(heart, breath, rng)
    pr_s = heart.pr_ms / 1000
    early_p = np.zeros(0)
    facts: dict[str, str] = {}
    if heart.has("premature atrial complex"):
        impulses, early_p = _advance(impulses, heart, rng)
    own = np.zeros(0)
    if heart.has("premature ventricular complex"):
        own, facts = _early_beats(impulses + pr_s, heart, rng)
    every = np.sort(np.concatenate([impulses, early_p]))
    node: Callable[[int], float | None] = lambda number: pr_s  # noqa: E731
    if heart.has("second degree av block"):
        node, facts = _second_degree(heart, rng)
    beats, _ = conduct(every, delay_s=node, own=own, refractory_s=0.27, concealed_s=min(0.45, 0.6 * heart.rr_s))
    events = {"p": impulses, "ectopic p": early_p, "beat": beats, "early beat": own}
    return Rhythm(events=events, pr_s=pr_s, breath=breath, facts=facts)


def _advance(impulses: Times, heart: Heart, rng: np.random.Generator) -> tuple[Times, Times]:
    """Premature atrial impulses: they come early and reset the sinus node, which starts anew after its own cycle."""
    inside = np.flatnonzero((impulses > 0.3) & (impulses < STRIP_S - 1.2 * heart.rr_s))
    count = min(int(rng.choice([1, 1, 2, 3])), max(1, len(inside) // 3))
    chosen = np.sort(rng.choice(inside[:: 2 if len(inside) > 3 else 1], size=count, replace=False))
    early = []
    impulses = impulses.copy()
    for number in chosen:
        coupling = heart.rr_s * rng.uniform(0.58, 0.74)
        time = impulses[number] + max(coupling, 0.33)
        shift = time + heart.rr_s * rng.uniform(1.02, 1.18) - impulses[number + 1]
        impulses[number + 1 :] += shift
        early.append(time)
    return impulses, np.array(early)


def _early_beats(beats: Times, heart: Heart, rng: np.random.Generator) -> tuple[Times, dict[str, str]]:
    """Premature ventricular beats after some, every second or every third of these."""
    inside = np.flatnonzero((beats > 0.1) & (beats < STRIP_S - 0.9))
    pattern = str(rng.choice(["single", "single", "single", "several", "bigeminy", "trigeminy"]))
    step = {"bigeminy": 2, "trigeminy": 3}.get(pattern)
    if step:
        chosen = np.arange(inside[0] - 2 * step, inside[-1] + 1, step)
        chosen = chosen[chosen >= 0]
    else:
        apart = inside[int(rng.integers(2)) :: 2] if len(inside) > 3 else inside[:1]  # the next impulse is lost
        count = 1 if pattern == "single" else int(rng.integers(2, 4))
        chosen = rng.choice(apart, size=min(count, len(apart)), replace=False)
    coupling = max(heart.rr_s * rng.uniform(0.52, 0.66), 0.34)
    return np.sort(beats[chosen] + coupling + 0.012 * rng.standard_normal(len(chosen))), {"pvc": pattern}


def _second_degree(heart: Heart, rng: np.random.Generator) -> tuple[Callable[[int], float | None], dict[str, str]]:
    """An AV node that lets some impulses through: with growing delay (Mobitz I), a fixed one (II), or every second."""
    kinds = ["mobitz i", "mobitz i", "mobitz ii"] + (
        ["2:1"] if heart.rr_s < 0.95 else []
    )  # 2:1 of a slow node would be a standstill
    kind = str(rng.choice(kinds))
    cycle = 2 if kind == "2:1" else int(rng.integers(3, 6 if heart.rr_s < 0.85 else 5))
    start = int(rng.integers(0, cycle))
    first = heart.pr_ms / 1000 + (0.02 if kind == "mobitz i" else 0.0)
    growth = rng.uniform(0.06, 0.13)

    def node(number: int) -> float | None:
        place = (number + start) % cycle
        if place == cycle - 1:
            return None
        grown = growth * sum(0.55**earlier for earlier in range(place))  # by ever less, so that RR shortens
        return first + (grown if kind == "mobitz i" else 0.0)

    return node, {"av block": kind}


def _fibrillation(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """Atria at 5 to 8 Hz, never twice the same; ventricles without any order."""
    gaps = rng.normal(1 / rng.uniform(5.2, 7.8), 0.022, size=140)
    atria = FIRST_S + np.cumsum(np.clip(gaps, 0.09, 0.3))
    spread = rng.uniform(0.17, 0.27)
    gaps = heart.rr_s * np.exp(spread * rng.standard_normal(80) - spread**2 / 2)
    beats = FIRST_S - rng.uniform(0, 1) * heart.rr_s + np.cumsum(np.maximum(gaps, 0.31 + 0.03 * rng.random(80)))
    own = np.zeros(0)
    facts: dict[str, str] = {}
    beats = beats[beats < LAST_S]
    if heart.has("premature ventricular complex"):
        own, facts = _early_beats(beats, heart, rng)
        clear = np.array([np.abs(own - beat).min() > 0.36 for beat in beats])
        beats = beats[clear]
    events = {"fibrillation": atria[atria < LAST_S], "beat": beats, "early beat": own}
    return Rhythm(events=events, pr_s=None, breath=_breath(rng), facts=facts)


def _flutter(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """Atria at about 300 a minute, the ventricles after each second, third or fourth impulse, or now this, now that."""
    period = 60 / rng.uniform(255, 330)
    atria = np.arange(FIRST_S, LAST_S, period) + rng.uniform(0, period)
    atria = atria + 0.0015 * rng.standard_normal(len(atria))
    ratio = str(rng.choice(["2:1", "2:1", "3:1", "4:1", "4:1", "variable", "variable"]))
    chosen, number = [], int(rng.integers(0, 4))
    while number < len(atria):
        chosen.append(number)
        number += int(rng.choice([2, 3, 4, 4, 5])) if ratio == "variable" else int(ratio[0])
    delay = rng.uniform(0.12, 0.2)
    beats = atria[chosen] + delay
    return Rhythm(
        events={"flutter": atria, "beat": beats},
        pr_s=None,
        breath=_breath(rng),
        facts={"flutter": ratio, "period": f"{period:.4f}"},
    )


def _supraventricular_tachycardia(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """A circle in or near the AV node: an even, fast beat; the atria are hidden in it or follow it backwards."""
    beats = FIRST_S + np.cumsum(heart.rr_s * (1 + 0.006 * rng.standard_normal(100)))
    beats = beats[beats < LAST_S]
    hidden = rng.random() < 0.5
    back = np.zeros(0) if hidden else beats + heart.qrs_ms / 1000 + rng.uniform(0.0, 0.06)
    return Rhythm(events={"beat": beats, "retrograde p": back}, pr_s=None, breath=_breath(rng))


def _complete_block(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """Nothing passes the AV node: the atria follow the sinus node, the ventricles their own slow pacemaker."""
    breath = _breath(rng)
    period = 60 / rng.uniform(64, 102)
    atria = FIRST_S - rng.uniform(0, period) + np.cumsum(period * (1 + 0.012 * rng.standard_normal(32)))
    beats = FIRST_S - rng.uniform(0, heart.rr_s) + np.cumsum(heart.rr_s * (1 + 0.006 * rng.standard_normal(16)))
    return Rhythm(events={"p": atria[atria < LAST_S], "beat": beats[beats < LAST_S]}, pr_s=None, breath=breath)


def _paced(heart: Heart, rng: np.random.Generator) -> Rhythm:
    """A pacemaker: in the ventricle alone, after the atrium's own impulse, or in both in turn."""
    mode = str(rng.choice(["ventricular", "ventricular", "atrial-sensed", "dual"]))
    breath = _breath(rng)
    beats = FIRST_S - rng.uniform(0, heart.rr_s) + np.cumsum(np.full(24, heart.rr_s) + 0.0008 * rng.standard_normal(24))
    delay = rng.uniform(0.13, 0.19)
    events: dict[str, Times] = {}
    if mode == "atrial-sensed":
        impulses = pace(heart, breath, rng)
        beats = impulses + delay
        events["p"] = impulses
    elif mode == "dual":
        events["p"] = beats - delay + 0.03
    elif rng.random() < 0.6:  # most who are paced in the ventricle alone have atrial fibrillation
        gaps = np.clip(rng.normal(1 / rng.uniform(5.2, 7.8), 0.022, size=140), 0.09, 0.3)
        atria = FIRST_S + np.cumsum(gaps)
        events["fibrillation"] = atria[atria < LAST_S]
    else:
        period = 60 / rng.uniform(60, 95)
        events["p"] = np.arange(FIRST_S + rng.uniform(0, period), LAST_S, period)
    beats = beats[beats < LAST_S]
    spikes = beats - 0.006
    events["spike"] = np.concatenate([spikes, spikes - delay + 0.005]) if mode == "dual" else spikes
    return Rhythm(events=events | {"beat": beats}, pr_s=None, breath=breath, facts={"pacing": mode})


_RHYTHMS: dict[str, Callable[[Heart, np.random.Generator], Rhythm]] = {
    "atrial fibrillation": _fibrillation,
    "atrial flutter": _flutter,
    "supraventricular tachycardia": _supraventricular_tachycardia,
    "third degree av block": _complete_block,
    "paced rhythm": _paced,
}
