"""The conic referee agrees with every other way to compute a step: closed forms, enumeration, POT, scipy on the dual.

Its bound comes from weak duality, so its own word is not needed either.
"""

from itertools import product

import numpy as np
import ot
import pytest
import torch
from problems import neuron, points, split, tanh_energy, tanh_network
from scipy.optimize import minimize, minimize_scalar

import jko
from jko.status import Status
from jko.steps.conic import Conic
from jko.steps.dynamic import Dynamic

INTERNAL = {
    "entropy": 0.3 * jko.Entropy(),
    "m = 2": 0.2 * jko.PorousMedium(2),
    "m = 3": 0.2 * jko.PorousMedium(3),
    "m = 3/2": 0.1 * jko.PorousMedium(1.5),
}
MIXED = 0.1 * jko.Entropy() + 0.2 * jko.PorousMedium(2) + 0.1 * jko.PorousMedium(3)


def bowl(x):
    return 5 * (x - 0.6).square().sum(-1)


def walled(x):
    """The bowl with an obstacle: a bar that leaves a way round."""
    bar = (x[:, 0] > 0.5) & (x[:, 0] < 0.75) & (x[:, -1] < 0.6)
    return bowl(x).masked_fill(bar, torch.inf)


def bump(shape, width=0.02):
    return jko.GridDensity.from_function(
        jko.Grid((0.0, 1.0), shape),
        lambda x: (-(x - 0.35).square().sum(-1) / width).exp().masked_fill(walled(x).isinf(), 0.0),
    )


def squares(targets=(0.5, 0.2)):
    """The risk of the features |x|^2 and x_1."""
    data = jko.Data([[0.0], [1.0]], list(targets), weights=[3.0, 2.0])
    return jko.Risk(
        data,
        features=lambda xi, x: (1 - x.T) * xi.square().sum(-1, keepdim=True) + x.T * xi[:, :1],
    )


def dual(rho, V, internal, tau, eps):
    """J of the corner form as a function of phi (numpy), with its gradient; cells, faces and corners from a loop."""
    grid, d, ((c, E),) = rho.grid, rho.dim, internal.terms
    blocked = torch.isinf(V(grid.centres).reshape(grid.shape))
    number = {K: i for i, K in enumerate(np.ndindex(*grid.shape))}
    cells = [K for K in number if not blocked[K]]
    faces, table = {}, []  # (K, L) -> index;  (cell, face or -1 along each axis) of every corner
    for K in cells:
        for side in product((-1, 1), repeat=d):
            used = []
            for a in range(d):
                L = tuple(k + side[a] * (i == a) for i, k in enumerate(K))
                inside = 0 <= L[a] < grid.shape[a] and not blocked[L]
                key = (*sorted((K, L)), a)
                used.append(faces.setdefault(key, len(faces)) if inside else -1)
            table.append((number[K], *used))
    table, keys = torch.tensor(table), list(faces)
    K, L = (torch.tensor([number[key[i]] for key in keys]) for i in (0, 1))
    h = torch.tensor([grid.spacing[key[2]] for key in keys], dtype=torch.float64)
    inside = torch.tensor([number[K] for K in cells])
    density, V = rho.values.reshape(-1), V(grid.centres)
    mobility = (density[K] + density[L]) / 4 + eps

    def J(flat):
        phi = torch.tensor(flat, dtype=torch.float64).requires_grad_()
        square = torch.cat([((phi[L] - phi[K]) / h) ** 2, torch.zeros(1)])  # the last: closed faces
        p = phi[table[:, 0]] - V[table[:, 0]] + tau / 4 * square[table[:, 1:]].sum(1)
        r = E.density(p / c)
        stars = (p * r - c * E.U(r)).sum() / 2**d
        total = stars - density[inside] @ phi[inside] + tau / 2 * (mobility @ square[:-1])
        (grid.cell * total).backward()
        return grid.cell * total.item(), phi.grad.numpy()

    return J


@pytest.mark.parametrize("name", INTERNAL)
@pytest.mark.parametrize(
    ("shape", "V"), [((12,), bowl), ((4, 5), walled), ((3, 2, 2), bowl)], ids=["1d", "2d", "3d"]
)
def test_a_step_on_a_grid_is_the_maximum_of_its_dual(shape, V, name):
    rho, tau, eps = bump(shape, 0.1), 0.05, 1e-2
    energy = INTERNAL[name]
    result = jko.step(energy + jko.Potential(V), rho, tau=tau, solver=Conic(eps=eps))
    start = (V(rho.grid.centres) + 1.0).nan_to_num(posinf=0.0).numpy()
    best = minimize(
        dual(rho, V, energy, tau, eps * float(rho.values.max())),
        start,
        jac=True,
        method="BFGS",
        options={"gtol": 1e-10, "maxiter": 2000},
    )
    assert result.figures["value"] == pytest.approx(-best.fun, rel=1e-8)
    assert result.figures["bound"] == pytest.approx(-best.fun, rel=1e-8)
    assert result.certificate().value < 1e-8 * abs(best.fun)


CASES = {
    "entropy": jko.Potential(bowl) + INTERNAL["entropy"],
    "m = 2": jko.Potential(bowl) + INTERNAL["m = 2"],
    "m = 3/2": jko.Potential(bowl) + INTERNAL["m = 3/2"],
    "mixed": jko.Potential(bowl) + MIXED,
    "risk": squares() + INTERNAL["entropy"],
    "risk and obstacle": squares() + jko.Potential(walled) + INTERNAL["m = 2"],
}


@pytest.mark.parametrize("shape", [(40,), (12, 11)], ids=["1d", "2d"])
@pytest.mark.parametrize("name", CASES)
def test_the_referee_and_the_dual_solver_find_the_same_step(name, shape):
    rho = bump(shape)
    ours = jko.step(CASES[name], rho, tau=0.02, solver=Conic())
    theirs = jko.step(CASES[name], rho, tau=0.02, solver=Dynamic(tol=1e-9))
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-6)
    assert theirs.cost == pytest.approx(ours.cost, rel=1e-4)
    assert float((theirs.state.values - ours.state.values).abs().mean()) < 1e-5
    assert ours.figures["gap"] < 1e-8 * abs(ours.objective)


def test_mass_stays_in_its_chamber():
    grid = jko.Grid((0.0, 1.0), 20)
    rho = jko.GridDensity.from_function(grid, lambda x: (x[:, 0] < 0.3).double())
    closed = jko.Potential(
        lambda x: (-x[:, 0]).masked_fill((x[:, 0] - 0.5).abs() < 0.05, torch.inf)
    )
    result = jko.step(closed + 0.1 * jko.Entropy(), rho, tau=1.0, solver=Conic())
    assert result.status is Status.CONVERGED
    assert float(result.state.weights[9:].sum()) == 0


# the static form


def test_an_atom_that_pays_to_split():
    data = jko.Data([[0.0], [1.0]], [1.0, 0.0], weights=[1.0, 1.0])
    F = jko.Risk(data, features=lambda xi, x: (1 - x.T) * xi**2 + x.T * xi)
    support = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    result = jko.step(F, jko.Particles([[0.0]]), tau=2.0, solver=Conic(support=support))
    assert result.objective == pytest.approx(7 / 32, abs=1e-9)
    assert result.certificate().value < 1e-9  # over all measures, not only those on the support


def test_unequal_weights_split_as_far_as_the_support_lets_them():
    problem = split()
    near = torch.linspace(-0.004, 0.004, 161, dtype=torch.float64)
    support = torch.cat([near, 1 + near])[:, None]
    result = jko.step(problem.energy, problem.start, tau=problem.tau, solver=Conic(support=support))
    assert result.objective == pytest.approx(problem.free, abs=1e-5)
    assert result.objective > problem.free - 1e-9


def test_a_potential_sends_every_atom_to_its_own_best_candidate(generator):
    x = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    m, V = torch.arange(1, 8).double() / 28, jko.Potential(lambda z: z.pow(4).sum(-1))
    best = (V.variation(jko.Particles(x))[:, None] + torch.cdist(x, y) ** 2 / 0.6).amin(0)
    result = jko.step(V, jko.Particles(y, m), tau=0.3, solver=Conic(support=x))
    assert result.objective == pytest.approx(float(m @ best), rel=1e-9)


def test_a_step_to_given_masses_costs_what_pot_says(generator):
    x = torch.randn(12, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    goal = torch.rand(12, generator=generator, dtype=torch.float64).numpy()
    goal /= goal.sum()
    model = Conic(support=x).model(0.0 * jko.SquaredNorm(), jko.Particles(y), tau=0.5)
    result = model.solve([model.masses == goal])
    expected = ot.emd2(goal, np.full(9, 1 / 9), ot.dist(x.numpy(), y.numpy()))
    assert result.cost == pytest.approx(expected, rel=1e-8)
    assert result.coupling.optimal
    assert result.state.weights.numpy() == pytest.approx(goal, abs=1e-8)


def test_where_atoms_need_not_split_the_step_of_particles_is_found():
    x, f, lam, xi = tanh_network()
    energy, start = tanh_energy(x, f, lam), jko.Particles(xi)
    step = jko.step(energy, start, tau=0.1, solver=jko.LBFGS(tol=1e-11))
    gap = step.certificate().value  # what splitting could gain
    around = torch.cat([step.state.points + 0.02 * e for e in torch.eye(3).double()])
    support = torch.cat([step.state.points, around, start.points])
    result = jko.step(energy, start, tau=0.1, solver=Conic(support=support))
    assert step.objective - gap - 1e-10 <= result.objective <= step.objective + 1e-9


@pytest.mark.parametrize("energy", [*INTERNAL.values(), MIXED], ids=[*INTERNAL, "mixed"])
def test_two_cells_exchange_what_scipy_says(energy):
    grid, tau = jko.Grid((0.0, 2.0), 2), 2.0
    rho = jko.GridDensity(grid, [0.9, 0.1])

    def objective(moved):
        state = jko.GridDensity(grid, [0.9 - moved, 0.1 + moved])
        return float(energy(state)) + moved / (2 * tau)

    best = minimize_scalar(objective, bounds=(0, 0.9), method="bounded", options={"xatol": 1e-9})
    result = jko.step(energy, rho, tau=tau, solver=Conic(static=True), throw=False)
    assert result.objective == pytest.approx(best.fun, rel=1e-8)


@pytest.mark.parametrize("name", INTERNAL)
def test_both_forms_are_close_where_mass_moves_by_many_cells(name):
    energy, rho = INTERNAL[name] + jko.Potential(bowl), bump((64,))
    plan, action = (jko.step(energy, rho, tau=0.02, solver=Conic(static=s)) for s in (True, False))
    assert plan.objective == pytest.approx(action.objective, rel=0.01)
    assert plan.certificate().value < 1e-8


def test_interactions_enter_if_they_are_positive_definite():
    rho = bump((24,))
    for W in (lambda z: (-4 * z.square().sum(-1)).exp(), lambda z: -z.norm(dim=-1)):
        energy = jko.Interaction(W, convex=True) + 0.05 * jko.Entropy()
        result = jko.step(energy, rho, tau=0.05, solver=Conic())
        assert result.figures["value"] >= result.objective - 1e-9  # the energy's own value
        assert result.figures["gap"] < 1e-8
        theirs = jko.step(energy, rho, tau=0.05, solver=Dynamic(tol=1e-9))
        assert theirs.objective == pytest.approx(result.objective, abs=1e-6)


# locking


def test_a_static_step_locks_below_half_a_cell_and_says_so():
    rho = jko.GridDensity(jko.Grid((0.0, 1.0), 50), np.ones(50))
    drift = jko.Potential(lambda x: x[:, 0])  # by tau, of cells of width 1/50
    short, long = (
        jko.step(drift, rho, tau=tau, solver=Conic(static=True), throw=False)
        for tau in (0.0095, 0.0105)
    )
    assert short.status is Status.LOCKED
    assert short.figures["stayed"] == pytest.approx(1)
    assert short.cost < 1e-9
    assert long.status is Status.CONVERGED
    assert long.figures["stayed"] == pytest.approx(1 / 50, abs=1e-6)  # the cell at the wall
    moves = jko.step(drift, rho, tau=0.0095, solver=Conic())
    assert moves.slack > 0.4 * 0.0095


def test_atoms_lock_on_their_own_support_and_a_minimiser_does_not():
    mu = jko.Particles([[0.0], [1.0]])
    V = jko.Potential(lambda x: x[:, 0])
    with pytest.raises(jko.StepFailed, match=r"LOCKED.*shorter than half its spacing"):
        jko.step(V, mu, tau=0.4, solver=Conic())
    assert jko.step(V, mu, tau=0.6, solver=Conic()).cost == pytest.approx(0.5)
    rest = jko.step(
        jko.SquaredNorm(), jko.Particles([[0.0]]), tau=0.4, solver=Conic(support=[[0.0], [1.0]])
    )
    assert rest.status is Status.CONVERGED


# pairs (rho, H)


def test_a_neuron_that_only_changes_its_charge():
    problem = next(p for p in neuron() if isinstance(p.start, jko.ChargedParticles))
    support = np.linspace(-1, 1, 21)[:, None]
    result = jko.step(problem.energy, problem.start, tau=problem.tau, solver=Conic(support=support))
    assert points(result.state) == pytest.approx(problem.next, abs=1e-6)
    assert result.figures["variance"] < 1e-12
    assert result.figures["gap"] < 1e-9


def relaxed(risk, lam, theta, support, H, m, tau):
    """The relaxation's objective as a function of shares (through a softmax) and charges, for scipy."""
    data, n = risk.data, len(support)
    h = risk.activation(support, data.x)

    def value(z):
        shares, charges = torch.softmax(z[: n * len(m)].reshape(n, -1), 0), z[n * len(m) :]
        plan, charges = shares * m, charges.reshape(n, -1)
        r = (plan * charges).sum(1) @ h - data.f
        move = (support[:, None] - theta[None]).square().sum(-1) + (charges - H) ** 2
        norm = support.square().sum(-1, keepdim=True) + charges**2
        return (
            0.5 * (data.weights * r * r).sum() + (plan * (lam / 2 * norm + move / (2 * tau))).sum()
        )

    def numpy_value(z):
        z = torch.from_numpy(z).requires_grad_()
        out = value(z)
        out.backward()
        return out.item(), z.grad.numpy()

    return numpy_value


@pytest.mark.parametrize("count", [2, 3])
def test_the_relaxation_of_a_pair_is_the_minimum_over_plans_and_charges(count):
    rng = np.random.default_rng(count)
    theta, support = rng.normal(size=(count, 1)), rng.normal(size=(3, 1))
    H, m = rng.normal(size=count), np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    data = jko.Data(np.linspace(-1, 1, 4)[:, None], [1.0, -1.0, 0.5, 2.0])
    risk, lam, tau = jko.Risk(data, activation=lambda t, x: torch.tanh(t + x.T)), 0.1, 2.0
    pair = jko.ChargedParticles(theta, H, m)
    result = jko.step(
        risk + lam * jko.SquaredNorm(), pair, tau=tau, solver=Conic(support=support), throw=False
    )
    objective = relaxed(risk, lam, *(torch.from_numpy(a) for a in (theta, support, H, m)), tau)
    tries = [
        minimize(objective, rng.normal(size=6 * count), jac=True, options={"gtol": 1e-10}).fun
        for _ in range(8)
    ]
    assert result.figures["value"] == pytest.approx(min(tries), rel=1e-7)
    assert result.figures["bound"] == pytest.approx(result.figures["value"], rel=1e-8)
    assert result.objective >= result.figures["value"] - 1e-9


def test_a_fold_is_reported_with_its_variance_and_its_price():
    pair = jko.ChargedParticles([[-1.0], [1.0]], [1.0, -1.0])  # both have to go to theta = 0
    result = jko.step(jko.SquaredNorm(), pair, tau=0.5, solver=Conic(support=[[0.0]]), throw=False)
    assert result.status is Status.NOT_A_GRAPH
    assert result.figures["value"] == pytest.approx(4 / 3, rel=1e-8)  # H = +-2/3 there
    assert result.figures["variance"] == pytest.approx(4 / 9, rel=1e-6)
    assert result.objective == pytest.approx(2.0, rel=1e-8)  # H = 0
    assert result.figures["gap"] == pytest.approx(2 / 3, rel=1e-6)


# constraints of the user


def test_a_crowd_does_not_exceed_density_one():
    grid = jko.Grid(((0.0, 2.0), (0.0, 1.0)), (12, 4))
    rho = jko.GridDensity.from_function(grid, lambda x: (x[:, 0] < 1).double())
    door = jko.Potential(lambda x: (x - torch.tensor([2.0, 0.5])).norm(dim=-1))
    run = jko.flow(
        door, rho, tau=0.1, steps=3, solver=Conic(constraints=lambda model: [model.density <= 1])
    )
    assert all(float(state.values.max()) <= 1 + 1e-7 for state in run.states)
    assert run.energies[-1] < run.energies[0] - 0.05


def test_a_mean_can_be_held():
    rho = bump((30,))
    model = Conic().model(0.3 * jko.Entropy() + jko.Potential(bowl), rho, tau=0.1)
    held = float(rho.mean())
    result = model.solve([model.positions[:, 0] @ model.masses == held])
    assert float(result.state.mean()) == pytest.approx(held, abs=1e-8)
    assert {"corners", "flux"} <= set(model.program.var_dict)
    assert (
        result.figures["bound"] < result.objective - 1e-4
    )  # that of the step without the constraint


# bad input


def refuse(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_bad_input_is_a_sentence():
    rho, mu, V = bump((8,)), jko.Particles([[0.0], [1.0]]), jko.SquaredNorm()
    pair = jko.ChargedParticles([[0.0], [1.0]], [0.0, 1.0])

    def run(energy, state, **options):
        return lambda: jko.step(energy, state, tau=0.1, solver=Conic(**options))

    refuse(TypeError, r"Entropy of Particles is \+inf", run(jko.Entropy(), mu))
    refuse(
        TypeError,
        r"Conic knows .* not LineMesh; take .*to_density",
        run(V, jko.LineMesh([0.0, 1.0], [1.0])),
    )
    refuse(TypeError, r"support is for particles", run(V, rho, support=[[0.0]]))
    refuse(
        ValueError,
        r"support has shape \(1, 1\).*\('?n'?, 2\)",
        run(V, pair.lift(), support=[[0.0]]),
    )
    refuse(ValueError, r"2 points but only 1 different", run(V, mu, support=[[0.0], [0.0]]))
    refuse(TypeError, r"constraints must be a function", lambda: Conic(constraints=[1]))
    refuse(TypeError, r"static must be bool", lambda: Conic(static=1))
    refuse(ValueError, r"eps = 0\.0.*> 0", lambda: Conic(eps=0.0))
    attract = jko.Interaction(lambda z: z.square().sum(-1))
    refuse(TypeError, r"not declared convex", run(attract, mu))
    attract = jko.Interaction(lambda z: z.square().sum(-1), convex=True)
    refuse(ValueError, r"eigenvalue -.*not convex in the measure", run(attract, mu))
    refuse(ValueError, r"coefficient -1.*not convex", run(-1.0 * attract, mu))
    refuse(TypeError, r"on a pair .* not a Potential", run(jko.Potential(bowl), pair))
    refuse(ValueError, r"SquaredNorm has the coefficient -1", run(-1.0 * V, pair))
    many = jko.Particles(np.linspace(0, 1, 400)[:, None])
    refuse(ValueError, r"160000 entries of the plan; the limit.*100000.*LBFGS", run(V, many))
    refuse(ValueError, r"corners of cells; the limit .*Dynamic", run(V, bump((100, 100))))
    model = Conic().model(V, rho, tau=0.1)
    refuse(
        ValueError,
        r"no measure satisfies the 1 constraints",
        lambda: model.solve([model.density <= 0.5]),
    )


def test_an_obstacle_with_mass_in_it_is_refused():
    rho = jko.GridDensity(jko.Grid((0.0, 1.0), 8), np.ones(8))
    for static in (False, True):
        refuse(
            ValueError,
            r"mass .* lies where the potential is \+inf",
            lambda s=static: jko.step(jko.Potential(walled), rho, tau=0.1, solver=Conic(static=s)),
        )
