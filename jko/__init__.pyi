"""What type checkers read of ``jko``; tests/test_front_door.py holds it to the table beside it."""

from jko import (
    diagnostics as diagnostics,
    estimators as estimators,
    exact as exact,
    limits as limits,
    metrics as metrics,
    optim as optim,
    plots as plots,
    snapshots as snapshots,
    testing as testing,
)
from jko.diagnostics import (
    convergence as convergence,
    minimiser as minimiser,
    optimality as optimality,
)
from jko.energies import (
    Energy as Energy,
    Entropy as Entropy,
    Interaction as Interaction,
    Internal as Internal,
    KernelEntropy as KernelEntropy,
    Logistic as Logistic,
    PorousMedium as PorousMedium,
    Potential as Potential,
    Risk as Risk,
    SquaredNorm as SquaredNorm,
)
from jko.flows import Adaptive as Adaptive, Greedy as Greedy, flow as flow
from jko.measures import (
    ChargedDensity as ChargedDensity,
    ChargedMesh as ChargedMesh,
    ChargedParticles as ChargedParticles,
    ChargedSpan as ChargedSpan,
    Gaussian as Gaussian,
    GaussianMixture as GaussianMixture,
    GridDensity as GridDensity,
    LineMesh as LineMesh,
    Particles as Particles,
    State as State,
)
from jko.metrics import (
    GraphWasserstein as GraphWasserstein,
    Metric as Metric,
    Wasserstein as Wasserstein,
    distance as distance,
    geodesic as geodesic,
)
from jko.networks import (
    Data as Data,
    FeatureMap as FeatureMap,
    GaussianBump as GaussianBump,
    Neuron as Neuron,
    Ridge as Ridge,
)
from jko.observers import (
    Progress as Progress,
    SteadyState as SteadyState,
    Stop as Stop,
)
from jko.runs import load_run as load_run
from jko.schemes import (
    BDF2 as BDF2,
    Implicit as Implicit,
    Midpoint as Midpoint,
    SDIRK2 as SDIRK2,
    Strang as Strang,
    ZEG as ZEG,
)
from jko.spaces import (
    Ball as Ball,
    Box as Box,
    Domain as Domain,
    Grid as Grid,
)
from jko.status import Status as Status
from jko.steps import (
    BlockNewton as BlockNewton,
    Conic as Conic,
    Dynamic as Dynamic,
    FrankWolfe as FrankWolfe,
    LBFGS as LBFGS,
    Plans as Plans,
    Quantile as Quantile,
    Sinkhorn as Sinkhorn,
    StepFailed as StepFailed,
    StepResult as StepResult,
    step as step,
)
from jko.targets import (
    Attraction as Attraction,
    Discrepancy as Discrepancy,
    KullbackLeibler as KullbackLeibler,
)
from jko.trajectory import Trajectory as Trajectory

__version__: str
