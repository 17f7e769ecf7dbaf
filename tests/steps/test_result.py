"""One gate for every solver: an ok status is what the numbers say, and a step without a minimum has none."""

from dataclasses import replace

import pytest
import torch

import jko
from jko import Status
from jko.steps.memory import rounding
from jko.steps.result import Falls, judged
from jko.steps.solver import claimed


def normal(seed: int, N: int, dim: int) -> jko.Particles:
    return jko.Particles.normal(N, dim, generator=torch.Generator().manual_seed(seed))


def hill(power: float) -> jko.Energy:
    return jko.Potential(lambda z: -0.5 * z.square().sum(-1) ** (power / 2))


QUARTIC = hill(4)
MESH = jko.LineMesh(torch.linspace(-1, 1.2, 9, dtype=torch.float64), [0.125] * 8)
NODES = jko.ChargedMesh.from_function(
    lambda x: (-0.5 * x[:, 0] ** 2).exp(), lambda x: 1 + x[:, 0], (-7.0, 7.0), 20
)
HALF = jko.Particles(
    normal(4, 5, 2).points.abs() + 0.1, domain=jko.Box([0.0, 0.0], [float("inf")] * 2)
)
STATES = {
    "one": jko.Particles([[1.0]]),
    "five": normal(0, 5, 2),
    "weighted": jko.Particles(normal(1, 3, 1).points, [0.2, 0.3, 0.5]),
    "many": normal(2, 20, 4),
    "pair": normal(3, 6, 3).project(),
    "half": HALF,
}
MOVERS = {
    "LBFGS": jko.LBFGS(),
    "loose": jko.LBFGS(fraction=0.9),
    "tight": jko.LBFGS(tol=1e-9),
    "Newton": jko.BlockNewton(),
    "Plans": jko.Plans(),
    "training": jko.LBFGS.training(),
}
FRACTIONS = {"LBFGS": 0.1, "Plans": 0.1, "loose": 0.9, "training": 5.0}
HILLS = {
    "square": hill(2),
    "quartic": hill(4),
    "square and a wave": hill(2) + jko.Potential(lambda z: 0.1 * z.sin().sum(-1)),
    "repulsion": jko.Interaction(lambda z: -0.5 * z.square().sum(-1)),
    "repulsion, quartic": jko.Interaction(lambda z: -z.square().sum(-1).square()),
}


def unbounded():
    for energy in HILLS:
        for state in STATES:
            if energy.startswith("repulsion") and state in ("one", "half"):
                continue  # an atom does not repel itself, and a wall holds some
            for k, solver in enumerate(MOVERS):
                yield energy, state, solver, (1.001, 1.3, 50.0)[(k + len(state)) % 3]


@pytest.mark.parametrize(("energy", "state", "solver", "tau"), list(unbounded()))
def test_a_step_without_a_minimum_is_refused_and_quickly(energy, state, solver, tau):
    result = jko.step(HILLS[energy], STATES[state], tau=tau, solver=MOVERS[solver], throw=False)
    assert result.status is Status.UNBOUNDED
    assert result.evaluations < 400


@pytest.mark.parametrize("state", ["one", "five", "many", "pair"])
@pytest.mark.parametrize("solver", MOVERS)
def test_an_objective_that_is_a_straight_line_has_no_minimum(state, solver):
    """tau = 1: -|x|^2 / 2 + |x - y|^2 / 2 = -x . y + const."""
    result = jko.step(hill(2), STATES[state], tau=1.0, solver=MOVERS[solver], throw=False)
    assert result.status is Status.UNBOUNDED


@pytest.mark.parametrize("tau", [1.0, 1.01, 50.0])
@pytest.mark.parametrize(
    "energy", [hill(2), QUARTIC, hill(2) + 0.1 * jko.Entropy(), QUARTIC + 0.1 * jko.Entropy()]
)
@pytest.mark.parametrize("state", [MESH, NODES])
def test_meshes_too(state, energy, tau):
    """Cells may fold along the move, so that it cannot be followed far: then the mesh is widened."""
    result = jko.step(energy, state, tau=tau, throw=False)
    assert result.status is Status.UNBOUNDED
    with pytest.raises(jko.StepFailed, match=r"lower tau"):
        jko.step(energy, state, tau=tau)


def test_a_flow_does_not_go_on_without_a_minimum():
    with pytest.raises(jko.StepFailed, match="UNBOUNDED") as caught:
        jko.flow(hill(4), normal(0, 3, 1), tau=lambda k: 1e-3 * 4**k, steps=20)
    assert 1 <= len(caught.value.trajectory.times) < 20
    assert caught.value.trajectory.energies[-1] > -1e3


@pytest.mark.slow
def test_a_pole_is_no_minimum():
    for V in (lambda z: z.abs().log().sum(-1), lambda z: -1 / z.abs().sum(-1)):
        for solver in (jko.LBFGS(), jko.LBFGS(tol=1e-9)):
            result = jko.step(
                jko.Potential(V), jko.Particles([[0.5]]), tau=1.0, solver=solver, throw=False
            )
            assert not result.status.ok


@pytest.mark.parametrize("tau", [0.5, 0.95, 0.99, 0.999, 0.99999])
@pytest.mark.parametrize("solver", MOVERS)
@pytest.mark.parametrize("state", STATES)
def test_a_far_minimum_is_reached(state, solver, tau):
    """The minimiser of -|x|^2 / 2 + |x - y|^2 / (2 tau) is y / (1 - tau), however far."""
    mu = STATES[state]
    result = jko.step(hill(2), mu, tau=tau, solver=MOVERS[solver], throw=False)
    assert result.status.ok
    base, new = (s if isinstance(s, jko.Particles) else s.lift() for s in (mu, result.state))
    off = torch.cdist(new.points, base.points / (1 - tau)).min(1).values
    fraction = FRACTIONS.get(solver, 1e-5)  # curved by 1 / (2 tau) an error is twice the residual's
    assert float(off.norm()) <= 2 * fraction * float((new.points - base.points).norm())


def test_a_second_well_beyond_a_saddle_is_no_missing_minimum():
    """From next to the saddle of (x^2 - 1)^2 the step is 1e9 times as long as tau |grad E|, and ends."""
    well = jko.Potential(lambda z: (z.square() - 1).square().sum(-1))
    for name, solver in {**MOVERS, "tight": jko.LBFGS(tol=1e-13)}.items():
        result = jko.step(well, jko.Particles([[1e-10]]), tau=10.0, solver=solver)
        error = abs(abs(float(result.state.points)) - 0.975**0.5)
        assert error <= 2 * FRACTIONS.get(name, 1e-6), name


@pytest.mark.parametrize("solver", ["LBFGS", "tight", "Newton", "Plans"])
def test_a_residual_above_its_tolerance_is_no_convergence(solver):
    """At tau = 1e-17 no atom can move."""
    result = jko.step(jko.SquaredNorm(), STATES["one"], tau=1e-17, solver=MOVERS[solver])
    assert result.status is Status.STALLED
    assert result.residual == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1e-140, 1e-150, 1e-155, 1e-162, 1e-170, 1e-250, 3e-300])
@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("solver", ["LBFGS", "loose", "Newton", "Plans"])
def test_steps_whose_squares_vanish_are_taken(solver, tau, size):
    for shape in ([[1.0]], [[1.0, 2.0], [-1.0, 0.5]]):
        points = torch.tensor(shape, dtype=torch.float64)
        result = jko.step(
            jko.SquaredNorm(), jko.Particles(size * points), tau=tau, solver=MOVERS[solver]
        )
        moved = (result.state.points / size - points) * (1 + tau) / (tau * points)
        fraction = FRACTIONS.get(solver, 1e-6)
        assert float((moved + 1).abs().max()) <= 2 * fraction


def claims(tol: float):
    """Solvers that claim ``tol``, each with a state and an energy."""
    well = jko.SquaredNorm() + jko.Potential(lambda z: z.sin().sum(-1))
    risk = jko.Risk(jko.Data([[0.0], [1.0]], [0.5, -0.5]), activation=jko.Ridge(torch.tanh))
    grid = jko.Grid((-2.0, 2.0), 12)
    rho = jko.GridDensity.from_function(grid, lambda x: (-(x[:, 0] ** 2)).exp())
    pair = jko.ChargedDensity.from_function(
        grid, lambda x: (-(x[:, 0] ** 2)).exp(), lambda x: x[:, 0]
    )
    spread = 0.1 * jko.Entropy()
    moving = jko.LBFGS(tol=tol)
    span = jko.ChargedSpan(normal(5, 3, 2), lambda t: t[:, 0], jko.Ridge(torch.tanh), risk.data.x)
    yield moving, STATES["five"], well
    yield jko.BlockNewton(tol=tol), STATES["five"], well
    yield jko.Plans(moving), STATES["weighted"], well
    yield jko.Quantile(tol=tol), MESH, well + spread
    yield jko.steps.MeshNewton(tol=tol), NODES, well + spread
    yield jko.Dynamic(tol=tol), rho, well + spread
    yield jko.Sinkhorn(0.1, tol=tol), rho, well + spread
    yield jko.steps.Remapped(moving), pair, jko.SquaredNorm()
    yield jko.steps.Alternating(moving), span, risk + 0.1 * jko.SquaredNorm()


@pytest.mark.parametrize("tol", [1e-4, 1e-7, 1e-10, 1e-13, 1e-16])
@pytest.mark.parametrize("k", range(9))
def test_converged_is_a_residual_of_at_most_the_tolerance(k, tol):
    solver, state, energy = list(claims(tol))[k]
    result = jko.step(energy, state, tau=0.3, solver=solver, throw=False)
    assert claimed(solver) == tol
    assert result.status is not Status.CONVERGED or result.residual <= tol
    if tol > 1e-8:
        assert result.status is Status.CONVERGED


def test_the_gate_asks_the_tolerance_of_a_solver_of_others():
    class Loose(jko.LBFGS):
        """Says CONVERGED, whatever the residual."""

        def solve(self, problem):
            found = jko.LBFGS(fraction=0.9).solve(problem)
            return replace(found, status=Status.CONVERGED, residual=left)

    for left, tol, status in (
        (1e-3, 1e-6, Status.STALLED),
        (1e-7, 1e-6, Status.CONVERGED),
        (float("inf"), None, Status.STALLED),
    ):
        result = jko.step(jko.SquaredNorm(), STATES["five"], tau=0.3, solver=Loose(tol=tol))
        assert (result.status, result.residual) == (status, left)


def test_both_halves_of_a_second_order_step_have_converged_or_it_has_not():
    class Second(jko.LBFGS):
        """Stalls at every other step."""

        def solve(self, problem):
            seen.append(problem)
            found = jko.LBFGS(tol=1e-9).solve(problem)
            return replace(found, status=Status.STALLED) if len(seen) % 2 else found

    seen: list[jko.steps.StepProblem] = []
    run = jko.flow(
        jko.SquaredNorm(), STATES["five"], tau=0.3, steps=2, solver=Second(), scheme=jko.SDIRK2()
    )
    assert len(seen) == 4
    assert run.stalled == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e150, 1e300])
@pytest.mark.parametrize("k", range(3))
def test_numbers_at_the_edge_of_the_range_on_the_line(k, scale):
    """Squares of pressures, densities and their curvatures leave the range of numbers: a status, no warning."""
    well = jko.Potential(lambda z: (z.square() - 1).square().sum(-1))
    energy = (scale * well, scale * jko.PorousMedium(1.5), scale * jko.Entropy() + well)[k]
    for state in (MESH, NODES):
        for tau in (1e-5, 1.0):
            result = jko.step(energy, state, tau=tau, throw=False)
            assert not result.status.ok or result.energy <= result.before
            result.certificate()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("m", [3.0, 8.0, 12.0, 20.0, 60.0])
@pytest.mark.parametrize("width", [1e-1, 1e-3, 1e-6])
def test_a_narrow_cell_under_a_steep_pressure_widens(width, m):
    """The pressure drowns the metric in Newton's matrix; the step is at rest, still falling, or beyond all numbers."""
    mesh = jko.ChargedMesh([width, 2 * width], [1.0, 2.0], [1.0])
    for state in (mesh, jko.LineMesh([width, 2 * width], [1.0])):
        result = jko.step(jko.PorousMedium(m), state, tau=1e-3, throw=False)
        assert result.status in (Status.CONVERGED, Status.MAX_ITERATIONS, Status.NOT_FINITE)
        assert result.energy <= result.before or result.status is Status.NOT_FINITE


def test_features_that_vanish_on_a_grid_are_no_features():
    data = jko.Data([[0.0], [1.0]], [1.0, 0.5])
    none = jko.Risk(data, features=lambda z, x: 0 * z[:, :1] * x[:, 0])
    rho = jko.GridDensity(jko.Grid((-1.0, 1.0), 8), [0.5] * 8)
    energy = jko.SquaredNorm() + 0.1 * jko.Entropy()
    with_, without = (jko.step(E, rho, tau=0.1) for E in (energy + none, energy))
    torch.testing.assert_close(with_.state.values, without.state.values, rtol=0, atol=1e-12)
    assert with_.energy == pytest.approx(without.energy + float(none(rho)), rel=1e-12)


def test_numbers_so_large_that_conjugate_gradients_vanish():
    rho = jko.GridDensity(
        jko.Grid((-2e-3, 2e-3), 6), [v / (3.9 * 4e-3 / 6) for v in (0.0, 1.0, 0.5, 2.0, 0.3, 0.1)]
    )
    energy = 1e300 * jko.energies.PowerNorm(50.0) + jko.Entropy()
    result = jko.step(energy, rho, tau=1e3, throw=False)
    assert not result.status.ok or result.energy <= result.before


SPAN = jko.ChargedSpan(
    jko.GridDensity.from_function(
        jko.Grid((-2.0, 2.0), (3, 4)), lambda z: (-z.square().sum(-1)).exp()
    ),
    lambda theta: theta[:, 0],
    jko.Ridge(torch.tanh),
    [[0.0]],
)


@pytest.mark.parametrize("m", [2.0, 3.0, 20.0])
@pytest.mark.parametrize("tau", [1e-8, 4e-6, 1e-3])
@pytest.mark.parametrize("state", [SPAN, SPAN.rho])
def test_the_tolerance_of_the_dual_raises_no_energy(state, tau, m):
    result = jko.step(jko.PorousMedium(m), state, tau=tau, throw=False)
    if result.status.ok:
        assert result.energy <= result.before + rounding(result.before)


@pytest.mark.parametrize("width", [4e-8, 1e-3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_tolerance_of_the_cones_raises_no_energy(seed, width):
    grid = jko.Grid((0.0, width), 8)
    values = torch.rand(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rho = jko.GridDensity(grid, values / (values.sum() * grid.cell))
    for E in (jko.SquaredNorm() + jko.Entropy(), jko.Potential(lambda z: (3 * z).cos().sum(-1))):
        result = jko.step(E, rho, tau=0.1, solver=jko.Conic(), throw=False)
        if result.status.ok:
            assert result.energy <= result.before + rounding(result.before)
            assert result.slack >= -rounding(result.before, result.energy)


class Users:
    """A solver of the user, that changes one figure of an honest result."""

    def __init__(self, **changes):
        self.changes = changes

    def solve(self, problem):
        return replace(jko.LBFGS().solve(problem), **self.changes)


LIES = {
    "slack below zero": ({"slack": -1.0}, Status.ENERGY_ROSE),
    "NaN energy": ({"energy": float("nan")}, Status.NOT_FINITE),
    "infinite cost": ({"cost": float("inf")}, Status.NOT_FINITE),
    "NaN residual": ({"residual": float("nan")}, Status.NOT_FINITE),
    "points at infinity": (
        {"state": jko.Particles([[0.0]]).moved(torch.tensor([[torch.inf]], dtype=torch.float64))},
        Status.NOT_FINITE,
    ),
    "energy up": ({"slack": -0.5, "energy": 9.0, "falls": Falls.ENERGY}, Status.ENERGY_ROSE),
}


@pytest.mark.parametrize("lie", LIES)
def test_solvers_of_the_user_are_judged_too(lie):
    changes, status = LIES[lie]
    mu, options = jko.Particles([[1.0]]), {"tau": 0.5, "solver": Users(**changes)}
    assert jko.step(jko.SquaredNorm(), mu, throw=False, **options).status is status
    for scheme in (jko.Implicit(), jko.SDIRK2()):
        run = jko.flow(jko.SquaredNorm(), mu, steps=2, throw=False, scheme=scheme, **options)
        assert run.status is status
        assert len(run.times) == 1


def test_what_is_no_result_is_refused():
    class Nothing:
        def solve(self, problem):
            return None

    with pytest.raises(TypeError, match="what a solver returns must be StepResult, not NoneType"):
        jko.step(jko.SquaredNorm(), STATES["one"], tau=0.5, solver=Nothing())


def test_an_honest_result_passes_as_it_is():
    result = jko.step(jko.SquaredNorm(), STATES["five"], tau=0.5)
    assert judged(result) is result
    assert result.before == pytest.approx(float(jko.SquaredNorm()(STATES["five"])), rel=1e-14)


def test_what_is_not_proved_is_printed_as_no_bound():
    wave = jko.Potential(lambda z: (3 * z).sin().sum(-1))
    gap = jko.step(wave, STATES["five"], tau=2.0).certificate()
    assert not gap.rigorous
    assert "no bound" in str(gap)
    assert gap.lower_bound <= gap.reachable
    found = jko.optimality(wave, STATES["five"])
    assert "no bounds" in str(found)
    assert found.lower_bound <= found.reachable
    proved = jko.step(jko.SquaredNorm(), STATES["five"], tau=2.0).certificate()
    assert str(proved).startswith("gap <= ")


W_ONLY = jko.Risk(
    jko.Data([[0.0]], [1.0]), activation=lambda th, x: x[:, 0].expand(len(th), -1) * 1.0
)
RIDGE = jko.Risk(jko.Data([[0.0], [1.0]], [1.0, 0.0]), activation=jko.Ridge(torch.tanh))
EDGES = {
    "theta of shape (N, 0)": (W_ONLY, [[0.0], [1.0]]),
    "above the largest number": (1e300 * RIDGE, [[1.0, 1.0, 1.0]]),
    "a cone at its tip": (RIDGE + jko.Potential(lambda z: z.norm(dim=-1)), [[0.0, 0.0, 0.0]]),
    "a corner at its tip": (RIDGE + jko.Potential(lambda z: z.abs().sum(-1)), [[0.0, 0.0, 1.0]]),
}


@pytest.mark.parametrize(
    "edge",
    [pytest.param(e, marks=[pytest.mark.slow] if "corner" in e else []) for e in EDGES],
)
def test_certificates_at_the_edge(edge):
    energy, points = EDGES[edge]
    mu = jko.Particles(points)
    for solver in (jko.LBFGS(), jko.Plans()):
        result = jko.step(energy, mu, tau=1.0, solver=solver, throw=False)
        gap = result.certificate()
        assert gap.lower_bound <= gap.reachable
    found = jko.optimality(energy, mu)
    assert found.lower_bound <= found.reachable


def test_an_energy_that_is_infinite_in_every_cell_is_a_sentence():
    class Meeting(jko.Energy):
        """A logarithmic kernel on a grid: each cell meets itself."""

        def __call__(self, state):
            return state.weights.new_tensor(torch.inf)

        def variation(self, state, at=None):
            return torch.full_like(state.weights, torch.inf)

    rho = jko.GridDensity.from_function(jko.Grid((-1.0, 1.0), 6), lambda z: 1 + z[:, 0])
    with pytest.raises(ValueError, match=r"infinite in all cells .* each cell meets itself"):
        jko.step(Meeting() + jko.Entropy(), rho, tau=0.1)


def test_a_referee_of_costs_beyond_all_numbers_gives_no_step():
    mu = jko.Particles([[1e299, 0.0], [-3e299, 1e299], [0.0, 0.0]])
    E = jko.Potential(lambda z: z.abs().sum(-1))
    result = jko.step(E, mu, tau=0.1, solver=jko.Conic(), throw=False)
    assert not result.status.ok
    assert result.certificate().value >= 0


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-308])
@pytest.mark.parametrize("solver", ["LBFGS", "Newton", "Plans"])
def test_subnormal_numbers_are_no_error(solver, size):
    mu = jko.Particles([[size, 2 * size], [0.0, size]])
    result = jko.step(jko.SquaredNorm(), mu, tau=1.0, solver=MOVERS[solver], throw=False)
    assert result.status.ok or size == 5e-324  # half of the least number is none
    assert float(result.state.points.abs().max()) <= 2 * size


def test_an_entropic_step_of_points_at_the_edge_of_the_range_is_no_error():
    mu = jko.Particles([[1e300], [-1e300], [0.0]])
    result = jko.step(jko.SquaredNorm(), mu, tau=0.2, solver=jko.Sinkhorn(0.1), throw=False)
    assert result.status is not Status.CONVERGED or result.energy <= result.before
