"""A network of 200 neurons learns sin(pi x): the curve, and the paths of its neurons.

Run it by ``python demos/sine.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import plots

x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
risk = jko.Risk(jko.Data(x, torch.sin(torch.pi * x[:, 0])), activation=jko.Ridge(torch.tanh))
F = risk + 1e-4 * jko.SquaredNorm()
neurons = jko.Particles.normal(200, 3, generator=torch.Generator().manual_seed(0))
flow = jko.flow(F, neurons, tau=5.0, steps=60)
print(flow)
print(f"risk {float(risk(flow.final)):.2e}, smallest slack {flow.slacks.min():.1e}")

figure, (left, right) = plots.canvas(1, 2, (10.4, 4.9))
for k, colour in zip((1, 2, 4, 8, 16, 32), plots.shades(6), strict=True):
    left.plot(x[:, 0], risk.predict(flow.states[k]), color=colour, lw=0.9)
plots.curve(
    x, risk.predict(flow.final), left, {"$\\sin \\pi x$": (x[::4], risk.data.f[::4])}, unit="$f$"
)
left.set_title("the network; pale: after 1, 2, 4, ..., 32 steps", fontsize=11)
plots.paths(flow, right)
right.set_title("its neurons: the weight $w$ against the slope $\\theta_1$", fontsize=11)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "sine.png"))
