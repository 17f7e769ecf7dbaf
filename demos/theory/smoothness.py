r"""
How smooth a flow stays
=======================

Section 5.1 (i) of the survey asks whether smoothness is kept. Along the characteristics of (3.7),
:math:`x' = -\nabla\phi`, the density obeys :math:`(\log\mu)' = \operatorname{tr}\operatorname{Hess}\phi`, so

.. math:: |\mu_t|_\infty \le |\mu_0|_\infty \exp \int_0^t \sup \operatorname{tr} \operatorname{Hess} \phi \; ds ,

and no singularity comes in finite time. Of a pair :math:`(\rho, H)` one may: :math:`\rho` is infinite where the graph
of :math:`H` folds. With noise in :math:`\theta`, Remark 4.1, there is none; but then it matters what the noise does to
:math:`H`, and only one of three readings is a gradient flow.
"""

import numpy as np
import torch

import jko
from jko import plots
from jko.diagnostics import noise_readings, smooth_time, smoothness

x = torch.linspace(-2, 2, 24, dtype=torch.float64)[:, None]
data = jko.Data(x, 1.5 * torch.sin(1.5 * x[:, 0]))
G = jko.Risk(data, activation=lambda theta, x: torch.tanh(x.T + theta)) + 0.1 * jko.SquaredNorm()

# %%
# A network of 200 neurons that start normal: the density is ten times as high at t = 3.8, and is guaranteed not to be
# before t = 1.9; from the start alone, without a run, before t = .69.

neurons = jko.Particles.normal(200, 2, generator=torch.Generator().manual_seed(0))
found = smoothness(G, neurons, t1=5.0, log_density=lambda z: -0.5 * (z**2).sum(-1))
charge = float(neurons.points[:, 0].abs().max())
alone = smooth_time(float(G(neurons)), charge=charge, bounds=(1.0, 0.7699), lam=0.1)
print(found, f"\nfrom the start alone: {alone:.3f}")
assert alone < found.guaranteed < found.measured < 5.0
assert found.doubt < 1e-4

# %%
# A pair with a large charge, whose graph folds.

theta = torch.linspace(-1.5, 2.0, 80, dtype=torch.float64)
pair = jko.ChargedParticles(theta[:, None], 2 * torch.sin(2 * theta))
folded = smoothness(G, pair, t1=3.0, slope=4 * torch.cos(2 * theta))
print(folded)
assert folded.guaranteed <= folded.measured < folded.fold

# %%
# The three readings of Remark 4.1 where all is known in closed form.

E = jko.SquaredNorm() + jko.Entropy()
affine = jko.ChargedDensity.from_function(
    jko.Grid((-3.0, 3.0), 200), lambda t: torch.exp(-2 * t[:, 0] ** 2), lambda t: 3 * t[:, 0]
)
readings = noise_readings(E, affine)
print(readings)
assert np.allclose([r.measured for r in readings], [-4.5, 4.5, -13.5], atol=0.05)

# %%
# The largest densities, and the energies.

figure, axes = plots.canvas(1, 3, (13, 4.4))
plots.smoothness(found, axes[0]).set_title("neurons", fontsize=10)
plots.smoothness(folded, axes[1]).set_title("a pair whose graph folds", fontsize=10)
names = {"carried": "$H$ is carried", "literal": "it is not", "averaged": "mean over atoms"}
mesh = jko.ChargedMesh.from_function(
    lambda t: torch.exp(-2 * t[:, 0] ** 2), lambda t: 3 * t[:, 0], (-3.0, 3.0), 80
)
runs = {
    name: jko.limits.chaos(E, mesh, t1=0.5, times=np.linspace(0.02, 0.5, 25), noise=noise)
    for noise, name in names.items()
}
plots.energies(runs, axes[2]).set_title("Remark 4.1, three readings", fontsize=10)
plots.show(figure, "smoothness")
