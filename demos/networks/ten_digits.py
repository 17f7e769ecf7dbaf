r"""
Ten digits
==========

A network with ten outputs has neurons :math:`\xi = (w_1, \dots, w_{10}, \theta)` and says :math:`f_\mu(x) =
\int w \, h(\theta, x) \, d\mu \in \mathbb{R}^{10}`: as a function on :math:`D \times \{1, \dots, 10\}` it is
the survey's (2.5), so that energies, steps and proofs need nothing new. The loss is the logistic one, convex in
:math:`f_\mu` and therefore in :math:`\mu`,

.. math:: F(\mu) = \frac1M \sum_m \Big(\log \sum_j e^{f_\mu(x_m)_j} - f_\mu(x_m)_{c_m}\Big)
          + \frac\lambda2 \int |\xi|^2 d\mu ,

for the class :math:`c_m` of each picture. Data: 8 x 8 pictures of handwritten digits, shipped with scikit-learn.
"""

import torch
from sklearn.datasets import load_digits

import jko
from jko import plots

# %%
# Two thirds of the pictures to learn from, the rest to be tested on; one column for each class.

pictures, digits = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
pictures = (pictures / 16 - 0.3) / 0.38
known = torch.arange(len(digits)) % 3 > 0
one_hot = torch.nn.functional.one_hot(digits.long(), 10).double()
data = jko.Data(pictures[known], one_hot[known])

# %%
# Two hundred neurons, and large steps: what is asked for is a good network, not the flow. Still each step
# lowers the energy by more than the move costs.

generator = torch.Generator().manual_seed(0)
risk = jko.Risk(data, activation=jko.networks.ridge("tanh"), loss=jko.Logistic())
start = jko.networks.drawn(200, data, generator)
F = risk + 1e-5 * jko.SquaredNorm()
flow = jko.flow(F, start, tau=500.0, steps=40, solver=jko.LBFGS.training())
print(flow)

# %%
# How many of the others it gets right.

says = jko.Logistic().probabilities(risk.predict(flow.final, pictures[~known]))
guess, truth = says.argmax(1), digits[~known].long()
right = float((guess == truth).double().mean())
print(f"test accuracy {100 * right:.2f} % of {len(truth)}, smallest slack {flow.slacks.min():.1e}")
assert flow.slacks.min() >= 0
assert right > 0.96

# %%
# Those it was least sure of, with its guess, and red where it is wrong.

least = says.max(1).values.argsort()[:12]
figure, axes = plots.canvas(2, 6, (8.6, 3.4))
for ax, k in zip(axes, least, strict=True):
    ax.imshow(pictures[~known][k].reshape(8, 8).numpy(), cmap="Greys")
    ax.set_axis_off()
    wrong = guess[k] != truth[k]
    text = f"{int(guess[k])}" + (f", is {int(truth[k])}" if wrong else "")
    text += f" ({100 * float(says[k].max()):.0f} %)"
    ax.set_title(text, fontsize=11, color=plots.RED if wrong else plots.BLACK)
plots.show(figure, "ten_digits")
