"""Section 4: entropy and porous media, their minimisers, and F seen from a minimiser."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

import jko.limits
from jko import exact
from jko.diagnostics import decomposition, optimality, stationary
from jko.diagnostics.convergence import convergence
from jko.energies import Energy, Entropy, Internal, PorousMedium, Potential, Risk, SquaredNorm
from jko.flows import flow
from jko.limits.systems import System, chaos, separated, transported
from jko.measures import ChargedDensity, GridDensity, LineMesh, Particles
from jko.networks import Data
from jko.spaces import Grid
from jko.steps import BlockNewton
from jko.survey.measuring import Curve, Kind, Measurement, Picture, claim

BETA = 0.1


def plane(quick: bool) -> Grid:
    """Of xi = (w, theta)."""
    return Grid((-3.0, 3.0), (24, 24) if quick else (48, 48))


def network(lam: float, internal: Internal, beta: float = BETA) -> Energy:
    """w tanh(theta x) against sin 2x on nine data."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    risk = Risk(
        Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] * x.T),
    )
    return risk + lam * SquaredNorm() + beta * internal


def bumpy(grid: Grid, seed: int = 0) -> GridDensity:
    """A density with a random mass in every cell."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(grid.shape, generator=generator, dtype=torch.float64) + 0.1
    return GridDensity(grid, values / (values.sum() * grid.cell))


def _orders(
    energy: Energy, start: LineMesh, exact_spread: float, quick: bool
) -> tuple[float, Picture]:
    """The last pairwise order in tau of the second moment at t = 1, and its picture."""
    taus = [1 / 8, 1 / 16, 1 / 32] if quick else [1 / 8, 1 / 16, 1 / 32, 1 / 64]
    study = convergence(
        lambda tau: flow(energy, start, tau=tau, t1=1.0).final,
        start,
        taus=taus,
        norm=lambda state, _: abs(float(state.integrate(state.support[:, 0] ** 2)) - exact_spread),
    )
    slope = [study.errors[0] * tau / taus[0] for tau in taus]
    picture = Picture(
        (Curve(taus, study.errors, "JKO", "dots"), Curve(taus, slope, "order 1", "dashed")),
        "time step $\\tau$",
        "error of the second moment at $t = 1$",
        True,
        True,
    )
    return float(study.orders[-1]), picture


@claim("(4.1)", Kind.IDENTITY, "the heat regularisation adds tau Ent(mu) = tau int rho log rho")
def entropy(quick: bool) -> Measurement:
    """Energy of a normal law under |x|^2/2 + BETA Ent on a fine grid of the line, against the closed form."""
    grid = Grid((-8.0, 8.0), 800)
    rho = GridDensity.from_function(grid, lambda x: torch.exp(-(x[:, 0] ** 2) / 2))
    value = exact.gaussian_energy([0.0], [[1.0]], A=1.0, beta=BETA)
    return Measurement(float((SquaredNorm() + BETA * Entropy())(rho)), value, 1e-4)


@claim(
    "(4.2)",
    Kind.LIMIT,
    "the JKO scheme of F + tau Ent converges to the equation with tau Laplacian mu, at order 1",
)
def heat_equation(quick: bool) -> Measurement:
    """Order in the time step of the second moment of a normal law under |x|^2/2 + BETA Ent, to the exact one."""
    cells = 200 if quick else 400
    grid = Grid((-6.0, 6.0), cells)
    start = LineMesh.from_density(
        GridDensity.from_function(grid, lambda x: torch.exp(-(x[:, 0] ** 2) / 0.5))
    )
    spread = float(start.integrate(start.support[:, 0] ** 2))
    after = spread * math.exp(-2) + BETA * (1 - math.exp(-2))
    order, picture = _orders(SquaredNorm() + BETA * Entropy(), start, after, quick)
    return Measurement(order, 1.0, 0.1, picture=picture)


@claim(
    "(4.3)",
    Kind.IDENTITY,
    "with no flux through the walls the state of rest is e^{x/tau}/Z, for V = -x on [0, 1]",
)
def walls(quick: bool) -> Measurement:
    """L1 distance of the cell masses of the minimiser from those of the formula."""
    grid, n = Grid((0.0, 1.0), 200), 200
    rest = stationary(Potential(lambda x: -x[:, 0]) + BETA * Entropy(), grid).state
    masses = np.diff(exact.wall_rest_mass(np.linspace(0, 1, n + 1), beta=BETA))
    return Measurement(float(np.abs(rest.weights.numpy() - masses).sum()), 0.0, 1e-4)


@claim(
    "(4.4)-(4.5)",
    Kind.IDENTITY,
    "F(mu) - F(mu_*) = 1/2 |f_mu - f_mu_*|^2 + tau KL(mu, mu_*) at the stationary mu_*",
)
def relative_entropy(quick: bool) -> Measurement:
    """Both sides of (4.4)-(4.5), for a measure with random masses on a grid of the plane of (w, theta)."""
    F, grid = network(0.05, Entropy()), plane(quick)
    star, mu = stationary(F, grid).state, bumpy(grid)
    terms = decomposition(F, mu, star)
    return Measurement(float(F(mu) - F(star)), terms.risk + terms.internal, 1e-10)


@claim(
    "after (4.5)",
    Kind.IDENTITY,
    "so F(mu) >= F(mu_*), and the stationary solution is the unique minimiser: F curves up from it",
)
def unique_minimiser(quick: bool) -> Measurement:
    """(F(mu_* + s (mu - mu_*)) - F(mu_*)) / s^2 for small s, mean over both signs and over four mu.

    By (4.5) it tends to ``1/2 |f_mu - f_*|^2 + tau/2 int (mu - mu_*)^2 / mu_*``, which is positive; written out.
    """
    F, grid = network(0.05, Entropy()), plane(quick)
    star, s = stationary(F, grid).state, 2e-5
    x = np.linspace(-1, 1, 9)
    w, theta = grid.centres.numpy().T
    phi = w[:, None] * np.tanh(theta[:, None] * x)
    found, exact = 0.0, 0.0
    for k in range(4):
        change = bumpy(grid, k).values - star.values
        ends = [float(F(GridDensity(grid, star.values + e * change))) for e in (s, -s)]
        found += (sum(ends) - 2 * float(F(star))) / (8 * s**2)
        masses, base = (v.numpy().ravel() * grid.cell for v in (change, star.values))
        exact += ((masses @ phi) ** 2).mean() / 8 + BETA / 8 * float((masses**2 / base).sum())
        if min(ends) < float(F(star)) or abs(ends[0] - ends[1]) > 2 * s * 1e-7:
            found = math.nan  # no minimum, or not stationary
    return Measurement(found, exact, 1e-4 * exact)


@claim(
    "4.1",
    Kind.COUNTEREXAMPLE,
    "without V, or with w unbounded, there need be no stationary solution: inf F = -infinity",
)
def no_minimiser(quick: bool) -> Measurement:
    """V = 0: slope of F in log L when w is spread evenly over [-L, L], which leaves f_mu alone; it is -BETA."""
    F = network(0.0, Entropy())
    lengths, values = [2.0, 4.0, 8.0, 16.0], []
    for L in lengths:
        grid = Grid(((-L, L), (-1.0, 1.0)), (40, 8))
        values.append(
            float(F(GridDensity.from_function(grid, lambda xi: torch.ones_like(xi[:, 0]))))
        )
    slope = float(np.polyfit(np.log(lengths), values, 1)[0])
    picture = Picture(
        (Curve(lengths, values, "$F$", "dots"),), "$L$", "$F$ of the even law on $[-L, L]$", True
    )
    return Measurement(slope, -BETA, 1e-10, picture=picture)


@claim("(4.6)", Kind.IDENTITY, "the porous-medium regularisation adds (tau/2) int mu^2")
def square(quick: bool) -> Measurement:
    """Energy of a parabola under |x|^2/2 + BETA/2 int mu^2 on a fine grid of the line, against the closed form."""
    grid = Grid((-1.5, 1.5), 3000)
    rho = GridDensity.from_function(grid, lambda x: (1 - x[:, 0] ** 2).clamp(min=0))
    value = float(exact.barenblatt_energy(1.0, m=2, d=1, c=BETA, a=1.0))
    return Measurement(float((SquaredNorm() + BETA * PorousMedium(2))(rho)), value, 1e-5)


@claim(
    "(4.7)",
    Kind.LIMIT,
    "its JKO scheme converges to the equation with tau div(mu grad mu), at order 1",
)
def porous_medium_equation(quick: bool) -> Measurement:
    """Order in the time step of the second moment of a parabola, to Barenblatt's solution."""
    cells = 200 if quick else 400
    edges = np.linspace(-1, 1, cells + 1)
    start = LineMesh(edges, np.diff(0.75 * (edges - edges**3 / 3)))
    R = float(exact.barenblatt_flow(1.0, m=2, d=1, c=1.0, a=1.0, t=1.0))
    order, picture = _orders(SquaredNorm() + 1.0 * PorousMedium(2), start, R**2 / 5, quick)
    return Measurement(order, 1.0, 0.1, picture=picture)


@claim(
    "4.2",
    Kind.COUNTEREXAMPLE,
    '"any stationary solution should have full support": it is compact where V confines',
)
def compact_support(quick: bool) -> Measurement:
    """Radius of the support of the minimiser of |x|^2/2 + 1/2 int mu^2 on the line, against R^3 = 3/2."""
    grid = Grid((-3.0, 3.0), 600)
    rest = stationary(SquaredNorm() + 1.0 * PorousMedium(2), grid).state
    full = rest.support[rest.weights > 1e-9, 0]
    return Measurement(float(full.max()), exact.barenblatt_rest(m=2, d=1, c=1.0, a=1.0), 0.02)


@claim(
    "(4.8)",
    Kind.ERRATUM,
    "F(mu) = F(mu_*) + 1/2 |f_mu - f_mu_*|^2 + tau/2 int (mu - mu_*)^2 + int (phi_* - l) dmu",
)
def porous_identity(quick: bool) -> Measurement:
    """The right side with its last term, which is positive where mu_* vanishes; as printed, without."""
    F, grid = network(1.0, PorousMedium(2)), plane(quick)
    star, mu = stationary(F, grid).state, bumpy(grid)
    terms, base = decomposition(F, mu, star), float(F(star))
    printed = base + terms.risk + terms.internal
    return Measurement(printed + terms.slope, float(F(mu)), 1e-10, printed=printed)


@claim(
    "after (4.8)",
    Kind.COUNTEREXAMPLE,
    '"uniqueness of stationary solutions": two bumps of any masses p, 1 - p are stationary',
)
def many_stationary(quick: bool) -> Measurement:
    """V = 5 (x^2 - 1)^2, tau = .5: F of the stationary measure with masses .3 and .7, against quadrature.

    Each bump has a level of its own, on which dF/dmu is constant; and the flow stays there for a while.
    """
    grid, c = Grid((-2.0, 2.0), 4000), 0.5
    x = grid.centres[:, 0]
    F = Potential(lambda y: 5 * (y[:, 0] ** 2 - 1) ** 2) + c * PorousMedium(2)
    energies, shares = [], np.linspace(0.05, 0.5, 10)
    for p in [0.3, *shares]:
        levels = np.where(x < 0, _level(p, c), _level(1 - p, c))
        rho = torch.from_numpy(np.maximum(levels - 5 * (x.numpy() ** 2 - 1) ** 2, 0) / c)
        energies.append(float(F(GridDensity(grid, rho / (rho.sum() * grid.cell)))))
        if p == 0.3:
            resting = _rests(F, GridDensity(grid, rho / (rho.sum() * grid.cell)))
    expected = sum(_bump(_level(p, c), c)[1] for p in (0.3, 0.7))
    picture = Picture(
        (Curve(shares, energies[1:], "", "dots"),), "mass $p$ of the left bump", "$F$"
    )
    return Measurement(energies[0] if resting else math.nan, expected, 1e-5, picture=picture)


def _trained() -> tuple[Energy, Particles]:
    """Neurons cos(x - theta) on a circle, at rest: the closed-form minimum has one place."""
    angle = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    data = Data(angle[:, None], 2 * torch.cos(angle - 0.7) / math.pi**0.5, [2 * math.pi / 16] * 16)
    R = Risk(data, activation=lambda theta, x: torch.cos(x.T - theta) / math.pi**0.5)
    F = R + 0.1 * Potential(lambda xi: 0.5 * xi[:, 0] ** 2)
    start = Particles([[0.5, 0.2], [0.3, 1.0], [0.4, 0.9]])
    run = flow(F, start, tau=2.0, steps=60, solver=BlockNewton(tol=1e-12))
    return F, run.final  # type: ignore[return-value]


@claim(
    "(4.9), footnote 11", Kind.IDENTITY, "at a local minimiser dF/dmu is constant on the support"
)
def constant_on_support(quick: bool) -> Measurement:
    """The spread of dF/dmu over the atoms at the end of a flow."""
    F, mu = _trained()
    phi = F.variation(mu)
    return Measurement(float(phi.max() - phi.min()), 0.0, 1e-9)


def _bump(level: float, c: float) -> tuple[float, float]:
    """Mass and energy of ``rho = (level - V)_+ / c`` about one of the minima of V = 5 (x^2 - 1)^2, by quadrature."""
    reach = math.sqrt(level / 5)
    ends = math.sqrt(1 - reach), math.sqrt(1 + reach)

    def rho(x: float) -> float:
        return (level - 5 * (x * x - 1) ** 2) / c

    mass = quad(rho, *ends)[0]
    return mass, quad(lambda x: rho(x) * (level - c * rho(x) / 2), *ends)[0]


def _level(mass: float, c: float) -> float:
    """The level of the bump with this mass."""
    return float(brentq(lambda level: _bump(level, c)[0] - mass, 1e-9, 4.9))


def _rests(F: Energy, rho: GridDensity) -> bool:
    """Whether dF/dmu is constant on each of both bumps, and the flow leaves them where they are."""
    phi, full = F.variation(rho), rho.values > 1e-2
    left = rho.support[:, 0] < 0
    spreads = [float(phi[full & side].max() - phi[full & side].min()) for side in (left, ~left)]
    coarse = GridDensity(Grid((-2.0, 2.0), 80), rho.values.reshape(80, 50).mean(1))
    later = jko.limits.wasserstein(F, coarse, t1=0.05).final
    moved = float((later.weights - coarse.weights).abs().sum())
    levels = [float(phi[full & side].mean()) for side in (left, ~left)]
    return max(spreads) < 1e-4 and moved < 0.02 and abs(levels[0] - levels[1]) > 0.1


@claim(
    "(4.10), footnote 12",
    Kind.INEQUALITY,
    "and nowhere smaller: then F(mu_*) is the minimum over all measures",
)
def smallest_on_support(quick: bool) -> Measurement:
    """How far dF/dmu is below its value on the support, over a grid of Omega and the support itself."""
    F, mu = _trained()
    w, theta = torch.meshgrid(
        torch.linspace(-4, 4, 161, dtype=torch.float64),
        torch.linspace(0, 2 * math.pi, 161, dtype=torch.float64),
        indexing="ij",
    )
    points = torch.cat([torch.stack([w.flatten(), theta.flatten()], dim=1), mu.points])
    phi = F.variation(mu, points)
    return Measurement(float(F.variation(mu).mean() - phi.min()), 0.0, 1e-9)


@claim(
    "4.3",
    Kind.ERRATUM,
    "F(mu) - F(mu_*) >= 1/2 int (f_mu - f_mu_*)^2 dx: the constant is 1/2, not 1",
)
def half(quick: bool) -> Measurement:
    """The ratio of both sides where it is smallest: V = 0 and f_{mu_*} = f."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    star = Particles([[1.0, 2.0], [-0.5, 1.0]])

    def Phi(xi: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return xi[:, :1] * torch.tanh(xi[:, 1:] * x.T)

    F = Risk(Data(x, Phi(star.points, x).mean(0)), features=Phi)
    mu = Particles([[0.3, 1.0], [2.0, -0.5], [1.0, 0.1]])
    square = float((F.data.weights * (F.predict(mu) - F.predict(star)) ** 2).sum())
    return Measurement(float(F(mu) - F(star)) / square, 0.5, 1e-12, printed=1.0)


@claim("4.3", Kind.INEQUALITY, "minimality can be proved: the gap of (4.10) bounds F(mu_*) - min F")
def proved(quick: bool) -> Measurement:
    """:func:`jko.optimality` at the end of a flow."""
    F, mu = _trained()
    return Measurement(optimality(F, mu).value, 0.0, 1e-9)


def _affine(n: int) -> ChargedDensity:
    """rho = N(0, 1/4), H = 3 theta."""
    return ChargedDensity.from_function(
        Grid((-4.0, 4.0), n), lambda x: torch.exp(-2 * x[:, 0] ** 2), lambda x: 3 * x[:, 0]
    )


def _affine_rate(system: System, literal: bool, quick: bool) -> float:
    """dE/dt at time zero for E = 1/2 int (H^2 + theta^2) drho + Ent(rho)."""
    return system.rate(
        SquaredNorm() + 1.0 * Entropy(), _affine(400 if quick else 1600), literal=literal
    )


@claim(
    "Remark 4.1",
    Kind.COUNTEREXAMPLE,
    "a Laplacian in the rho-equation of (3.23) alone can raise the energy: at rate 4.5",
)
def literal_chaos(quick: bool) -> Measurement:
    """No risk, lam = tau = 1, rho = N(0, 1/4), H = 3 theta; the picture has all readings."""
    E, start = SquaredNorm() + 1.0 * Entropy(), _affine(60 if quick else 200)
    curves = []
    for name, system, literal in (
        ("(3.23), literally", chaos, True),
        ("(3.23), H transported too", chaos, False),
        ("(3.19)", separated, False),
        ("(3.21), literally", transported, True),
    ):
        run = system(E, start, t1=0.04, times=np.linspace(0, 0.04, 11), literal=literal)
        curves.append(Curve(run.times, run.energies, name))
    picture = Picture(tuple(curves), "$t$", "$G + $ Ent$(\\rho)$")
    return Measurement(_affine_rate(chaos, True, quick), 4.5, 0.01, picture=picture)


@claim(
    "Remark 4.1",
    Kind.ERRATUM,
    "the gradient flow in D transports H by -tau grad log rho too, and dissipates",
)
def transported_charge(quick: bool) -> Measurement:
    """The rate in the same example; as printed, that of the literal reading."""
    return Measurement(
        _affine_rate(chaos, False, quick), -4.5, 0.01, printed=_affine_rate(chaos, True, quick)
    )


@claim(
    "Remark 4.1",
    Kind.IDENTITY,
    "(3.19) with a Laplacian is the split gradient flow of G + tau Ent: it dissipates",
)
def literal_separated(quick: bool) -> Measurement:
    """The rate in the same example."""
    return Measurement(_affine_rate(separated, True, quick), -11.25, 0.02)


@claim(
    "Remark 4.1",
    Kind.COUNTEREXAMPLE,
    "(3.21) with a Laplacian for rho can raise the energy: at rate 11.25",
)
def literal_transported(quick: bool) -> Measurement:
    """The rate in the same example."""
    return Measurement(_affine_rate(transported, True, quick), 11.25, 0.02)
