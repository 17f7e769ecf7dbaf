"""What each scheme proves, on thousands of problems that are not convex, solved globally; and what it does not."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import jko
from jko.metrics import NO_PROOF
from jko.schemes.bdf2 import SHARE
from jko.steps.problem import Form

NEWTON = jko.BlockNewton(tol=1e-12)
SEEDS = [
    0,
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6)),
]  # 500 problems each


@dataclass(frozen=True)
class Valleys:
    """One problem for each atom, ``V_i(x) = a_i x^2 / 2 + sum_j b_ij cos(w_ij x + p_ij)``; rows follow the atoms."""

    a: Tensor
    b: Tensor
    w: Tensor
    p: Tensor

    @classmethod
    def random(cls, n, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(0.05, 2, n), rng.standard_normal((n, 4)) * rng.uniform(0, 4, (n, 1))
        w, p = rng.uniform(0.3, 6, (n, 4)), rng.uniform(0, 2 * np.pi, (n, 4))
        return cls(*(torch.from_numpy(part) for part in (a, b, w, p)))

    def __call__(self, x):
        """V_i at each of the columns of x (n, k)."""
        waves = torch.cos(self.w[:, None] * x[..., None] + self.p[:, None])
        return 0.5 * self.a[:, None] * x**2 + (self.b[:, None] * waves).sum(-1)


@dataclass(frozen=True)
class Global:
    """A solver that finds the lowest place of each atom: on a grid, and then in ever finer ones around it."""

    V: Valleys
    forms: ClassVar = frozenset({Form.NATURAL})

    def solve(self, problem):
        y, h = problem.base.points, problem.tau

        def lowest(x):
            objective = self.V(x) + (x - y) ** 2 / (2 * h)
            return x.gather(1, objective.argmin(1, keepdim=True))

        x = lowest(torch.linspace(-15, 15, 601, dtype=torch.float64).expand(len(y), -1))
        for k in range(9):
            x = lowest(x + 0.1 / 5**k * torch.linspace(-1, 1, 21, dtype=torch.float64))
        return jko.StepResult.of(
            problem,
            problem.state(x),
            energy=float(self.V(x).mean()),
            cost=float(((x - y) ** 2).mean()),
            before=float(problem.before.value),
            residual=0.0,
            iterations=1,
            evaluations=1,
            status=jko.Status.CONVERGED,
            coupling=NO_PROOF,
        )


def valleys(n, seed, scheme, steps=6, growth=1.6):
    """V_i along a flow of n problems, (steps + 1, n), positions and taus, whose ratios go up to ``growth``."""
    V, rng = Valleys.random(n, seed), np.random.default_rng(seed + 1)
    x = torch.from_numpy(rng.uniform(-4, 4, (n, 1)))
    taus = rng.uniform(0.02, 3) * np.cumprod([1, *rng.uniform(0.3, 1, steps - 1) ** 2 * growth])
    energy = jko.Potential(lambda z: V(z)[:, 0])
    run = jko.flow(
        energy,
        jko.Particles(x),
        tau=lambda k: float(taus[k]),
        steps=steps,
        scheme=scheme,
        solver=Global(V),
    )
    assert not run.columns.get("fallback", np.zeros(1)).any()
    places = np.stack([state.points[:, 0].numpy() for state in run.states])
    return np.stack([V(s.points)[:, 0].numpy() for s in run.states]), places, taus


def rises(values):
    """How many problems have a step in which a number rises."""
    return int((np.diff(values, axis=0) > 1e-9 * (1 + np.abs(values[1:]))).any(0).sum())


@pytest.mark.parametrize("scheme", [jko.Implicit(), jko.ZEG()], ids=["Implicit", "ZEG"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_energy_never_rises(scheme, seed):
    assert rises(valleys(500, seed, scheme)[0]) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_modified_energy_of_bdf2_never_rises_while_tau_grows_by_1_6(seed):
    values, places, taus = valleys(500, seed, jko.BDF2())
    modified = values[1:] + SHARE * np.diff(places, axis=0) ** 2 / taus[:, None]
    assert rises(modified) == 0
    assert rises(values) > 0  # the energy itself does


def test_midpoints_and_two_stages_rise_in_some_of_these_problems():
    """So the problems tell schemes with a proof from others; each step of a flow is checked, and falls back."""
    V = Valleys.random(500, 0)
    energy = jko.Potential(lambda z: V(z)[:, 0])
    start = jko.Particles(np.random.default_rng(1).uniform(-4, 4, (500, 1)))
    step = jko.Midpoint().advance(energy, start, tau=1.0, solver=Global(V))
    assert bool((V(step.state.points) > V(start.points) + 1e-6).any())


def test_a_midpoint_behind_a_wall_lands_beyond_it():
    """``F = x + 50 min(x, 0)^2``, tau = .1, from x = .05: the half step ends at 0, and F rises from .05 to .075."""
    wall = jko.Potential(lambda z: z[:, 0] + 50 * z[:, 0].clamp(max=0) ** 2)
    start = jko.Particles([[0.05]])
    run = jko.flow(wall, start, tau=0.1, steps=1, solver=NEWTON, scheme=jko.Midpoint())
    assert run.energies.tolist() == pytest.approx([0.05, 0.075], abs=1e-12)
    assert run.columns["halfway"][0] == pytest.approx(0, abs=1e-12)
    assert run.columns["statuses"][0] == "CONVERGED"


def test_zeg_says_what_it_dissipates():
    start = jko.Particles([[1.0], [-2.0]])
    run = jko.flow(jko.SquaredNorm(), start, tau=2.0, steps=4, solver=NEWTON, scheme=jko.ZEG())
    assert (np.diff(run.energies) + run.columns["dissipated"] <= 0).all()
    assert (run.columns["dissipated"] > 0).all()
