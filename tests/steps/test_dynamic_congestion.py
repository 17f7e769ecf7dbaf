"""Steps with a limit on densities: against projections in W2, a conic program, powers without end, and fillings."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression

import jko
from jko import Status
from jko.energies import Congestion

TIGHT = 1e-8


def room(shape):
    return jko.Grid(((0.0, 1.0),) * len(shape), shape)


def density(shape, f):
    return jko.GridDensity.from_function(room(shape), f)


def bumps(shape, seed):
    """Three Gaussian bumps at random places."""
    rng = np.random.default_rng(seed)
    places, widths = rng.uniform(0.2, 0.8, (3, len(shape))), rng.uniform(0.05, 0.15, 3)
    centres = torch.from_numpy(places)

    def f(x):
        squares = (x[:, None] - centres).square().sum(-1)
        return (-squares / torch.from_numpy(widths) ** 2).exp().sum(-1)

    return density(shape, f)


def uphill(x):
    return 3 * (x - 0.2).square().sum(-1)


def doored(x):
    """A wall across the room with a door, on the way to the left."""
    wall = (x[:, 0] - 0.5).abs() < 0.06
    door = (x[:, -1] - 0.4).abs() < 0.15
    return x[:, 0].masked_fill(wall & ~door, torch.inf)


def check(result, limit):
    """What every step with a limit says: nothing above it, and a pressure only where it is reached."""
    rho, p = result.state.values, result.pressure
    assert result.status is Status.CONVERGED
    assert float(rho.max()) <= limit * (1 + TIGHT)
    assert float(rho.min()) >= 0
    assert p.shape == rho.shape
    assert float(p.min()) >= 0
    assert float((p * (limit - rho)).abs().max()) <= TIGHT * limit * max(float(p.max()), 1e-12)
    assert float(result.state.mass) == pytest.approx(1, abs=1e-12)
    assert result.certificate().value <= 1e-6 * (1 + abs(result.objective))
    return p


CASES = {
    "line": ((97,), uphill),
    "plane": ((20, 23), uphill),
    "door": ((24, 24), doored),
    "space": ((9, 8, 10), uphill),
}


@pytest.mark.parametrize("beside", ["nothing", "entropy", "m = 2", "m = 0.7"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tau", [0.003, 0.1])
def test_no_density_is_above_the_limit_and_pressure_is_where_it_is_reached(case, beside, tau):
    shape, V = CASES[case]
    more = {
        "nothing": (),
        "entropy": (0.05 * jko.Entropy(),),
        "m = 2": (0.05 * jko.PorousMedium(2),),
        "m = 0.7": (0.05 * jko.PorousMedium(0.7),),
    }[beside]
    open_ = torch.isfinite(V(density(shape, lambda x: 1 + 0 * x[:, 0]).atoms.points))
    start = bumps(shape, 3).values.reshape(-1) * open_
    start = jko.GridDensity(room(shape), (start / start.sum()).reshape(shape) * math.prod(shape))
    limit = max(0.6 * float(start.values.max()), 1.3 / float(open_.double().mean()))
    E = sum(more, jko.Potential(V) + Congestion(limit))
    result = jko.step(E, start, tau=tau)
    check(result, limit)
    assert bool((result.state.values.reshape(-1)[~open_] == 0).all())


@pytest.mark.parametrize("seed", range(4))
def test_on_the_line_a_step_alone_is_the_projection(seed):
    n = 400
    start = bumps((n,), seed)
    limit = 0.8 * float(start.values.max())
    result = jko.step(Congestion(limit), start, tau=0.2)
    check(result, limit)
    # quantiles X of mass s: rho <= limit says that X - s / limit rises
    N = 200 * n
    s = (np.arange(N) + 0.5) / N
    edges = np.linspace(0, 1, n + 1)
    before = np.interp(s, np.r_[0, np.cumsum(start.weights.numpy())], edges)
    after = np.clip(isotonic_regression(before - s / limit).x, 0, 1 - 1 / limit) + s / limit
    mass = np.histogram(after, edges)[0] / N
    assert np.abs(mass - result.state.weights.numpy()).sum() < 0.02
    assert result.cost == pytest.approx(((after - before) ** 2).mean(), rel=0.1, abs=1e-5)


@pytest.mark.parametrize(("d", "n", "off"), [(2, 48, 0.08), (3, 20, 0.35)])
def test_a_ball_that_is_too_dense_becomes_a_larger_ball_at_the_limit(d, n, off):
    a, factor = 0.3, 1.3
    start = density((n,) * d, lambda x: ((x - 0.5).square().sum(-1) < a**2).double())
    limit = float(start.values.max()) / factor
    result = jko.step(Congestion(limit), start, tau=0.1)
    p = check(result, limit)
    radius = (math.gamma(d / 2 + 1) / math.pi ** (d / 2) / limit) ** (1 / d)
    r = (start.atoms.points - 0.5).square().sum(-1).sqrt()
    ball = (r < radius).double() * limit
    wrong = (result.state.values.reshape(-1) - ball).abs().mean()
    assert float(wrong) < off * radius
    # the potential of the map x -> x a / radius is (1 - a / radius) (radius^2 - r^2) / 2
    parabola = (1 - a / radius) * (radius**2 - r**2).clamp(min=0) / 2 / 0.1
    assert float((p.reshape(-1) - parabola).abs().max()) < 0.2 * float(parabola.max())


@pytest.mark.parametrize(
    ("shape", "V"), [((24,), uphill), ((9, 8), uphill), ((12, 10), doored), ((5, 4, 4), uphill)]
)
@pytest.mark.parametrize("more", [None, 0.1 * jko.PorousMedium(2), 0.1 * jko.PorousMedium(0.75)])
def test_the_conic_program_of_the_same_step_has_the_same_value(shape, V, more):
    start = bumps(shape, 5)
    values = start.values.reshape(-1) * torch.isfinite(V(start.atoms.points))
    start = jko.GridDensity(room(shape), (values / values.sum()).reshape(shape) * math.prod(shape))
    limit = max(0.7 * float(start.values.max()), 1.7)
    E = jko.Potential(V) + Congestion(limit)
    E = E if more is None else E + more
    ours = jko.step(E, start, tau=0.05, solver=jko.Dynamic(eps=1e-3))
    check(ours, limit)
    referee = jko.step(E, start, tau=0.05, solver=jko.Conic(eps=1e-3))
    bound = referee.figures["bound"]
    assert ours.certificate().lower_bound <= referee.figures["value"] + 1e-7 * abs(bound)
    assert ours.certificate().reachable >= bound - 1e-7 * abs(bound)
    assert ours.certificate().reachable == pytest.approx(referee.figures["value"], rel=1e-5)


def test_powers_come_to_the_limit_like_one_over_m():
    start = density((64,), lambda x: (-(x[:, 0] - 0.4).square() / 0.06).exp())
    V = jko.Potential(lambda x: 4 * (x[:, 0] - 0.6).square())
    limit, apart = 2.0, []
    at = jko.step(V + Congestion(limit), start, tau=0.1)
    size = float(at.pressure.max())  # where the density of the power is the limit
    for m in (20, 40, 80):
        power = size * (m - 1) * limit ** (1 - m) * jko.PorousMedium(m)
        near = jko.step(V + power, start, tau=0.1).state
        apart.append(float((near.values - at.state.values).abs().mean()))
    assert all(0.4 < later / sooner < 0.6 for sooner, later in pairwise(apart))


@pytest.mark.parametrize(("shape", "V"), [((60,), uphill), ((16, 16), doored), ((8, 8, 8), uphill)])
def test_a_crowd_ends_as_the_lowest_cells_filled_to_the_limit(shape, V):
    start = density(shape, lambda x: (x[:, 0] > 0.6).double())
    limit = max(3.0, float(start.values.max()))
    E = jko.Potential(V) + Congestion(limit)
    run = jko.flow(E, start, tau=1.0, steps=12)
    assert all(later <= sooner + 1e-9 for sooner, later in pairwise(run.energies[1:]))
    lowest = jko.minimiser(E, room(shape))
    phi = V(start.atoms.points).sort().values
    share = limit / math.prod(shape)
    full = int(1 / share)
    least = float(phi[:full].sum() * share + (1 - full * share) * phi[full])
    assert lowest.energy == pytest.approx(least, rel=1e-9)
    assert run.energies[-1] == pytest.approx(least, rel=2e-2)


def test_a_step_with_a_network_keeps_the_limit():
    x = torch.linspace(-2, 2, 21, dtype=torch.float64)[:, None]
    risk = jko.Risk(
        jko.Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T),
    )
    plane = jko.Grid((-2.0, 2.0), (16, 16))
    start = jko.GridDensity.from_function(plane, lambda xi: (-2 * xi.square().sum(-1)).exp())
    limit = 0.8 * float(start.values.max())
    result = jko.step(risk + Congestion(limit), start, tau=0.2)
    check(result, limit)


def test_a_room_that_is_exactly_full_stays_so_and_a_smaller_one_is_refused():
    flat = density((8, 8), lambda x: 1 + 0 * x[:, 0])
    result = jko.step(jko.Potential(uphill) + Congestion(1.0), flat, tau=0.1)
    assert float((result.state.values - 1).abs().max()) < TIGHT
    result = jko.step(Congestion(3.0), flat, tau=0.1)
    check(result, 3.0)
    assert float((result.state.values - 1).abs().max()) < TIGHT
    with pytest.raises(ValueError, match="leaves no room"):
        jko.step(Congestion(0.9), flat, tau=0.1)
    with pytest.raises(ValueError, match=r"not jko\.energies\.Congestion"):
        jko.step(Congestion(2.0), flat, tau=0.1, solver=jko.Dynamic(inner=2))
    with pytest.raises(ValueError, match=r"hold 0\.9 of the mass"):
        jko.minimiser(jko.SquaredNorm() + Congestion(0.9), flat.grid)


def test_only_steps_with_congestion_have_a_pressure():
    flat = density((8,), lambda x: 1 + 0 * x[:, 0])
    with pytest.raises(ValueError, match="no pressure"):
        _ = jko.step(jko.Entropy(), flat, tau=0.1).pressure


def test_a_crowd_on_a_torus_knows_no_seam():
    def moved(by):
        grid = jko.Grid(((0.0, 1.0), (0.0, 1.0)), (20, 12), periodic=(True, False))
        at = torch.tensor([0.9 + by, 0.5])
        start = jko.GridDensity.from_function(
            grid, lambda x: (-((x - at + 0.5).remainder(1) - 0.5).square().sum(-1) / 0.03).exp()
        )
        V = jko.Potential(lambda x: 2 * torch.cos(2 * math.pi * (x[:, 0] - 0.3 - by)))
        limit = 0.6 * float(start.values.max())
        result = jko.step(V + Congestion(limit), start, tau=0.03)
        check(result, limit)
        return result.state.values

    assert float((moved(0.25) - moved(0.0).roll(5, 0)).abs().max()) < 1e-7
