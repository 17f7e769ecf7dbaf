"""One example of every energy, metric, solver and state of the library, by class: what has none fails a test."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import torch

import jko
from jko.distributed import Sharded
from jko.energies import Mixture, Scaled, Sum
from jko.energies.kernel import _FrozenVariation
from jko.measures import State
from jko.optim.atom import Atom, ClosureLoss
from jko.steps.line.crowded import Barrier
from jko.steps.problem import StepProblem
from jko.steps.remapped.stretched import Stretched
from jko.steps.split.held import Charge, HeldNorm
from jko.targets import GaussianKernel, NegativeDistance, Pull, RadialInteraction
from jko.testing import samples


def of_the_library() -> list[type]:
    """Every class of jko, wherever it stands."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(jko.__path__, "jko.")
        if "__main__" not in found.name
    ]
    classes = {
        kind: None
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__
    }
    return list(classes)


#: of atoms that are the cells of a grid, in their order, and so of no measure
OF_CELLS = {Stretched}


def concrete(base: type) -> list[type]:
    """Those below ``base`` of which there are objects."""
    return [
        kind
        for kind in of_the_library()
        if issubclass(kind, base) and not inspect.isabstract(kind) and kind not in {base, *OF_CELLS}
    ]


def solvers() -> list[type]:
    """What has a method ``solve(problem)``, and is no protocol."""
    found = []
    for kind in of_the_library():
        solve = inspect.getattr_static(kind, "solve", None)
        protocol = getattr(kind, "_is_protocol", False)
        if protocol or not inspect.isfunction(solve):
            continue
        if list(inspect.signature(solve).parameters) == ["self", "problem"]:
            found.append(kind)
    return found


INPUTS = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
DATA = jko.Data(INPUTS, torch.tensor([0.5, -0.25, 0.75, 1.0]).double())


def risk() -> jko.Risk:
    return jko.Risk(DATA, activation=jko.Ridge(torch.tanh))


def bowl(z: torch.Tensor) -> torch.Tensor:
    return 0.5 * z.square().sum(-1) + 0.1 * (z**4).sum(-1)


def gauss(z: torch.Tensor) -> torch.Tensor:
    return (-(z**2).sum(-1)).exp()


def frozen() -> jko.Energy:
    energy = jko.KernelEntropy(1.0)
    return _FrozenVariation(energy, energy.profile(samples.cloud(2)))


def copies(z: torch.Tensor) -> torch.Tensor:
    """The outer weights of a network with two layers are one vector, repeated in each atom."""
    return torch.cat([z[:, :3], z[:1, 3:].expand(len(z), 2)], dim=1)


def two_layers() -> tuple[jko.Energy, list[State], dict]:
    mu = samples.cloud(5, N=4)
    states = [jko.Particles(copies(mu.points), mu.weights)]
    return jko.energies.TwoLayerRisk(DATA, N2=2), states, {"along": copies}


def closed() -> jko.Energy:
    p = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def closure() -> torch.Tensor:
        loss = bowl(p)
        loss.backward()
        return loss

    return ClosureLoss(closure, Atom((p,), (1.0,)))


def held() -> jko.Energy:
    return HeldNorm(Charge.of(span()))


#: class -> a function that makes an energy, or an energy, the states to look at, and options
ENERGIES = {
    Sum: lambda: jko.SquaredNorm() + jko.Potential(bowl) + risk(),
    Scaled: lambda: -0.5 * jko.Interaction(gauss),
    jko.Interaction: lambda: jko.Interaction(gauss),
    jko.Entropy: jko.Entropy,
    jko.PorousMedium: lambda: jko.PorousMedium(3.0),
    jko.energies.Congestion: lambda: (
        jko.energies.Congestion(9.0),
        [samples.bump(1), samples.bump(2)],
    ),
    Barrier: lambda: (Barrier(9.0), [samples.bump(1), samples.bump(2)]),
    Mixture: lambda: Mixture.of([(0.3, jko.Entropy()), (1.0, jko.PorousMedium(2))]),
    jko.Potential: lambda: jko.Potential(bowl),
    jko.SquaredNorm: jko.SquaredNorm,
    jko.energies.PowerNorm: lambda: jko.energies.PowerNorm(4),
    _FrozenVariation: frozen,
    jko.KernelEntropy: lambda: jko.KernelEntropy(1.0),
    jko.energies.KernelPorousMedium: lambda: jko.energies.KernelPorousMedium(1.0, 2.0),
    jko.energies.TwoLayerRisk: two_layers,
    jko.energies.OnTheta: lambda: jko.energies.OnTheta(jko.KernelEntropy(1.0)),
    jko.energies.Relaxed: lambda: (
        jko.energies.Relaxed(jko.Potential(lambda z: (z[:, 0] ** 2 - 1) ** 2 + bowl(z))),
        [samples.cloud(2), samples.cloud(3, turn=2)],
    ),
    jko.Risk: risk,
    jko.Discrepancy: lambda: (jko.Discrepancy(samples.cloud(2, 5, N=4)), [samples.cloud(2)]),
    RadialInteraction: lambda: RadialInteraction(GaussianKernel(1.0)),
    Pull: lambda: (
        Pull(RadialInteraction(NegativeDistance()), samples.cloud(2, 5)),
        [samples.cloud(2)],
    ),
    jko.Attraction: lambda: (jko.Attraction(samples.cloud(2, 5, N=4)), [samples.cloud(2)]),
    jko.KullbackLeibler: lambda: jko.KullbackLeibler(lambda z: -bowl(z)),
    ClosureLoss: closed,
    HeldNorm: lambda: (held(), [samples.cloud(1)]),
}


def span(turn: int = 0) -> jko.ChargedSpan:
    b = samples.masses(len(INPUTS), turn) - 0.3
    rho = samples.cloud(1, turn, equal=True)
    return jko.ChargedSpan(rho, lambda t: t[:, 0].sin(), jko.GaussianBump(), INPUTS, 0.5, b)


def charged_density(turn: int = 0, cells: int = 12) -> jko.ChargedDensity:
    grid = jko.Grid((-2.0, 2.0), cells)
    return jko.ChargedDensity.from_function(
        grid, lambda t: (-((t[:, 0] - 0.2 * turn) ** 2)).exp(), lambda t: (1 + turn) * t[:, 0]
    )


def charged_mesh(turn: int = 0) -> jko.ChargedMesh:
    return jko.ChargedMesh.from_density(charged_density(turn))


def sharded(turn: int = 0) -> Sharded:
    whole = samples.cloud(2, turn, N=70)
    return Sharded(whole.points, whole.weights, shards=2)


def law(turn: int = 0, d: int = 2) -> jko.Gaussian:
    root = samples.cloud(d, turn, N=d).points + torch.eye(d).double()
    return jko.Gaussian(samples.cloud(d, turn, N=1).points[0], root @ root.T, nodes=256)


def laws(turn: int = 0, K: int = 3) -> jko.GaussianMixture:
    parts = [law(turn + 5 * k) for k in range(K)]
    means, S = (torch.stack([getattr(part, name) for part in parts]) for name in "mS")
    return jko.GaussianMixture(means, S, samples.masses(K, turn), nodes=256)


def young(turn: int = 0) -> jko.measures.YoungMeasure:
    w = samples.points(3, 4, turn)
    return jko.measures.YoungMeasure.of_fibres(
        samples.points(3, 2, turn + 5), w, weights=samples.masses(3, turn)
    )


def layered(turn: int = 0) -> jko.measures.TwoLayer:
    law = jko.measures.LayerKernels(
        lambda u: u, lambda u, v: (u - v)[..., 0] + turn, lambda v: v[:, 0], noise=1.0
    )
    drawn = law.sample(5, 3, generator=torch.Generator().manual_seed(turn))
    masses = samples.masses(5, turn), [0.2, 0.3, 0.5]
    return jko.measures.TwoLayer(drawn.theta, drawn.b, drawn.w, *masses)


#: class -> a function of a number that makes a state, another for another number
STATES = {
    jko.Particles: lambda turn=0: samples.cloud(2, turn),
    jko.ChargedParticles: lambda turn=0: samples.pair(2, turn),
    jko.ChargedDensity: charged_density,
    jko.ChargedMesh: charged_mesh,
    jko.GridDensity: lambda turn=0: samples.bump(2, turn),
    jko.LineMesh: samples.mesh,
    jko.ChargedSpan: span,
    Sharded: sharded,
    jko.Gaussian: law,
    jko.GaussianMixture: laws,
    jko.measures.YoungMeasure: young,
    jko.measures.TwoLayer: layered,
    jko.measures.LayerAtoms: lambda turn=0: layered(turn).atoms,
}

#: class -> a function that makes a metric, or a metric, states, and what it is not
METRICS = {
    jko.Wasserstein: jko.Wasserstein,
    jko.GraphWasserstein: jko.GraphWasserstein,
    jko.metrics.ScaledWasserstein: lambda: jko.metrics.ScaledWasserstein([1.0, 4.0]),
    jko.metrics.SlicedWasserstein: lambda: jko.metrics.SlicedWasserstein(
        8, generator=torch.Generator().manual_seed(0)
    ),
    jko.metrics.SinkhornDivergence: lambda: (
        jko.metrics.SinkhornDivergence(5.0, tol=1e-9),
        [samples.cloud(2, turn, equal=True) for turn in range(3)],
        {"triangle": False},
    ),
    jko.metrics.SplitWasserstein: lambda: (
        jko.metrics.SplitWasserstein(),
        [span(turn) for turn in range(3)],
        {"symmetric": False, "triangle": False},
    ),
    jko.metrics.BuresWasserstein: lambda: (
        jko.metrics.BuresWasserstein(),
        [laws(turn) for turn in range(3)],
    ),
}


def line_problem(state: State, tau: float = 0.1) -> StepProblem:
    inside = jko.Potential(bowl) + 0.1 * jko.Entropy()
    return StepProblem(inside, jko.metrics.natural_metric(state), state, tau)


def grid(cells: int = 24) -> jko.GridDensity:
    return jko.GridDensity.from_function(
        jko.Grid((-3.0, 3.0), cells), lambda x: (-((x[:, 0] - 0.5) ** 2)).exp()
    )


def pair_problem() -> StepProblem:
    pair = charged_density(cells=24)
    return StepProblem(jko.Potential(bowl), jko.GraphWasserstein(), pair, 0.1)


def span_problem() -> StepProblem:
    energy = jko.Risk(DATA, activation=jko.GaussianBump()) + 0.1 * jko.SquaredNorm()
    return StepProblem(energy, jko.metrics.SplitWasserstein(), span(), 0.1)


#: class -> a function that makes a solver, or a solver and its problems
SOLVERS = {
    jko.LBFGS: jko.LBFGS,
    jko.BlockNewton: jko.BlockNewton,
    jko.Plans: jko.Plans,
    jko.FrankWolfe: jko.FrankWolfe,
    jko.Dynamic: lambda: (jko.Dynamic(), [line_problem(grid())]),
    jko.Conic: lambda: (jko.Conic(), [line_problem(grid())]),
    jko.Sinkhorn: lambda: (jko.Sinkhorn(0.1), [line_problem(grid())]),
    jko.Quantile: lambda: (
        jko.Quantile(),
        [line_problem(jko.LineMesh.from_density(grid()))],
    ),
    jko.steps.MeshNewton: lambda: (jko.steps.MeshNewton(), [line_problem(charged_mesh())]),
    jko.steps.Remapped: lambda: (jko.steps.Remapped(), [pair_problem()]),
    jko.steps.BuresNewton: lambda: (
        jko.steps.BuresNewton(),
        [line_problem(state) for state in (law(), laws())],
    ),
    jko.steps.Alternating: lambda: (jko.steps.Alternating(), [span_problem()]),
}
