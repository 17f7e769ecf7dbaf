r"""
Students find their teacher, if there are enough of them
========================================================

A teacher is a network of a few neurons; students see what it says, and start from random neurons. With as many
neurons as the teacher has, gradient flow may end in a local minimum. Chizat and Bach (2018) show that with
enough of them, spread over all directions, it can only end at the global one, survey 2.2.1 (iv): here the risk

.. math:: F(\mu) = \frac12 \int_D \Big(\int w \, \sigma(\theta \cdot x) \, d\mu - f(x)\Big)^2 dx

falls to nearly zero and the neurons go to the *rays* of the teacher's: for ReLU, where :math:`w \sigma(\theta
\cdot x)` is homogeneous of degree two in :math:`(w, \theta)`, only the product :math:`|w| |\theta|` counts. For
sigmoids, which are bounded, the theorem asks for more of the start; the same is seen.
"""

import torch

import jko
from jko import plots

# %%
# Two teachers of three neurons each, of ReLU and of sigmoids with a bias; data are directions on the circle.

angle = 2 * torch.pi * torch.arange(100, dtype=torch.float64) / 100
x = torch.stack([angle.cos(), angle.sin()], dim=1)
turns = torch.tensor([0.3, 2.2, 4.2], dtype=torch.float64)
signs = torch.tensor([[1.0], [-1.0], [1.0]], dtype=torch.float64)
theta = torch.stack([turns.cos(), turns.sin()], dim=1)


def ReLU(theta, x):
    """relu(theta . x), without a bias."""
    return torch.relu(theta @ x.T)


def seen(activation, neurons):
    """The risk of students who see what a network of these neurons says."""
    silent = jko.Risk(jko.Data(x, 0 * angle), activation=activation)
    return jko.Risk(jko.Data(x, silent.predict(jko.Particles(neurons))), activation=activation)


teacher = torch.cat([2 * signs, 2 * theta], dim=1)
bias = torch.full((3, 1), -2.0, dtype=torch.float64)
risks = {
    "ReLU": seen(ReLU, teacher),
    "sigmoid": seen(jko.Ridge(torch.sigmoid), torch.cat([4 * signs, 4 * theta, bias], dim=1)),
}

# %%
# Students of more and more neurons, from four draws each.

train = jko.LBFGS.training()
counts, tables = (3, 6, 12, 64), {}
for name, risk in risks.items():
    dim = 3 if name == "ReLU" else 4
    for N in counts:
        ends = []
        for draw in range(4):
            generator = torch.Generator().manual_seed(draw)
            start = jko.Particles.normal(N, dim, generator=generator, scale=dim - 2)
            flow = jko.flow(risk, start, tau=50.0, steps=60, solver=train)
            ends.append(flow.energies[-1] / flow.energies[0])
        tables.setdefault(name, []).append(ends)
        print(f"{name}, {N:2d} students: risk at the end / start", *(f"{e:.1e}" for e in ends))
    worst = [max(ends) for ends in tables[name]]
    assert worst[-1] < 1e-3
    assert worst[-1] < 0.05 * worst[0]

# %%
# One run of 64 students of ReLU, with a little weight decay, which makes a longer way dear. For ReLU what
# counts of a neuron is :math:`|w| \theta`; nearly all of :math:`\int |w| |\theta| d\mu` ends within 5 degrees
# of the teacher's three directions.

start = jko.Particles.normal(64, 3, generator=torch.Generator().manual_seed(0))
flow = jko.flow(
    risks["ReLU"] + 1e-3 * jko.SquaredNorm(),
    start,
    tau=lambda k: min(0.2 * 1.15**k, 20),
    steps=90,
    solver=train,
)
w, inner = flow.final.points[:, 0], flow.final.points[:, 1:]
strength = w.abs() * inner.norm(dim=1)
cosines = (inner @ theta.T / inner.norm(dim=1, keepdim=True)).max(1).values
near = float(strength[cosines > 0.9962].sum() / strength.sum())
last = float(risks["ReLU"](flow.final))
print(f"64 students: risk {last:.1e}, share on the teacher's rays {near:.3f}")
assert near > 0.95

# %%
# Left, the luck that few students need; right, where the 64 go.

figure, (left, right) = plots.canvas(1, 2, (9.4, 4.6))
for (name, table), colour, marker in zip(
    tables.items(), (plots.BLUE, plots.RED), "os", strict=True
):
    for draw in range(4):
        shown = [max(ends[draw], 1e-8) for ends in table]
        left.loglog(counts, shown, marker, color=colour, mfc="none")
    worst = [max(ends) for ends in table]
    left.loglog(counts, worst, color=colour, lw=1, label=f"{name}, worst of 4 draws")
left.set_xticks(counts, [f"{N}" for N in counts])
left.minorticks_off()
left.set(xlabel="students $N$", ylabel="risk at the end / at the start, or $10^{-8}$")
left.set_title("teachers of 3 neurons", fontsize=11)
left.legend(frameon=False, fontsize=9)


def ray(points):
    """In the direction of theta, with the length of the root of |w| |theta|."""
    w, inner = points[..., :1], points[..., 1:]
    return (w.abs() / inner.norm(dim=-1, keepdim=True)).sqrt() * inner


ways = ray(torch.stack([mu.points for mu in flow.states]))
right.plot(ways[:, :, 0], ways[:, :, 1], color=plots.GREY, lw=0.6)
for s, colour, marker in ((1, plots.RED, "o"), (-1, plots.BLUE, "s")):
    label = f"$w {'<>'[s > 0]} 0$"
    right.plot(
        *ways[-1][w * s > 0].T, marker, color=colour, ms=5, mec="white", mew=0.5, label=label
    )
    for x, y in ray(teacher)[signs[:, 0] == s]:
        right.plot([0, 3 * x], [0, 3 * y], color=colour, lw=1, ls="--", zorder=0)
right.set(xlabel="$\\theta_1 \\, (|w| / |\\theta|)^{1/2}$", aspect="equal")
right.set_ylabel("$\\theta_2 \\, (|w| / |\\theta|)^{1/2}$")
right.set_title("64 students, ReLU; dashed: the teacher's rays", fontsize=11)
right.legend(frameon=False, fontsize=9)
plots.show(figure, "teachers")
