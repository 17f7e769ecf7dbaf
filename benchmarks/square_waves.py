"""Square waves to their Young limit: D(t) by period, the limit flow by three ways, and the bound e^{-lambda t}.

    python benchmarks/square_waves.py

Less than a minute of CPU time.  ``p`` is the period: H is 1 and -1 on the halves of each, and D(0) = p / sqrt 12.
"""

import numpy as np
import torch

import jko
from jko.diagnostics import disintegration
from jko.measures import YoungMeasure
from jko.survey.systems import line

F = line().G  # tanh(x + theta), 24 data, .05 |xi|^2
T = [0.5, 1.0, 2.0, 4.0]
EXACT = jko.LBFGS(tol=1e-10)


def middles(n: int) -> torch.Tensor:
    return ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[:, None]


def young(n: int) -> YoungMeasure:
    return YoungMeasure.of_fibres(middles(n), [1.0, -1.0])


def gauss(n: int) -> YoungMeasure:
    """The same law by Gauss's rule in theta: sheets are smooth in their labels, so energies are exact very soon."""
    x, m = np.polynomial.legendre.leggauss(n)
    return YoungMeasure.of_fibres((x[:, None] + 1) / 2, [1.0, -1.0], weights=m / 2)


def wave(p: float, n: int) -> jko.ChargedParticles:
    theta = middles(2 * n)
    return jko.ChargedParticles(theta, 1 - 2 * ((2 * theta[:, 0] / p).floor() % 2))


def flowing(start: jko.State, rtol: float = 1e-9) -> jko.Trajectory:
    return jko.limits.wasserstein(F, start, t1=T[-1], times=T, rtol=rtol)


def waves(n: int) -> None:
    end, times = flowing(young(n)), [0.0, *T]
    print(
        f"2 n = {2 * n} atoms\n{'period':>8} {'p/sqrt12':>9}",
        *(f"D({t:g})".rjust(9) for t in times),
        "  G - F at these",
    )
    rows = []
    for p in (1.0, 0.5, 0.25, 0.125, 0.0625):
        run = flowing(wave(p, n))
        far = [jko.distance(a, b).value for a, b in zip(run.states, end.states, strict=True)]
        rows.append(far)
        gaps = " ".join(f"{g:+.1e}" for g in run.energies - end.energies)
        print(f"{p:8.4f} {p / 12**0.5:9.6f}", *(f"{d:9.6f}" for d in far), " ", gaps)
    orders = np.log2(np.array(rows[:-1]) / np.array(rows[1:]))
    for row in orders:
        print(f"{'orders':>18}", *(f"{order:9.4f}" for order in row))
    means = flowing(young(n).project())
    print("F of the limit    ", end.energies)
    print("G of its projection", means.energies)
    for width in (1 / 16, 1 / 32, 1 / 64):
        found = [disintegration(mu, width).expected_variance for mu in end.states]
        print(
            f"E Var, cells of {width:.4f}:",
            np.round(found, 4),
            "by labels",
            np.round([mu.expected_variance for mu in end.states], 4),
        )


def agreement() -> None:
    """The limit flow by Gauss's rule, by refinement, and by JKO steps in the completion."""
    fine = flowing(gauss(24), 1e-12)
    print("F by 24 and 12 Gauss points:", fine.energies[3], flowing(gauss(12), 1e-12).energies[3])
    for n in (16, 32, 64, 128):
        print(
            f"  n = {n:4d} middles: error of F(2) {flowing(young(n)).energies[3] - fine.energies[3]:+.3e}"
        )
    start = gauss(12)
    goal = jko.limits.wasserstein(F, start, t1=2.0, rtol=1e-12).final
    for scheme in (jko.Implicit(), jko.SDIRK2()):
        table = jko.convergence(
            lambda tau, scheme=scheme: jko.flow(
                F, start, tau=tau, t1=2.0, scheme=scheme, solver=EXACT
            ),
            goal,
            parameters=[0.2, 0.1, 0.05, 0.025],
        )
        print(scheme, table, sep="\n")


def least(mu: jko.State, nu: jko.State) -> float:
    """The least eigenvalue of Hess dF/dmu at the atoms of nine points of a geodesic."""
    way = (jko.geodesic(mu, nu, s).atoms for s in np.linspace(0, 1, 9))
    return min(float(torch.linalg.eigvalsh(F.hessian(at)).min()) for at in way)


def stability(n: int) -> None:
    """D(t) against D(0) exp(-int lambda), lambda by eigenvalues; and the rate that is seen."""
    times = np.linspace(0, 4, 41)
    runs = [jko.limits.wasserstein(F, s, t1=4.0, times=times) for s in (wave(0.25, n), young(n))]
    pairs = list(zip(*(run.states for run in runs), strict=True))
    far = np.array([jko.distance(mu, nu).value for mu, nu in pairs])
    lam = np.array([least(mu, nu) for mu, nu in pairs])
    lower = np.minimum(lam[1:], lam[:-1])
    bound = far[0] * np.exp(-np.concatenate([[0], np.cumsum(lower * np.diff(times))]))
    print("lambda by eigenvalues", np.round(lam[::10], 3))
    print("D(t)", np.round(far[::10], 5), "bound", np.round(bound[::10], 5))
    print("kept:", bool((far <= bound * (1 + 1e-12)).all()))
    found = jko.diagnostics.contraction(F, *runs)
    print("modulus along the geodesics between the flows", np.round(found.moduli[::10], 4))
    print("rate that is seen", np.round(found.rates[::10], 4), "excess", found.excess)


def unstable(n: int) -> None:
    """A network with a negative modulus: waves of w = 2 on a quarter of each period and -.5 on the rest."""
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    data = jko.Data(x, torch.cos(2 * x[:, 0]))
    risk = jko.Risk(data, activation=lambda t, x: torch.tanh(2 * t @ x.T + 0.3))
    E, times = risk + 1e-3 * jko.SquaredNorm(), np.linspace(0, 3, 31)
    start = YoungMeasure.of_fibres(middles(n), [2.0, -0.5], [0.25, 0.75])
    end = jko.limits.wasserstein(E, start, t1=3.0, times=times)
    for periods in (1, 2, 4, 16, 32, 64):
        theta = middles(4 * n)
        H = torch.where((theta[:, 0] * periods) % 1 < 0.25, 2.0, -0.5).double()
        run = jko.limits.wasserstein(E, jko.ChargedParticles(theta, H), t1=3.0, times=times)
        found = jko.diagnostics.contraction(E, run, end)
        ratio = found.distances[-1] / found.distances[0]
        print(
            f"p = 1/{periods}: D(3) / D(0) = {ratio:.2f}, modulus {found.lam:.2f}, excess {found.excess}"
        )


if __name__ == "__main__":
    waves(512)
    agreement()
    stability(64)
    unstable(128)
