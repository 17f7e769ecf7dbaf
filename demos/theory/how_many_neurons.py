r"""
N neurons, and infinitely many
==============================

As :math:`N \to \infty` the flow of :math:`N` neurons drawn from a law becomes the flow of the law (survey 3.3, 5.1).
How fast? In each repeat one sample is drawn; its first :math:`N` neurons are the start for every :math:`N`, and all
of them also move, without mass, in the field of the limit: the distance of the two paths is what theorems on
propagation of chaos bound by :math:`C(t) / \sqrt N`. Exponents come with intervals, or they would say nothing.

The network is linear, :math:`\Phi = w \theta x`, so that the limit is known from second moments alone.
"""

import numpy as np
import torch

import jko
from jko import exact, plots
from jko.diagnostics import chaos_study

Z = np.array([[1.0, 0.4], [0.4, 0.8]])  # second moments of the law
root = torch.from_numpy(np.linalg.cholesky(Z))
x = torch.tensor([[0.8**0.5]], dtype=torch.float64)
F = jko.Risk(jko.Data(x, 1.5 * x[:, 0]), features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)


def law(N, generator):
    return jko.Particles(torch.randn(N, 2, generator=generator, dtype=torch.float64) @ root.T)


def limit(t):
    P = exact.linear_flow(Z, s2=0.8, target=1.5, t=t)
    return [0.8**0.5 * (P @ Z @ P)[0, 1]]


# %%
# Sixteen repeats are enough for intervals that exclude 0 and 1.

study = chaos_study(
    F, law, sizes=[8, 16, 32, 64], times=np.linspace(0, 3, 7), repeats=16, exact=limit, rtol=1e-4
)
print(study)
assert study.order.excludes(0, 1)
assert study.path_order.excludes(0, 1)

# %%
# In time the error falls, because the risk has one minimum and all samples find it.

figure, (left, right) = plots.canvas(1, 2, (10.5, 4.8))
plots.chaos(study, left)
plots.chaos_in_time(study, right)
plots.show(figure, "how_many_neurons")
