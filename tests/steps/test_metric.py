"""``metric=`` is honoured: by the index coupling where it stands for the metric, else by the metric's own cost."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko
from jko.metrics import Certificate, Distance, Plan, Proof
from jko.steps.beyond import beyond
from jko.steps.problem import StepProblem

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "structure.md"
TIGHT = jko.LBFGS(tol=1e-9)


def cloud(N=12, dim=2, seed=0, weights=None, domain=None):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(N, dim, generator=generator, dtype=torch.float64)
    return jko.Particles(points if domain is None else domain.project(points), weights, domain)


def well():
    """Smooth, coupled, not quadratic."""
    return jko.SquaredNorm() + jko.Potential(lambda z: z[:, 0] * z[:, 1] + 0.25 * (z**4).sum(-1))


def sliced(K=32):
    return jko.metrics.SlicedWasserstein(K, generator=torch.Generator().manual_seed(5))


METRICS = {
    "scaled": lambda: jko.metrics.ScaledWasserstein([1.0, 4.0]),
    "sliced": sliced,
    "sinkhorn": lambda: jko.metrics.SinkhornDivergence(0.5, tol=1e-9),
}


# ---------------------------------------------------------------------------------------------------------------------
# The page


def page_module(folder):
    """The metric of docs/structure.md, typed word by word into a file outside the package."""
    section = PAGE.read_text("utf-8").split("## A metric in an afternoon")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    (folder / "my_sliced.py").write_text(code)
    spec = importlib.util.spec_from_file_location("my_sliced", folder / "my_sliced.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_metric_of_the_page_runs_in_every_verb(tmp_path):
    turns = torch.arange(8, dtype=torch.float64) * torch.pi / 8
    u = torch.stack([turns.cos(), turns.sin()], dim=1)
    metric, ours = page_module(tmp_path).Sliced(u), jko.metrics.SlicedWasserstein(u)
    a, b = cloud(), cloud(seed=1)
    assert float(jko.distance(a, b, metric=metric)) == pytest.approx(
        jko.distance(a, b, metric=ours).value
    )
    assert jko.geodesic(a, b, 0.5, metric=metric).N == a.N
    result = jko.step(well(), a, tau=0.1, metric=metric)
    assert result.coupling.proof is Proof.OWN_COST
    run = jko.flow(well(), a, tau=0.1, steps=3, metric=metric)
    same = jko.flow(well(), a, tau=0.1, steps=3, metric=ours)
    assert run.final.points == pytest.approx(same.final.points, abs=1e-10)
    assert (np.diff(run.energies) < 0).all()
    assert set(run.columns["proofs"]) == {"OWN_COST"}
    assert set(run.columns["metrics"]) == {"Sliced(directions=8x2 array)"}
    with pytest.raises(ValueError, match=r"the run moved in Sliced\(.*\), and the dissipation"):
        jko.diagnostics.step_identity(well(), run)


# ---------------------------------------------------------------------------------------------------------------------
# Scales


def test_with_scales_one_all_verbs_have_the_bits_of_w2():
    one, a, b = jko.metrics.ScaledWasserstein(1.0), cloud(), cloud(seed=1)
    assert jko.distance(a, b, metric=one).value == jko.distance(a, b).value
    assert torch.equal(jko.geodesic(a, b, 0.3, metric=one).points, jko.geodesic(a, b, 0.3).points)
    for solver in (None, TIGHT, jko.BlockNewton(), jko.Plans()):
        pair = [jko.step(well(), a, tau=0.3, metric=m, solver=solver) for m in (one, None)]
        assert torch.equal(*(result.state.points for result in pair))
        assert pair[0].certificate().value == pair[1].certificate().value
    runs = [jko.flow(well(), a, tau=0.3, steps=3, metric=m) for m in (one, None)]
    assert torch.equal(*(run.final.points for run in runs))


@pytest.mark.parametrize("solver", [TIGHT, jko.BlockNewton(tol=1e-11)])
@pytest.mark.parametrize("weights", [None, np.arange(1.0, 13) / 78])
def test_a_scaled_step_is_that_of_w2_in_stretched_coordinates(solver, weights):
    root = torch.tensor([1.0, 2.0], dtype=torch.float64)
    mu, box = cloud(weights=weights), jko.Box([-1.0, -0.5], [1.0, 0.5])
    stretched = jko.Potential(lambda z: well().terms[1][1].variation(mu, z / root)) + jko.Potential(
        lambda z: 0.5 * ((z / root) ** 2).sum(-1)
    )
    for domain in (None, box):
        a = cloud(weights=weights, domain=domain)
        wide = None if domain is None else jko.Box(box.lower * root, box.upper * root)
        b = jko.Particles(a.points * root, weights, wide)
        got = jko.step(
            well(), a, tau=0.2, metric=jko.metrics.ScaledWasserstein(root**2), solver=solver
        )
        wanted = jko.step(stretched, b, tau=0.2, solver=solver)
        assert got.state.points * root == pytest.approx(wanted.state.points, abs=1e-8)
        assert got.cost == pytest.approx(wanted.cost, rel=1e-7)
        assert got.coupling.optimal
        assert got.cost == pytest.approx(
            jko.distance(got.state, a, metric=jko.metrics.ScaledWasserstein(root**2)).squared,
            rel=1e-9,
        )
        assert not np.isfinite(got.certificate().value)
        assert "no lower bound is known" in got.certificate().reason


def test_scaled_steps_converge_to_the_preconditioned_flow_at_order_one():
    scales, mu, T = np.array([1.0, 4.0, 0.5]), cloud(6, 3), 1.0
    data = jko.Data([[-1.0], [0.0], [0.5], [1.5]], [0.5, -0.5, 1.0, 0.0])
    E = jko.Risk(data, jko.Ridge(torch.tanh)) + 0.1 * jko.SquaredNorm()

    def velocity(t, y):
        points = torch.from_numpy(y.reshape(6, 3))
        return -(E.gradient(jko.Particles(points)).numpy() / scales).ravel()

    exact = solve_ivp(velocity, (0, T), mu.points.numpy().ravel(), rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for tau in (0.1, 0.05, 0.025):
        metric = jko.metrics.ScaledWasserstein(scales)
        run = jko.flow(E, mu, tau=tau, t1=T, metric=metric, solver=jko.BlockNewton())
        errors.append(np.linalg.norm(run.final.points.numpy().ravel() - exact))
        assert set(run.columns["proofs"]) <= {"NEAREST", "POTENTIAL", "ASSIGNMENT"}
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(1.0, abs=0.05)
    run = jko.flow(
        E, mu, tau=0.1, t1=T, metric=metric, solver=jko.BlockNewton(), scheme=jko.SDIRK2()
    )
    assert np.linalg.norm(run.final.points.numpy().ravel() - exact) < 0.05 * errors[0]
    assert not run.columns["fallback"].any()


def test_the_scales_of_a_pair_are_those_of_its_lift():
    pair = jko.ChargedParticles([[0.0], [1.0], [2.5]], [2.0, -2.0, 1.0])
    metric = jko.metrics.ScaledWasserstein([4.0, 1.0])
    E = well()
    got = jko.step(E, pair, tau=0.2, metric=metric, solver=TIGHT)
    wanted = jko.step(E, pair.lift(), tau=0.2, metric=metric, solver=TIGHT)
    assert isinstance(got.state, jko.ChargedParticles)
    assert torch.equal(got.state.lift().points, wanted.state.points)
    moved = jko.ChargedParticles([[0.0], [1.0], [2.5]], [2.5, -1.5, 1.5])
    assert jko.distance(pair, moved, metric=metric).value == pytest.approx(2 * 0.5)


def test_scales_of_blocks_neurons_and_layers():
    assert jko.metrics.ScaledWasserstein.neurons(2, w=3.0, bias=2.0).scales == (3.0, 1.0, 1.0, 2.0)
    assert jko.metrics.ScaledWasserstein.two_layers(1, 2).scales == (1.0, 0.5, 0.5, 0.5, 0.5)
    assert jko.metrics.ScaledWasserstein.blocks((1, 2.0), (2, 1)).scales == (2.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("grid", "scale"), [(jko.Grid((0.0, 1.0), 6), 9.0), (jko.Grid((0.0, 2.0), (3, 4)), 4.0)]
)
def test_scaled_distances_of_densities_are_multiples_where_all_scales_are_equal(grid, scale):
    a, b = (
        jko.GridDensity.from_function(grid, f)
        for f in (lambda x: 1 + x[:, 0], lambda x: 2 - x[:, 0])
    )
    metric = jko.metrics.ScaledWasserstein(scale)
    assert jko.distance(a, b, metric=metric).value == pytest.approx(
        scale**0.5 * jko.distance(a, b).value
    )


def test_the_scaled_distance_of_meshes_is_a_multiple():
    a, b = jko.LineMesh([0.0, 1.0, 2.0], [0.5, 0.5]), jko.LineMesh([1.0, 2.0, 4.0], [0.5, 0.5])
    metric = jko.metrics.ScaledWasserstein(4.0)
    assert jko.distance(a, b, metric=metric).value == pytest.approx(2 * jko.distance(a, b).value)
    assert torch.equal(jko.geodesic(a, b, 0.5, metric=metric).edges, jko.geodesic(a, b, 0.5).edges)
    with pytest.raises(TypeError, match="only the geodesic of W2"):
        jko.geodesic(a, b, 0.5, metric=sliced())


# ---------------------------------------------------------------------------------------------------------------------
# Costs of their own


def test_on_the_line_a_sliced_step_is_that_of_w2():
    mu, E = cloud(8, 1, weights=np.arange(1.0, 9) / 36), 0.5 * jko.SquaredNorm()
    got = jko.step(E, mu, tau=0.1, metric=sliced(), solver=TIGHT)
    wanted = jko.step(E, mu, tau=0.1, solver=TIGHT)
    assert got.state.points == pytest.approx(wanted.state.points, abs=1e-8)
    assert got.cost == pytest.approx(wanted.cost, rel=1e-7)


def test_a_sliced_step_of_a_common_move_is_that_of_w2_with_d_times_tau():
    """All atoms move by v: the mean of (u . v)^2 over the axes is |v|^2 / d."""
    E = jko.Potential(lambda z: z[:, 0] + 2 * z[:, 1])
    axes = jko.metrics.SlicedWasserstein([[1.0, 0.0], [0.0, 3.0]])
    got = jko.step(E, cloud(), tau=0.1, metric=axes, solver=TIGHT)
    wanted = jko.step(E, cloud(), tau=0.2, solver=TIGHT)
    assert got.state.points == pytest.approx(wanted.state.points, abs=1e-8)


def test_entropic_steps_converge_to_those_of_w2_at_order_two_and_then_faster():
    """The debiased cost is off by O(epsilon^2), until epsilon is below the squared gaps: then by exp(-c / epsilon)."""
    mu, E = cloud(16, seed=1), jko.SquaredNorm()
    wanted = jko.step(E, mu, tau=0.05, solver=jko.BlockNewton(tol=1e-12)).state
    taken = [2.0**-k for k in (2, 3, 4, 9)]
    errors = []
    for epsilon in taken:
        metric = jko.metrics.SinkhornDivergence(epsilon, tol=1e-10)
        result = jko.step(E, mu, tau=0.05, metric=metric, solver=jko.LBFGS(tol=1e-7))
        errors.append(jko.distance(result.state, wanted).value)
    order = np.polyfit(np.log(taken[:3]), np.log(errors[:3]), 1)[0]
    assert order == pytest.approx(1.9, abs=0.2)
    assert errors[3] < 1e-12


@pytest.mark.parametrize("name", METRICS)
def test_a_step_pays_its_metric_and_says_what_was_proved(name):
    metric, mu = METRICS[name](), cloud()
    result = jko.step(well(), mu, tau=0.1, metric=metric)
    assert result.slack > 0
    assert result.cost == pytest.approx(float(metric.cost(result.state, mu)), rel=1e-12)
    assert result.problem.metric is metric
    assert result.coupling.optimal == (name == "scaled")
    if name != "scaled":
        assert "the metric's own cost" in str(result.coupling)
        assert result.coupling.bound == np.inf
        assert result.certificate().value == np.inf


@pytest.mark.parametrize("name", METRICS)
def test_a_flow_in_any_metric_resumes_with_the_same_bits(name, tmp_path):
    metric, mu = METRICS[name](), cloud(6)
    options = {"tau": 0.1, "metric": metric}
    whole = jko.flow(well(), mu, steps=4, **options)
    jko.flow(well(), mu, steps=2, checkpoint=tmp_path / "run", **options)
    rest = jko.flow(well(), jko.Trajectory.load(tmp_path / "run"), steps=4, **options)
    assert torch.equal(rest.final.points, whole.final.points)
    assert (rest.energies == whole.energies).all()


def test_atoms_keep_their_domain_in_any_metric():
    box = jko.Box([-0.5, -0.5], [0.5, 0.5])
    mu, pull = cloud(domain=box), jko.Potential(lambda z: -z.sum(-1))
    for make in METRICS.values():
        result = jko.step(pull, mu, tau=0.3, metric=make(), throw=False)
        assert result.status.ok
        assert bool((box.project(result.state.points) == result.state.points).all())


def test_a_pair_pays_the_own_cost_of_a_metric_too():
    pair = jko.ChargedParticles([[0.0], [1.0], [2.5]], [2.0, -2.0, 1.0])
    got = jko.step(well(), pair, tau=0.1, metric=sliced(), solver=TIGHT)
    wanted = jko.step(well(), pair.lift(), tau=0.1, metric=sliced(), solver=TIGHT)
    assert got.state.lift().points == pytest.approx(wanted.state.points, abs=1e-8)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals


class Doubled(jko.Wasserstein):
    """A metric derived from W2 that has another cost: its index coupling proves nothing."""

    def cost(self, state, base):
        return 4 * super().cost(state, base)


def test_a_metric_derived_from_w2_with_another_cost_is_honoured():
    got = jko.step(well(), cloud(), tau=0.4, metric=Doubled(), solver=TIGHT)
    wanted = jko.step(well(), cloud(), tau=0.1, solver=TIGHT)
    assert got.state.points == pytest.approx(wanted.state.points, abs=1e-8)
    assert got.coupling.proof is Proof.OWN_COST


def made(name, cost):
    """A metric of somebody else with this cost."""
    kind = type(name, (jko.Metric,), {"cost": cost, "distance": jko.Wasserstein.distance})
    kind.__module__ = "theirs"
    return kind()


def w2(state, base):
    return base.integrate((state.points - base.points).square().sum(-1))


def half_hidden(self, state, base):
    """Right in value, wrong in slope: half of it is behind detach."""
    return 0.5 * w2(state, base) + 0.5 * w2(state, base).detach()


WRONG = {
    "a float": (lambda self, s, b: w2(s, b).item(), TypeError, r"Mine\.cost.*returned float"),
    "numbers": (
        lambda self, s, b: (s.points - b.points).square().sum(-1),
        ValueError,
        r"Mine\.cost.*shape \(12,\); it must return a 0-d one",
    ),
    "detached": (lambda self, s, b: w2(s, b).detach(), ValueError, r"recorded nothing.*Mine\.cost"),
    "of the base alone": (
        lambda self, s, b: b.points.clone().requires_grad_().sum() * 0,
        ValueError,
        r"recorded nothing of how Mine\.cost",
    ),
    "infinite": (lambda self, s, b: w2(s, b) / 0, ValueError, r"Mine\.cost.*is nan.*finite"),
    "negative": (lambda self, s, b: -w2(s, b), ValueError, r"Mine\.cost.*is -.*not negative"),
    "not zero": (lambda self, s, b: 1 + w2(s, b), ValueError, r"Mine\.cost\(state, state\) is 1"),
    "half hidden": (half_hidden, ValueError, r"the slope of Mine\.cost is not that of its values"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_cost_is_refused_in_a_sentence_that_names_the_method(name):
    cost, error, sentence = WRONG[name]
    with pytest.raises(error, match=sentence):
        jko.step(well(), cloud(), tau=0.1, metric=made("Mine", cost))
    with pytest.raises(error, match=sentence):
        jko.flow(well(), cloud(), tau=0.1, steps=1, metric=made("Mine", cost))


@pytest.mark.parametrize(
    "solver", [jko.BlockNewton(), jko.Plans(), jko.Conic(), jko.Sinkhorn(0.1)], ids=str
)
def test_solvers_that_see_no_metric_refuse_it(solver):
    with pytest.raises(TypeError, match=r"steps in the natural.*jko\.LBFGS\(\) takes any metric"):
        jko.step(well(), cloud(), tau=0.1, metric=sliced(), solver=solver)


def test_densities_move_in_their_natural_metric_alone():
    rho = jko.GridDensity(jko.Grid((0.0, 1.0), 4), np.ones(4))
    with pytest.raises(TypeError, match=r"only Particles and ChargedParticles take other metrics"):
        jko.step(jko.Entropy(), rho, tau=0.1, metric=sliced())


def test_a_metric_of_another_state_is_refused():
    with pytest.raises(TypeError, match=r"metric must be Wasserstein, not SplitWasserstein"):
        jko.step(well(), cloud(), tau=0.1, metric=jko.metrics.SplitWasserstein())


def test_a_scheme_that_follows_geodesics_needs_them():
    with pytest.raises(ValueError, match=r"no geodesic of SlicedWasserstein.*jko\.Implicit\(\)"):
        jko.flow(well(), cloud(), tau=0.1, steps=1, metric=sliced(), scheme=jko.SDIRK2())


def test_a_round_domain_needs_equal_scales():
    ball = jko.Ball([0.0, 0.0], 1.0)
    mu = cloud(domain=ball)
    assert jko.step(well(), mu, tau=0.1, metric=jko.metrics.ScaledWasserstein(3.0)).status.ok
    with pytest.raises(ValueError, match=r"nearest point of Ball.*take a jko\.Box"):
        jko.step(well(), mu, tau=0.1, metric=jko.metrics.ScaledWasserstein([1.0, 2.0]))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.metrics.ScaledWasserstein([]), ValueError, "scales is empty"),
        (lambda: jko.metrics.ScaledWasserstein([1.0, 0.0]), ValueError, r"scales\[1\] = 0"),
        (lambda: jko.metrics.SlicedWasserstein(3), TypeError, "generator must be Generator"),
        (
            lambda: jko.metrics.SlicedWasserstein([[0.0, 0.0]]),
            ValueError,
            r"directions\[0\] is zero",
        ),
        (
            lambda: jko.step(
                well(), cloud(), tau=1.0, metric=jko.metrics.ScaledWasserstein([1.0] * 3)
            ),
            ValueError,
            "3 scales but the atoms have 2 coordinates",
        ),
        (
            lambda: jko.distance(cloud(), cloud(), metric=jko.metrics.SlicedWasserstein([[1.0]])),
            ValueError,
            "directions have 1 coordinates but the atoms have 2",
        ),
        (
            lambda: jko.geodesic(
                cloud(), cloud(seed=1), 0.5, metric=jko.metrics.SinkhornDivergence(1.0)
            ),
            TypeError,
            "returned Divergence, which has no plan",
        ),
    ],
)
def test_bad_metrics_are_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_going_on_along_a_scaled_step_goes_along_its_map():
    metric, mu = jko.metrics.ScaledWasserstein([1.0, 4.0]), cloud()
    result = jko.step(well(), mu, tau=0.1, metric=metric, solver=TIGHT)
    wanted = result.state.points + 0.5 * (result.state.points - mu.points)
    assert torch.equal(beyond(result, 0.5).points, wanted)


def test_names_of_types_are_public():
    assert all(isinstance(kind, type) for kind in (Certificate, Distance, Plan, StepProblem))


@pytest.mark.parametrize("name", METRICS)
def test_coordinates_without_squares_end_in_a_status_or_a_sentence(name):
    def take(points):
        return jko.step(
            jko.SquaredNorm(), jko.Particles(points), tau=0.1, metric=METRICS[name](), throw=False
        )

    if name == "sinkhorn":
        with pytest.raises(ValueError, match="squared distances of the points are no numbers"):
            take(cloud(4).points * 1e200)
    else:
        assert take(cloud(4).points * 1e200).status is jko.Status.NOT_FINITE
    assert take([[1e-200, 0.0]]).status.ok
