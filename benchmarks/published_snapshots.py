"""Potentials from snapshots: the error of grad V in and out of the span, and what the wrong scheme costs.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/published_snapshots.py

The problem is that of JKOnet (Bunne et al., AISTATS 2022) and JKOnet* (Terpin et al., NeurIPS 2024): clouds of 1000
atoms, uniform on [-4, 4]^2 at first, five transitions of tau = 0.01, shuffled, and test functions of optimisation as
potentials.  Those train networks, or solve for the coefficients of features; here ``jko.snapshots.fit`` does the latter
on exact plans.  ``in span``: monomials to degree 4.  ``wide``: these and 100 Gaussian bumps, ridge 0.01.

``made by`` is the scheme of the data; each is read as implicit and as explicit steps.  The error is that of the
gradient at the first 1000 atoms, relative; ``refused`` is what the result itself says.
"""

from __future__ import annotations

import math
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch

import jko
from jko.snapshots import Bumps, Monomials, fit

N, STEPS, TAU = 1000, 5, 0.01


def sphere(x):
    return 5 * x.square().sum(-1)


def styblinski_tang(x):
    return 0.5 * (x**4 - 16 * x**2 + 5 * x).sum(-1)


def well(x):
    """Of degree 4 with all mixed terms, as Rosenbrock's valley."""
    return 0.1 * (1 - x[:, 0]) ** 2 + 0.2 * (x[:, 1] - x[:, 0] ** 2) ** 2


def holder_table(x):
    rings = (1 - x.norm(dim=1) / math.pi).abs().exp()
    return -10 * (x[:, 0].sin() * x[:, 1].cos() * rings).abs()


def bohachevsky(x):
    waves = 0.3 * (3 * math.pi * x[:, 0]).cos() + 0.4 * (4 * math.pi * x[:, 1]).cos()
    return x[:, 0] ** 2 + 2 * x[:, 1] ** 2 - waves


def ring(x):
    return 10 * torch.exp(-((x.norm(dim=1) - 2) ** 2))


POTENTIALS = {
    "sphere": sphere,
    "Styblinski-Tang": styblinski_tang,
    "valley": well,
    "Holder table": holder_table,
    "Bohachevsky": bohachevsky,
    "ring": ring,
}
CENTRES = torch.cartesian_prod(*[torch.linspace(-4, 4, 10).double()] * 2)
FEATURES = {"in span": (Monomials(4), 0.0), "wide": ([Monomials(4), Bumps(CENTRES, 0.8)], 0.01)}


def clouds(V: jko.Potential, scheme: str):
    """Snapshots, each in an order of its own."""
    generator = torch.Generator().manual_seed(0)
    box = jko.Box([-4.0, -4.0], [4.0, 4.0])
    x = jko.Particles(jko.Particles.uniform(N, box, generator=generator).points)
    if scheme == "implicit":
        run = jko.flow(V, x, tau=TAU, steps=STEPS, solver=jko.LBFGS(tol=1e-12), throw=False)
        found = [state.points for state in run.states]
    else:
        found = [x.points]
        for _ in range(STEPS):
            found.append(found[-1] - TAU * V.gradient(x.moved(found[-1])))
    return x, [z[torch.randperm(N, generator=generator)] for z in found]


def main() -> None:
    """The table."""
    print(
        f"{'V':16} {'made by':9} {'features':9} {'error':>8} {'wrong scheme':>13} {'residual':>9} {'held out':>9} "
        f"{'better':>9} {'refused':>8} {'CPU s':>6}"
    )
    for name, function in POTENTIALS.items():
        V = jko.Potential(function)
        for scheme, other in (("implicit", "explicit"), ("explicit", "implicit")):
            x, data = clouds(V, scheme)
            right = V.gradient(x)
            for features, (phi, ridge) in FEATURES.items():
                begun = time.process_time()
                found, wrong = (
                    fit(data, phi, tau=TAU, scheme=how, ridge=ridge) for how in (scheme, other)
                )
                seconds = 0.5 * (time.process_time() - begun)
                errors = [
                    float((f.potential.gradient(x) - right).norm() / right.norm())
                    for f in (found, wrong)
                ]
                print(
                    f"{name:16} {scheme:9} {features:9} {errors[0]:8.1e} {errors[1]:13.1e} {found.residual:9.1e} "
                    f"{found.held_out.max():9.1e} {found.fits_better:>9} "
                    f"{'yes' if found.refused else 'no':>8} {seconds:6.1f}"
                )


if __name__ == "__main__":
    main()
