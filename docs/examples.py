"""Examples of names whose files have no room for them: they stand on their pages, and run with the tests."""

EXAMPLES = {
    "jko.State": """
>>> import jko
>>> mu = jko.Particles([[0.0], [2.0]], [0.25, 0.75])
>>> isinstance(mu, jko.State), float(mu.mean()), mu.dim
(True, 1.5, 1)
""",
    "jko.Energy": """
>>> import jko
>>> E = 2 * jko.SquaredNorm() - jko.Potential(lambda x: x[:, 0])
>>> mu = jko.Particles([[3.0]])
>>> float(E(mu)), E.variation(mu).tolist(), E.gradient(mu).tolist()
(6.0, [6.0], [[5.0]])
""",
    "jko.energies.Curvature": """
>>> import jko
>>> jko.SquaredNorm().second_order(jko.Particles([[1.0, 2.0]])).blocks.tolist()
[[[1.0, 0.0], [0.0, 1.0]]]
""",
    "jko.energies.Evaluation": """
>>> import jko
>>> found = jko.SquaredNorm().evaluate(jko.Particles([[1.0], [3.0]]))
>>> float(found.value), found.gradient.tolist()
(2.5, [[1.0], [3.0]])
""",
    "jko.energies.Scaled": """
>>> import jko
>>> E = 3 * jko.SquaredNorm()
>>> isinstance(E, jko.energies.Scaled), E.coefficient
(True, 3.0)
""",
    "jko.energies.Sum": """
>>> import jko
>>> E = jko.SquaredNorm() + jko.energies.PowerNorm(4)
>>> isinstance(E, jko.energies.Sum), len(E.energies)
(True, 2)
""",
    "jko.metrics.Certificate": """
>>> import jko
>>> result = jko.step(jko.SquaredNorm(), jko.Particles([[0.0], [1.0]]), tau=0.1)
>>> result.coupling.optimal
True
""",
    "jko.metrics.Proof": """
>>> import jko
>>> result = jko.step(jko.SquaredNorm(), jko.Particles([[0.0], [1.0]]), tau=0.1)
>>> isinstance(result.coupling.proof, jko.metrics.Proof)
True
""",
    "jko.metrics.by_potential": """
>>> import numpy as np
>>> from jko import metrics
>>> x = np.array([[0.0], [1.0]])
>>> metrics.by_potential(x, x + 1.0, np.array([0.5, 0.5]), x[:, 0]).optimal
True
""",
    "jko.metrics.by_assignment": """
>>> import numpy as np
>>> from jko import metrics
>>> x = np.array([[0.0], [1.0]])
>>> metrics.by_assignment(x, x + 1.0, np.array([0.5, 0.5])).optimal
True
""",
    "jko.metrics.certify_plan": """
>>> import numpy as np
>>> from jko import metrics
>>> x, y, half = np.array([[0.0], [1.0]]), np.array([[2.0], [1.0]]), np.array([0.5, 0.5])
>>> plan = metrics.referee(x, half, y, half)[1]
>>> metrics.certify_plan(x, y, half, plan).optimal
True
""",
    "jko.metrics.small_displacement": """
>>> import numpy as np
>>> from jko import metrics
>>> x = np.array([[0.0], [1.0]])
>>> metrics.small_displacement(x, x + 0.1), metrics.small_displacement(x, x[::-1].copy())
(True, False)
""",
    "jko.survey.Kind": """
>>> from jko import survey
>>> survey.Kind.LIMIT.value
'limit with order'
""",
    "jko.survey.Curve": """
>>> from jko.survey import Curve
>>> Curve([0.0, 1.0], [1.0, 2.0], "a line").style
'line'
""",
    "jko.survey.Picture": """
>>> from jko.survey import Curve, Picture
>>> Picture((Curve([1.0, 2.0], [1.0, 4.0]),), "x", "y", logx=True).logy
False
""",
    "jko.survey.Entry": """
>>> from jko import survey
>>> survey.entries("2.2.1")[0].run(quick=True).passed
True
""",
    "jko.survey.Claim": """
>>> from jko import survey
>>> claim = survey.entries("2.2.1")[0].run(quick=True)
>>> abs(claim.measured - claim.expected) <= claim.tolerance
True
""",
    "jko.survey.Measurement": """
>>> from jko import survey
>>> survey.Measurement(measured=1.01, expected=1.0, tolerance=0.1).holds(survey.Kind.IDENTITY)
True
""",
    "jko.survey.claim": """
>>> from jko import survey
>>> isinstance(survey.entries()[0].kind, survey.Kind)  # what ``claim`` has registered
True
""",
    "jko.survey.entries": """
>>> from jko import survey
>>> survey.entries("3.23")[0].equation
'(3.23)-(3.24)'
""",
    "jko.survey.validate": """
>>> from jko import survey
>>> all(claim.passed for claim in survey.validate("2.2.1 (ii)", quick=True))
True
""",
    "jko.measures.Pair": """
>>> import jko
>>> pair = jko.ChargedParticles([[0.0], [1.0]], [2.0, -1.0])
>>> isinstance(pair, jko.measures.Pair), pair.lift().points.tolist()
(True, [[2.0, 0.0], [-1.0, 1.0]])
""",
    "jko.diagnostics.FoldFree": """
>>> import jko
>>> mesh = jko.ChargedMesh.from_function(
...     lambda x: 0 * x[:, 0] + 1, lambda x: x[:, 0], (-1.0, 1.0), 21
... )
>>> found = jko.diagnostics.fold_free(jko.SquaredNorm(), mesh, t1=1.0)
>>> found.fold > 1.0  # none was seen
True
""",
    "jko.plots.obstacles": """
>>> import jko
>>> grid = jko.Grid((0.0, 3.0), 30)
>>> rho = jko.GridDensity.from_function(grid, lambda x: 1.0 * (x[:, 0] < 2))
>>> wall = jko.Potential(lambda x: 1 / (1.0 * (x[:, 0] < 2)) - 1)  # +inf where x >= 2
>>> figure, (ax,) = jko.plots.canvas()
>>> jko.plots.obstacles(wall, rho, ax) is ax
True
""",
    "jko.plots.slices": """
>>> import jko
>>> cube = jko.Grid(((-1.0, 1.0),) * 3, (8, 8, 8))
>>> rho = jko.GridDensity.from_function(cube, lambda x: (-(x**2).sum(-1)).exp())
>>> figure, axes = jko.plots.canvas(1, 3)
>>> len(jko.plots.slices(rho, axes))
3
""",
    "jko.snapshots.SnapshotFit": """
>>> import jko
>>> from jko.snapshots import Monomials, fit
>>> start = jko.Particles([[1.0], [2.0], [4.0]])
>>> run = jko.flow(3 * jko.SquaredNorm(), start, tau=0.1, steps=4, solver=jko.LBFGS(tol=1e-12))
>>> found = fit(run, Monomials(4), tau=0.1)
>>> round(float(found.potential(jko.Particles([[2.0]]))), 3)  # 3 x^2 / 2
6.0
""",
    "jko.duality.Envelope": """
>>> import jko, torch
>>> F = jko.Risk(jko.Data([[1.0]], [1.0]), activation=jko.Ridge(torch.tanh))
>>> result = jko.step(F + jko.SquaredNorm(), jko.Particles([[0.5, 0.5, 0.0]]), tau=0.1)
>>> result.certificate().rigorous  # a dual was solved, whose inner minima are an envelope's
True
""",
    "jko.plots.animate": """
>>> from pathlib import Path
>>> from tempfile import mkdtemp
>>> import jko
>>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0, 0.0], [0.0, 2.0]]), tau=0.5, steps=2)
>>> jko.plots.animate(run, Path(mkdtemp()) / "run.gif").name
'run.gif'
""",
    "jko.steps.DifferentiableStep": """
>>> import jko, torch
>>> c = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
>>> pull = jko.Potential(lambda x: 0.5 * ((x - c) ** 2).sum(-1))
>>> found = jko.steps.differentiable_step(pull, jko.Particles([[1.0]]), tau=1.0)
>>> round(float(torch.autograd.grad(found.value, c)[0]), 6)  # of (c - 1)^2 / (2 (1 + tau))
1.0
""",
}
