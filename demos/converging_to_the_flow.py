"""As tau -> 0 the JKO steps converge to the gradient flow, at first order: in W2 on measures, in D on pairs (rho, H).

The witness, ``jko.limits.wasserstein``, is an ordinary differential equation that knows no steps.
Run it by ``python demos/converging_to_the_flow.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import plots

TAUS = [0.4, 0.2, 0.1, 0.05, 0.025]
generator = torch.Generator().manual_seed(0)
x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 0.01 * jko.SquaredNorm()
mu = jko.Particles.normal(50, 3, generator=generator)

tables = {}
for name, start in (("W2: measures", mu), ("D: pairs (rho, H)", mu.project())):
    limit = jko.limits.wasserstein(F, start, t1=2.0)

    def run(tau, start=start):
        return jko.flow(F, start, tau=tau, t1=2.0, solver=jko.LBFGS(tol=1e-10))

    tables[name] = jko.convergence(run, limit, parameters=TAUS)
    print(name, tables[name], sep="\n")

figure, (ax,) = plots.canvas(1, 1, (5.6, 4.4))
plots.convergence(tables, ax)
ax.set_title("JKO steps against the gradient flow at $t = 2$", fontsize=11)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "converging_to_the_flow.png"))
