"""Wasserstein gradient flows by the JKO scheme, for shallow networks and their kin.

In reading order: states, spaces, networks, energies, metrics, the step and its solvers, the flow with its schemes and
observers, and what to hold them against.  ``import jko`` loads none of it: a name loads when it is first used.
"""

from jko.lazy import lazy

__version__ = "0.1.0"

_HOMES = {
    "jko.measures": (
        "State Particles ChargedParticles GridDensity LineMesh ChargedDensity ChargedMesh ChargedSpan "
        "Gaussian GaussianMixture"
    ),
    "jko.spaces": "Domain Box Ball Grid",
    "jko.networks": "Data FeatureMap Neuron Ridge GaussianBump",
    "jko.energies": (
        "Energy Risk Logistic SquaredNorm Potential Interaction Internal Entropy PorousMedium KernelEntropy"
    ),
    "jko.targets": "Discrepancy Attraction KullbackLeibler",
    "jko.metrics": "Metric Wasserstein GraphWasserstein distance geodesic",
    "jko.steps": (
        "step StepResult StepFailed LBFGS BlockNewton Plans FrankWolfe Dynamic Conic Quantile Sinkhorn"
    ),
    "jko.status": "Status",
    "jko.flows": "flow Adaptive Greedy",
    "jko.trajectory": "Trajectory",
    "jko.schemes": "BDF2 Implicit Midpoint SDIRK2 Strang ZEG",
    "jko.observers": "Progress SteadyState Stop",
    "jko.runs": "load_run",
    "jko.diagnostics": "convergence minimiser optimality",
    "jko": "metrics diagnostics limits exact plots testing snapshots optim estimators",
}

# what stood here in 0.1 and is asked of these modules now
_MOVED = {
    "jko.metrics": (
        "Action Barycentre Distance LeastAction ScaledWasserstein SinkhornDivergence SlicedWasserstein "
        "SplitWasserstein SquaredGradient action barycentre flow_distance least_action projection_loss squared_gradient"
    ),
    "jko.energies": "KernelPorousMedium OnTheta PowerNorm TwoLayerRisk",
    "jko.schemes": "Scheme",
    "jko.spaces": "Convex Cylinder",
    "jko.steps": "Alternating MeshNewton Remapped StepProblem",
    "jko.observers": "Conserved Record",
    "jko.diagnostics": (
        "BestParticles Convergence Decay Decomposition ErrorBudget FoldFree Identity Motion "
        "StepIdentity best_particles decay decomposition dissipation dissipation_identity error_budget fold_free "
        "fold_free_time graph_slope motion step_identity"
    ),
}
_FORMER = {name: f"{module}.{name}" for module, names in _MOVED.items() for name in names.split()}
_FORMER |= {
    "Optimality": "jko.duality.Gap",
    "Stationary": "jko.diagnostics.Minimiser",
    "stationarity": "jko.diagnostics.speed",
    "stationary": "jko.minimiser",
}

__all__, __getattr__, __dir__ = lazy(__name__, _HOMES, _FORMER)
