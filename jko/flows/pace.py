"""The arguments of a flow that say when: which steps, and which states are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from jko import checks
from jko.flows.adaptive import Adaptive
from jko.flows.clock import Clock, Goals, Pace
from jko.flows.controlled import Controlled
from jko.flows.greedy import Greedy
from jko.ledger import Save
from jko.measures import State
from jko.schemes import Scheme


def saved(save: int | Sequence[float]) -> Save:
    """Every so many steps, or the times, in order."""
    if isinstance(save, (int, np.integer)) or not np.iterable(save):
        return checks.count("save", save)
    times = checks.floats("save", save).double().flatten()
    if not (times.numel() and bool(torch.isfinite(times).all()) and bool((times >= 0).all())):
        raise ValueError("save must be a number of steps, or times >= 0, one at least")
    return tuple(times.unique().tolist())


def pace_of(
    tau: float | Callable[[int], float] | Adaptive | Greedy,
    goals: Goals,
    retry: int,
    scheme: Scheme,
    state: State,
) -> Pace:
    """How the steps are chosen."""
    if isinstance(tau, (Adaptive, Greedy)):
        return Controlled(tau.rule(scheme, state), goals, checks.count("retry", retry, least=0))
    return Clock.of(tau, goals, retry)
