r"""
How fast a flow comes to rest
=============================

An inequality :math:`I(\mu) \geq r\, (F(\mu) - F_*)` between the dissipation (3.9) and the energy gives
:math:`F(\mu_t) - F_* \leq e^{-rt} (F(\mu_0) - F_*)`. Survey 5.1 (ii) asks for it; footnote 13 has its regularised
case. Here :math:`r` is looked for, from above by a search, near rest by a spectrum, from below by a theorem.

The network is linear, :math:`\Phi = w \theta x`, with an entropy, so that normal laws stay normal and everything can be
compared with closed forms: its covariance comes to rest at the rates 1.42422, 2 and 3.72290, its mean at
:math:`\lambda - |q| = .2374`.
"""

import torch

import jko
from jko import plots
from jko.diagnostics import decay, dissipation_ratio, lojasiewicz, spectral_gap

kind = {"s2": 0.8, "target": 1.5, "lam": 1.0, "beta": 0.3}
x = torch.tensor([[0.8**0.5]], dtype=torch.float64)
risk = jko.Risk(jko.Data(x, 1.5 * x[:, 0]), features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)
F = risk + jko.SquaredNorm() + 0.3 * jko.Entropy()

# %%
# At rest: the eigenvalues among normal laws of mean zero, among all normal laws, and among all densities.

rest = jko.Gaussian(*jko.exact.network_rest(**kind), nodes=25)
even = spectral_gap(F, rest, even=True)
print("normal laws of mean zero:", even)
print("normal laws:             ", spectral_gap(F, rest))
assert abs(even.rate - 2.84845) < 1e-4

cells = jko.minimiser(F, jko.Grid((-6.0, 6.0), (48, 48))).state
print("densities:               ", spectral_gap(F, cells))

# %%
# The slowest motion of all is that of the mean, 2 (1 - .7626) = .4748, and this is what the theorem of Bakry and Emery
# proves in the limit of small levels: nothing is lost. The rate 2.848 belongs to normal laws of mean zero; other even
# densities have the quartic mode, 8 (1 - .7626) = 1.90.

for level in (1e-6, 1e-3, 1e-2):
    bound = jko.diagnostics.proved_ratio(F, cells, level=level)
    print(f"level {level:g}: proved {bound.value:.4f}, {bound.theorem}")
assert abs(jko.diagnostics.proved_ratio(F, cells, level=1e-9).value - 0.4748) < 0.01

# %%
# Away from rest the ratio of even normal laws falls below 2.848 at once: the search says how far.

found = dissipation_ratio(F, rest, level=0.05, even=True, max_iterations=10)
print(found)
assert found.value < found.at_rest

# %%
# Without convexity there may be no exponential at all. For :math:`F = \int |x|^4 d\mu` Lojasiewicz's inequality has the
# exponent 3/4, and :math:`F \sim t^{-2}`.

quartic, atoms = jko.energies.PowerNorm(4), jko.Particles([[1.0], [-0.6], [0.2]])
run = jko.limits.wasserstein(
    quartic, atoms, t1=300.0, times=torch.linspace(0, 300, 121), rtol=1e-10
)
exponent = lojasiewicz(quartic, run, minimum=0.0, since=30.0)
print(exponent, decay(run.times, run.energies), sep="\n")
assert abs(exponent.exponent - 0.75) < 1e-2

figure, (left, right) = plots.canvas(1, 2, (10.5, 4.6))
plots.dissipation_ratio(found, left)
left.set_title("normal laws of mean zero", fontsize=11)
plots.lojasiewicz(exponent, right)
right.set_title("$F = \\int |x|^4 d\\mu$", fontsize=11)
plots.show(figure, "coming_to_rest")
