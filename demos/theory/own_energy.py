r"""
An energy of one's own
======================

Heat spreads a normal law as a deterministic flow does, one whose energy sees the covariance alone:

.. math:: E(\mu) = -\frac12 \log\det S(\mu), \qquad S(\mu) = \int (\xi - m)(\xi - m)^\top d\mu, \quad
          m = \int \xi \, d\mu .

``jko`` has no such energy. It takes ten lines: the value, and the first variation

.. math:: \frac{\delta E}{\delta \mu}(\xi) = -\frac12 (\xi - m)^\top S^{-1} (\xi - m) .

Then steps, flows, limits and sums with other energies work for it, and ``jko.testing.check_energy`` says
whether value, variation and gradient belong together.
"""

from dataclasses import dataclass

import numpy as np
import torch

import jko
from jko import exact, plots
from jko.testing import check_energy, samples

# %%
# The class. What an energy reads of a state are its ``atoms``: points, weights, and integrals.


def covariance(mu):
    """Mean (d,) and covariance (d, d)."""
    m = mu.integrate(mu.points)
    z = mu.points - m
    return m, mu.integrate(z[:, :, None] * z[:, None, :])


@dataclass(frozen=True)
class LogVolume(jko.Energy):
    """``-1/2 log det S(mu)``."""

    def __call__(self, state):
        """The value, differentiable in the points."""
        mu = state.atoms
        return -0.5 * torch.logdet(covariance(mu)[1])

    def variation(self, state, at=None):
        """The first variation at the points ``at``, (n,)."""
        mu = state.atoms
        m, S = covariance(mu)
        z = (mu.points if at is None else at) - m
        return -0.5 * (z @ torch.linalg.inv(S) * z).sum(1)


check_energy(LogVolume(), [samples.cloud(2)])

# %%
# With a quadratic potential, from two lumps. A step is affine, since the energy sees moments alone: so mean and
# covariance obey the closed form of a normal law with entropy, (4.2), though the measure is not normal at all.

generator = torch.Generator().manual_seed(1)
lumps = jko.Particles.normal(60, 2, generator=generator, scale=0.15).points
lumps = lumps + torch.tensor([[1.4, 0.6], [0.4, 1.0]]).double().repeat_interleave(30, 0)
start = jko.Particles(lumps)
E = LogVolume() + jko.SquaredNorm()
flow = jko.flow(E, start, tau=0.1, steps=40, solver=jko.LBFGS(tol=1e-12))
laws = [exact.NormalLaw(start.mean().numpy(), start.covariance().numpy())]
for _ in range(40):
    laws.append(exact.gaussian_step(*laws[-1], A=1.0, beta=1.0, tau=0.1))
away = max(
    np.abs(mu.covariance().numpy() - law.covariance).max()
    + np.abs(mu.mean().numpy() - law.mean).max()
    for mu, law in zip(flow.states, laws, strict=True)
)
print(f"mean and covariance of 40 steps against the closed form: {away:.1e}")
assert away < 1e-9

# %%
# The lumps spread until their covariance is the identity, and stay two lumps.

figure, (left, right) = plots.canvas(1, 2, (9.2, 4.4))
ways = torch.stack([mu.points for mu in flow.states])
left.plot(ways[:, :, 0], ways[:, :, 1], color=plots.GREY, lw=0.6)
left.plot(*start.points.T, "o", color=plots.GREY, ms=3, label="start")
left.plot(*flow.final.points.T, "o", color=plots.BLUE, ms=4, label="$t = 4$")
turn = np.linspace(0, 2 * np.pi, 200)
root = np.linalg.cholesky(laws[-1].covariance)
ellipse = laws[-1].mean[:, None] + 2 * root @ np.stack([np.cos(turn), np.sin(turn)])
left.plot(*ellipse, color=plots.RED, lw=1, label="two deviations of the normal law")
left.set(xlabel="$\\xi_1$", ylabel="$\\xi_2$", aspect="equal", ylim=(-4.6, 3.6))
left.legend(frameon=False, fontsize=9, loc="upper left")
for k, (colour, marker) in enumerate(((plots.BLUE, "o"), (plots.RED, "s"))):
    found = [np.linalg.eigvalsh(mu.covariance().numpy())[k] for mu in flow.states]
    known = [np.linalg.eigvalsh(law.covariance)[k] for law in laws]
    name = ("smaller", "larger")[k]
    right.plot(flow.times[::4], found[::4], marker, color=colour, ms=5, mfc="none", label=name)
    right.plot(flow.times, known, color=colour, lw=1)
right.plot([], [], color=plots.BLACK, lw=1, label="closed form")
right.set(xlabel="flow time $t$", ylabel="eigenvalues of the covariance", ylim=(0, 1.1))
right.legend(frameon=False, fontsize=9, loc="lower right")
plots.show(figure, "own_energy")
