"""Section 2.2: what the discrete problem and the problem over all measures have to do with each other."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko.energies import Risk
from jko.measures import Particles
from jko.networks import Data
from jko.steps import LBFGS, step
from jko.survey.claims import Curve, Measurement, Picture, counterexample, identity, limit
from jko.survey.instances import descent, features, net


@identity(
    "2.2.1 (ii)",
    "the Wasserstein flow from atoms is the gradient descent (2.4) of the discrete problem",
)
def flow_of_atoms(quick: bool) -> Measurement:
    """limits.wasserstein against (2.4) written out and integrated by scipy: largest distance of a neuron at t = 2."""
    example = net(10)
    hand = descent(example.points, np.full(10, 1 / 10), example.data, 2.0)
    ours = jko.limits.wasserstein(example.F, example.mu, t1=2.0, rtol=1e-10).final.atoms
    return Measurement(float(np.abs(ours.points.numpy() - hand).max()), 0.0, 1e-6)


@limit(
    "2.2.1 (i)",
    r"$N$ atoms drawn from $\mu$ have $E F(\mu_N) - F(\mu) = \frac{1}{2N} \int \operatorname{Var} \Phi(\cdot, "
    r"x)\, dx$: order $1/N$",
)
def sampling(quick: bool) -> Measurement:
    """The mean over N = 8 ... 256 of the ratio of both sides, the left one over samples, the right one written out.

    From F(mu_N) - F(mu) its first variation is taken off, whose mean over the samples is zero.
    """
    example, repeats = net(2000), 200 if quick else 4000
    x, _, q = example.data
    variance = float(q @ features(example.points, x).var(axis=0)) / 2
    F, mu, generator = example.risk, example.mu, torch.Generator().manual_seed(3)
    base, phi = float(F(mu)), F.variation(mu)
    phi = phi - phi.mean()
    sizes = [8, 16, 32, 64, 128, 256]
    excess = []
    for N in sizes:
        rows = torch.randint(mu.N, (repeats, N), generator=generator)
        values = [float(F(Particles(mu.points[r])) - phi[r].mean()) - base for r in rows]
        excess.append(float(np.mean(values)))
    theory = [variance / N for N in sizes]
    picture = Picture(
        (
            Curve(sizes, excess, "mean over samples", "dots"),
            Curve(sizes, theory, "$\\frac{1}{2N}\\int$ Var", "dashed"),
        ),
        "atoms $N$",
        "$E\\,F(\\mu_N) - F(\\mu)$",
        True,
        True,
    )
    ratio = float(np.mean(np.divide(excess, theory)))
    return Measurement(ratio, 1.0, 0.1 if quick else 0.03, picture=picture)


@identity(
    "2.2 end",
    "the flow never splits an atom: what starts at one place stays there, and moves by its whole mass",
)
def atoms_in_the_flow(quick: bool) -> Measurement:
    """Twelve atoms of unequal masses at four places, against four by scipy: largest distance at t = 3."""
    example = net(4)
    masses = np.arange(1.0, 13.0) / 78
    mu = Particles(example.points.repeat(3, axis=0), masses)
    final = jko.limits.wasserstein(example.F, mu, t1=3.0, rtol=1e-10).final
    hand = descent(example.points, masses.reshape(4, 3).sum(1), example.data, 3.0)
    apart = np.abs(final.support.numpy() - hand.repeat(3, axis=0)).max()
    return Measurement(float(apart), 0.0, 1e-6)


@counterexample(
    "2.2 end", r"a JKO step of finite $\tau$ may split an atom, which the flow never does"
)
def splitting(quick: bool) -> Measurement:
    """What the step from delta_0 gains by two half atoms over one: features (xi^2, xi), target (1, 0), tau = 2."""
    data = Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
    F = Risk(data, features=lambda xi, x: torch.where(x[:, 0] == 0, xi**2, xi))
    values = [
        step(F, Particles(atoms), tau=2.0, solver=LBFGS(tol=1e-12)).objective
        for atoms in ([[1e-6]], [[-1e-6], [1e-6]])
    ]
    return Measurement(values[0] - values[1], 15 / 32 - 7 / 32, 1e-5)
