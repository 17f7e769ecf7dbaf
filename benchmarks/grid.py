"""Steps of densities: cost of a step, work against precision, and how the cost grows with the number of cells.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/grid.py                      everything, several minutes
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/grid.py --quick              small sizes, under a minute
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/grid.py medium precision     chosen tables; --help lists them

One thread, CPU seconds, medians of three flows after one that compiles.  ``L1 to JKO`` is the distance to the exact
iterate of the JKO scheme, ``L1 to PDE`` to the solution of the equation: both are closed forms of ``jko.exact``.
A porous medium of power m is ``m PorousMedium(m)``, which flows by ``d_t rho = Lap rho^m``; it starts from Barenblatt's
profile, given by its means over the cells.  Fokker and Planck's is ``Ent(rho) + 50 int |x - c|^2 drho``.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import sqrtm
from scipy.optimize import brentq

import jko
from jko import exact

REPEATS = 3


@dataclass
class Problem:
    """A flow with its exact answers."""

    name: str
    energy: jko.Energy
    start: jko.GridDensity | jko.LineMesh
    tau: float
    steps: int
    pde: Callable[[float], object] | None = None  # exact state at time t
    iterate: Callable[[float, int], object] | None = None  # exact state after k steps of length tau

    def flow(self, tau: float, steps: int, **options) -> jko.Trajectory:
        """Run it."""
        return jko.flow(self.energy, self.start, tau=tau, steps=steps, save=steps, **options)


def means(grid: jko.Grid, profile: Callable, fine: int) -> jko.GridDensity:
    """Means of a function over the cells, by ``fine`` points along each axis of a cell."""
    points = jko.Grid(grid.bounds, [fine * n for n in grid.shape]).centres.numpy()
    shape = [count for n in grid.shape for count in (n, fine)]
    values = profile(points).reshape(shape).mean(tuple(range(1, 2 * grid.dim, 2)))
    return jko.GridDensity(grid, torch.from_numpy(values / (values.sum() * grid.cell)))


def medium(n: int, m: float, t0: float, tau: float, steps: int = 10, d: int = 2) -> Problem:
    """Barenblatt's profile on [0, 1]^d, from time t0."""
    grid, law = jko.Grid((0.0, 1.0), (n,) * d), {"m": m, "d": d, "c": m}

    def state(R: float) -> jko.GridDensity:
        return means(grid, lambda x: exact.barenblatt(x, R=R, m=m, centre=0.5), 4 if d < 3 else 2)

    def iterate(tau: float, k: int) -> jko.GridDensity:
        R = R0
        for _ in range(k):
            R = exact.barenblatt_step(R, tau=tau, **law)
        return state(R)

    R0 = float(exact.barenblatt_flow(0.0, t=t0, **law))
    name = f"porous medium m = {m:g}, {n}^{d}"
    pde = lambda t: state(float(exact.barenblatt_flow(R0, t=t, **law)))  # noqa: E731
    return Problem(name, m * jko.PorousMedium(m), state(R0), tau, steps, pde, iterate)


def fokker_planck(n: int) -> Problem:
    """A narrow normal law beside the middle of its well."""
    grid, well = jko.Grid((0.0, 1.0), (n, n)), {"A": 100.0, "centre": 0.5, "beta": 1.0}
    start = exact.NormalLaw(np.full(2, 0.4), 0.06**2 * np.eye(2))

    def state(law: exact.NormalLaw) -> jko.GridDensity:
        return means(grid, lambda x: exact.gaussian(x, *law), 2)

    def iterate(tau: float, k: int) -> jko.GridDensity:
        law = start
        for _ in range(k):
            law = exact.gaussian_step(*law, tau=tau, **well)
        return state(law)

    energy = jko.Entropy() + jko.Potential(lambda x: 50 * (x - 0.5).square().sum(-1))
    pde = lambda t: state(exact.gaussian_flow(*start, t=t, **well))  # noqa: E731
    return Problem(f"Fokker-Planck, {n}^2", energy, state(start), 1e-3, 5, pde, iterate)


def network(n: int, tau: float = 0.2) -> Problem:
    """A risk of 200 data for neurons w tanh(theta x), with entropy."""
    grid, generator = jko.Grid((-4.0, 4.0), (n, n)), torch.Generator().manual_seed(0)
    x = torch.randn(200, 1, generator=generator, dtype=torch.float64)
    risk = jko.Risk(
        jko.Data(x, torch.sin(2 * x[:, 0])),
        features=lambda xi, x: xi[:, :1] * torch.tanh(xi[:, 1:] @ x.T),
    )
    start = jko.GridDensity.from_function(grid, lambda xi: (-0.5 * xi.square().sum(-1)).exp())
    energy = risk + 0.1 * jko.SquaredNorm() + 0.05 * jko.Entropy()
    return Problem(f"risk M = 200, {n}^2", energy, start, tau, 6)


def line(N: int) -> Problem:
    """Barenblatt's profile on a mesh of the line."""
    law = {"m": 2, "d": 1, "c": 2}
    R0 = float(exact.barenblatt_flow(0.0, t=2e-4, **law))
    edges = np.linspace(-R0, R0, N + 1)
    masses = np.diff(exact.barenblatt_mass(edges, R=R0))

    def iterate(tau: float, k: int) -> float:
        R = R0
        for _ in range(k):
            R = exact.barenblatt_step(R, tau=tau, **law)
        return R

    start = jko.LineMesh(edges, masses / masses.sum())
    pde = lambda t: float(exact.barenblatt_flow(R0, t=t, **law))  # noqa: E731
    return Problem(
        f"porous medium m = 2, line, N = {N}",
        2 * jko.PorousMedium(2),
        start,
        1e-4,
        10,
        pde,
        iterate,
    )


def error(state: jko.GridDensity | jko.LineMesh, answer: object) -> float:
    """The L1 distance of cell means; on a mesh the answer is the radius of the exact profile."""
    if isinstance(state, jko.LineMesh):
        mass = np.diff(exact.barenblatt_mass(state.edges.numpy(), R=answer))
        return float(np.abs(mass - state.masses.numpy()).sum() + 1 - mass.sum())
    return float((state.values - answer.values).abs().sum()) * state.grid.cell


def timed(run: Callable[[], jko.Trajectory]) -> tuple[jko.Trajectory, float]:
    """A flow, and the median of its CPU seconds."""
    run()
    seconds = []
    for _ in range(REPEATS):
        begin = time.process_time()
        result = run()
        seconds.append(time.process_time() - begin)
    return result, float(np.median(seconds))


def costs(title: str, problems: list[Problem], **options) -> None:
    """One line a problem."""
    print(
        f"\n{title}\n{'':38s}ms/step   L1 to JKO   L1 to PDE    residual  |mass - 1|  smallest slack"
    )
    for p in problems:
        try:
            run, seconds = timed(lambda p=p: p.flow(p.tau, p.steps, **options))
        except jko.StepFailed as failed:
            print(
                f"{p.name:36s} {failed.status.name} after {len(failed.trajectory.times) - 1} steps"
            )
            continue
        plain = options.get("scheme") is None
        jko_error = (
            f"{error(run.final, p.iterate(p.tau, p.steps)):.1e}" if p.iterate and plain else ""
        )
        pde_error = f"{error(run.final, p.pde(p.tau * p.steps)):.1e}" if p.pde else ""
        print(
            f"{p.name:36s}{1e3 * seconds / p.steps:9.2f}{jko_error:>12s}{pde_error:>12s}{run.residuals.max():12.0e}"
            f"{abs(float(run.final.mass) - 1):12.0e}{run.slacks.min():16.1e}"
        )


def table_medium(quick: bool) -> None:
    """Porous media of all powers, by JKO steps and by SDIRK2."""
    sizes = [64, 128] if quick else [128, 256, 512]
    problems = [medium(n, 2, 2e-4, 1e-4) for n in sizes]
    n = sizes[-2]
    problems += [medium(n, 1.5, 1e-3, 5e-4), medium(n, 3, 2e-5, 1e-5)]
    costs("Dynamic, JKO steps", problems)
    costs("Dynamic, SDIRK2", problems, scheme=jko.SDIRK2())


def table_fokker_planck(quick: bool) -> None:
    """Entropy with a well."""
    problems = [fokker_planck(n) for n in ([64, 128] if quick else [128, 256, 512])]
    costs("Dynamic, JKO steps", problems)
    costs("Dynamic, SDIRK2", problems, scheme=jko.SDIRK2())


def table_space(quick: bool) -> None:
    """Three dimensions."""
    sizes = [32] if quick else [32, 64]
    costs("Dynamic, JKO steps", [medium(n, 2, 1e-5, 5e-6, steps=5, d=3) for n in sizes])


def table_risk(quick: bool) -> None:
    """Networks."""
    sizes = [64] if quick else [64, 128, 256]
    problems = [network(n, tau) for n in sizes for tau in (0.05, 0.2, 1.0)]
    for p in problems:
        p.name += f", tau = {p.tau:g}"
    costs("Dynamic, JKO steps, tol = 1e-6", problems, solver=jko.Dynamic(tol=1e-6))


def table_line(quick: bool) -> None:
    """Meshes of the line."""
    problems = [line(N) for N in ([1000] if quick else [1000, 10_000])]
    costs("Quantile, JKO steps", problems)
    costs("Quantile, SDIRK2", problems, scheme=jko.SDIRK2())


def table_sinkhorn(quick: bool) -> None:
    """Entropic steps on the same cells."""
    size = 64 if quick else 256
    for n, width, debiased in ((size, 1, False), (size, 2, False), (size, 4, False), (64, 1, True)):
        epsilon = 2 * (width / n) ** 2
        title = f"Sinkhorn({epsilon:.1e}, debiased={debiased}): a blur of {width} cells"
        solver = jko.Sinkhorn(epsilon, debiased=debiased)
        costs(title, [medium(n, 2, 2e-4, 1e-4, steps=3)], solver=solver)


def table_precision(quick: bool) -> None:
    """CPU seconds of the whole flow and error at its end, against the number of steps."""
    solver = jko.Dynamic(tol=1e-6, eps=1e-5)
    cases = [(medium(n, 2, 2e-4, 1e-4), solver) for n in ([64] if quick else [128, 256])]
    cases += [(fokker_planck(64 if quick else 128), jko.Dynamic(tol=1e-6)), (line(1000), None)]
    for p, solver in cases:
        print(
            f"\n{p.name}, to t = {p.tau * p.steps:g}\n{'steps':>12s}    CPU s   L1 to PDE   L1 to JKO"
        )
        for scheme in (jko.Implicit(), jko.SDIRK2()):
            for steps in (2, 4, 8, 16, 32):
                tau = p.tau * p.steps / steps
                run, seconds = timed(
                    lambda p=p, tau=tau, steps=steps, scheme=scheme, solver=solver: p.flow(
                        tau, steps, scheme=scheme, solver=solver
                    )
                )
                ours = error(run.final, p.iterate(tau, steps))
                iterate = f"{ours:12.1e}" if isinstance(scheme, jko.Implicit) else ""
                label = f"{type(scheme).__name__} {steps:3d}"
                pde = error(run.final, p.pde(p.tau * p.steps))
                print(f"{label:>12s}{seconds:9.3f}{pde:12.1e}{iterate}")


def table_scaling(quick: bool) -> None:
    """CPU seconds of a step from 64^2 to 1024^2 cells, and the slope."""
    sizes = [32, 64, 128] if quick else [64, 128, 256, 512, 1024]
    for make in (lambda n: medium(n, 2, 2e-4, 1e-4, steps=3), fokker_planck):
        figures = []
        print()
        for n in sizes:
            p = make(n)
            figures.append(timed(lambda p=p: p.flow(p.tau, 3))[1] / 3)
            print(
                f"{p.name:36s}{1e3 * figures[-1]:10.2f} ms  {1e9 * figures[-1] / n**2:8.0f} ns for each cell"
            )
        slope = np.polyfit(2 * np.log(sizes), np.log(figures), 1)[0]
        print(f"log-log slope in the number of cells {slope:.3f}")


def wrong_corner(n: int, width: float, diffusion: jko.Energy, k: float) -> Problem:
    """A bump in one corner, a steep well in the other, and little diffusion."""
    grid = jko.Grid((0.0, 1.0), (n, n))
    start = jko.GridDensity.from_function(
        grid, lambda x: (-(x - 0.9).square().sum(-1) / (2 * width**2)).exp()
    )
    energy = diffusion + jko.Potential(lambda x: k * (x - 0.1).square().sum(-1))
    return Problem(f"{diffusion!r}, k = {k:g}", energy, start, 0.0, 1)


def one_step(p: Problem, tau: float, **options) -> tuple[jko.StepResult, float]:
    """One step, whatever becomes of it, and its CPU seconds."""
    begin = time.process_time()
    solver = jko.Dynamic(**options)
    result = jko.step(p.energy, p.start, tau=tau, solver=solver, throw=False)
    return result, time.process_time() - begin


def table_hard(quick: bool) -> None:
    """One step against a strong well with weak diffusion: Newton's iterations, F where it fails."""
    entropy, square = jko.Entropy(), jko.PorousMedium(2)
    energies = [c * E for E in (entropy, square) for c in (1.0, 1e-2, 1e-3)]
    stiffness = (1e-3, 1e-2, 0.1, 1.0, 10.0)  # 2 k tau
    one_step(wrong_corner(64, 0.05, entropy, 1.0), 1e-4)
    one_step(wrong_corner(64, 0.05, square, 1.0), 1e-4)
    for width in (0.05,) if quick else (0.05, 0.2):
        seconds, failed = [], 0
        print(f"\nbump of width {width:g}{'':18s}" + "".join(f"{s:>8g}" for s in stiffness))
        for E in energies:
            for k in (1.0, 10.0, 100.0):
                p = wrong_corner(64, width, E, k)
                found = [one_step(p, s / (2 * k)) for s in stiffness]
                failed += sum(not result.status.ok for result, _ in found)
                seconds += [used for _, used in found]
                cells = (
                    f"{result.figures['newton']:>7.0f}{' ' if result.status.ok else 'F'}"
                    for result, _ in found
                )
                print(f"{p.name:36s}" + "".join(cells))
        print(
            f"{failed} of {len(seconds)} fail; CPU seconds: median {np.median(seconds):.2f}, largest {max(seconds):.2f}"
        )


def table_powers(quick: bool) -> None:
    """Powers up to 20 from Barenblatt's profile of radius 1/5, by steps of half its age, to two tolerances."""
    n = 64 if quick else 128
    for tol in (1e-4, 1e-6):
        problems = []
        for m in (1.05, 1.5, 2, 3, 4, 6, 10, 20):
            radius = lambda t, m=m: float(exact.barenblatt_flow(0.0, t=t, m=m, d=2, c=m))  # noqa: E731
            t0 = math.exp(brentq(lambda s: math.log(radius(math.exp(s)) / 0.2), -90, 10))  # noqa: B023
            problems.append(medium(n, m, t0, t0 / 2, steps=5))
        costs(f"Dynamic(tol={tol:g})", problems, solver=jko.Dynamic(tol=tol))


def table_large(quick: bool) -> None:
    """One large step into a well, against the exact JKO step: inner time steps."""
    n, k, tau = 64 if quick else 128, 100.0, 1e-3
    base = medium(n, 2, 2e-4, tau, steps=1)
    R0 = float(exact.barenblatt_flow(0.0, t=2e-4, m=2, d=2, c=2))
    well = base.energy + jko.Potential(lambda x: k * (x - 0.5).square().sum(-1))

    def iterate(tau: float, steps: int) -> jko.GridDensity:
        R = R0
        for _ in range(steps):
            R = exact.barenblatt_step(R, tau=tau, m=2, d=2, c=2, a=2 * k)
        return means(base.start.grid, lambda x: exact.barenblatt(x, R=R, m=2, centre=0.5), 4)

    p = Problem(f"porous medium in a well, {n}^2", well, base.start, tau, 1, None, iterate)
    for inner in (1, 2, 4, 8):
        costs(f"Dynamic(inner={inner})", [p], solver=jko.Dynamic(inner=inner))


def table_interaction(quick: bool) -> None:
    """The same flow with an attraction between all cells and without it."""
    for n in (64,) if quick else (64, 256):
        alone = medium(n, 2, 2e-4, 1e-4, steps=5)
        attraction = jko.Interaction(lambda z: 20 * z.square().sum(-1))
        together = Problem(
            f"with |x - y|^2, {n}^2", alone.energy + attraction, alone.start, 1e-4, 5
        )
        costs("Dynamic, JKO steps", [alone, together])


def bures(a: exact.NormalLaw, b: exact.NormalLaw) -> float:
    """W2 of two Gaussians."""
    root = sqrtm(a.covariance)
    cross = sqrtm(root @ b.covariance @ root)
    spread = np.trace(a.covariance + b.covariance - 2 * cross.real)
    return float(np.sqrt(np.sum((a.mean - b.mean) ** 2) + spread))


def table_distance(quick: bool) -> None:
    """W2 of two Gaussians, one of them turned and stretched, against Bures' formula."""
    print(f"{'':16s}    CPU s   relative error    gap of W2^2")
    shapes = [(64, 64), (128, 128), (24, 24, 24)]
    shapes += [] if quick else [(256, 256), (512, 512), (64, 64, 64)]
    for shape in shapes:
        d = len(shape)
        grid = jko.Grid((0.0, 1.0), shape)
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(d, d)))[0]
        laws = (
            exact.NormalLaw(np.full(d, 0.4), 0.05**2 * np.eye(d)),
            exact.NormalLaw(
                np.full(d, 0.6), turn @ np.diag(np.linspace(0.04, 0.08, d) ** 2) @ turn.T
            ),
        )
        a, b = (means(grid, lambda x, law=law: exact.gaussian(x, *law), 2) for law in laws)
        begin = time.process_time()
        found = jko.distance(a, b)
        used = time.process_time() - begin
        true = bures(*laws)
        print(
            f"{'x'.join(map(str, shape)):16s}{used:9.2f}{abs(found.value / true - 1):17.1e}{found.gap:15.1e}"
        )


TABLES = {
    name.removeprefix("table_"): table
    for name, table in globals().items()
    if name.startswith("table_")
}


def main(title: str, tables: dict[str, Callable[[bool], None]]) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("tables", nargs="*", choices=[*tables, []], help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.tables or tables:
        print(f"\n== {name}: {tables[name].__doc__}", flush=True)
        tables[name](options.quick)


if __name__ == "__main__":
    main(__doc__.splitlines()[0], TABLES)
