"""What was renamed in 0.2 works under its old name, gives the same, and warns."""

import pytest
import torch

import jko
from jko.diagnostics import Convergence, best_particles
from jko.limits import moment_rate
from jko.metrics import projection_loss

ATOMS = jko.Particles([[1.0, 0.5], [2.0, -0.5]])
OTHER = jko.Particles([[0.0, 0.5], [1.0, -0.5]])
W2, E = jko.Wasserstein(), jko.SquaredNorm()


def psi(theta):
    return theta[:, 0]


def shrunk(tau):
    return ATOMS.moved(tau * ATOMS.points)


ORIGIN = ATOMS.moved(torch.zeros_like(ATOMS.points))

CALLS = {
    "argument 3 of distance is now metric=...": (
        lambda: jko.distance(ATOMS, OTHER, W2).value,
        lambda: jko.distance(ATOMS, OTHER, metric=W2).value,
    ),
    "argument 4 of geodesic is now metric=...": (
        lambda: jko.geodesic(ATOMS, OTHER, 0.5, W2).points.tolist(),
        lambda: jko.geodesic(ATOMS, OTHER, 0.5, metric=W2).points.tolist(),
    ),
    "the argument mu of projection_loss is now state": (
        lambda: projection_loss(mu=ATOMS, width=2.0),
        lambda: projection_loss(state=ATOMS, width=2.0),
    ),
    "the argument mu of moment_rate is now state": (
        lambda: moment_rate(E, mu=ATOMS, i=1, psi=psi),
        lambda: moment_rate(E, state=ATOMS, i=1, psi=psi),
    ),
    "the argument taus of convergence is now parameters": (
        lambda: jko.convergence(shrunk, ORIGIN, taus=[0.2, 0.1]).errors.tolist(),
        lambda: jko.convergence(shrunk, ORIGIN, parameters=[0.2, 0.1]).errors.tolist(),
    ),
    "Convergence.taus is now parameters": (
        lambda: Convergence([0.2], [1.0]).taus,
        lambda: Convergence([0.2], [1.0]).parameters,
    ),
    "the argument max_steps of best_particles is now max_iterations": (
        lambda: best_particles(E, ATOMS, max_steps=2).energy,
        lambda: best_particles(E, ATOMS, max_iterations=2).energy,
    ),
    "BestParticles.steps is now iterations": (
        lambda: best_particles(E, ATOMS).steps,
        lambda: best_particles(E, ATOMS).iterations,
    ),
}


@pytest.mark.parametrize("sentence", CALLS)
def test_the_old_name_gives_the_same_and_warns(sentence):
    old, new = CALLS[sentence]
    with pytest.warns(DeprecationWarning, match="is now") as said:
        found = old()
    assert found == new()
    assert [str(w.message).split(";")[0] for w in said] == [sentence]
    assert said[0].filename == __file__
