"""Steps of normal laws: the closed recursion, other minimisers, variational posteriors, and what has no step."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import jko
from jko import exact
from jko.metrics import Proof
from jko.steps import BuresNewton
from jko.steps.bures.maps import AffineMaps
from jko.testing import check_solver
from tests.registry import law, laws, line_problem

F64 = torch.float64


def matrix(rng, d):
    M = rng.standard_normal((d, d))
    return M @ M.T / d + 0.3 * np.eye(d)


def ornstein_uhlenbeck(d, seed):
    """Energy and start with matrices that do not commute, and the keywords of the closed forms."""
    rng = np.random.default_rng(seed)
    A, S, m, z = matrix(rng, d), matrix(rng, d), rng.standard_normal(d), rng.standard_normal(d)
    a, c = torch.tensor(A), torch.tensor(z)
    V = jko.Potential(lambda x: 0.5 * ((x - c) @ a * (x - c)).sum(-1))
    return V + 0.7 * jko.Entropy(), jko.Gaussian(m, S), {"A": A, "centre": z, "beta": 0.7}


@pytest.mark.parametrize("d", [1, 2, 4, 8, 12])
def test_ornstein_uhlenbeck_is_the_closed_recursion(d):
    E, start, given = ornstein_uhlenbeck(d, d)
    run = jko.flow(E, start, tau=0.05, t1=0.9)
    found = exact.NormalLaw(start.m.numpy(), start.S.numpy())
    for state in run.states[1:]:
        found = exact.gaussian_step(found.mean, found.covariance, tau=0.05, **given)
        np.testing.assert_allclose(state.m, found.mean, rtol=0, atol=1e-11)
        np.testing.assert_allclose(state.S, found.covariance, rtol=0, atol=1e-11)
    assert len(run.states) == 19
    assert bool((run.slacks >= 0).all())
    assert set(run.columns["proofs"]) == {"AFFINE"}


@pytest.mark.parametrize(
    ("scheme", "order"), [(jko.Implicit(), 1), (jko.SDIRK2(), 2)], ids=["one", "two"]
)
def test_the_flow_is_reached_at_the_order_of_the_scheme(scheme, order):
    E, start, given = ornstein_uhlenbeck(3, 7)
    start = jko.Gaussian(start.m, start.S, nodes=125)
    law = exact.gaussian_flow(start.m, start.S, t=0.9, **given)
    limit = jko.Gaussian(law.mean, law.covariance)
    runs = [jko.flow(E, start, tau=tau, t1=0.9, scheme=scheme) for tau in (0.15, 0.075)]
    errors = [jko.distance(run.final, limit).value for run in runs]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)
    assert all(not run.columns.get("fallback", np.zeros(1)).any() for run in runs)


@pytest.mark.parametrize("s", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("tau", [1e-3, 1.0, 1e3])
def test_steps_of_all_scales(s, tau):
    d = 2
    A = np.array([[2.0, 0.5], [0.5, 1.0]])
    a = torch.tensor(A)
    E = jko.Potential(lambda x: 0.5 * (x @ a * x).sum(-1)) + 0.3 * jko.Entropy()
    start = jko.Gaussian(np.full(d, s**0.5), s * np.array([[1.0, 0.4], [0.4, 0.5]]))
    result = jko.step(E, start, tau=tau)
    wanted = exact.gaussian_step(start.m, start.S, A=A, beta=0.3, tau=tau)
    np.testing.assert_allclose(result.state.S, wanted.covariance, rtol=1e-7)
    np.testing.assert_allclose(result.state.m, wanted.mean, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("K", [1, 3])
def test_coordinates_are_those_in_which_the_cost_is_a_square(K):
    base = law(2, 3) if K == 1 else laws(2, K)
    maps = AffineMaps(base)
    u = 0.05 * torch.randn(len(maps.zero()), generator=torch.Generator().manual_seed(K)).double()
    state = maps.state(u)
    assert float(jko.metrics.BuresWasserstein().cost(state, base)) == pytest.approx(
        float(u @ u), rel=1e-9
    )
    means, T = maps.maps(u)
    H = torch.stack([law(7 + k, base.dim).S for k in range(K)])
    p, A, a = base.masses, T - torch.eye(base.dim), means - base.means
    wanted = p @ (
        (a[:, None] @ H @ a[:, :, None]).reshape(K)
        + torch.einsum("kij,kjl,klm,kmi->k", A, H, A, base.covariances)
    )
    assert float(u @ maps.of_potential(H) @ u) == pytest.approx(float(wanted), rel=1e-9)
    W = torch.linalg.inv(H)
    wanted = p @ torch.einsum("kij,kjl,klm,kmi->k", W, A, W, A)
    assert float(u @ maps.of_volume(H) @ u) == pytest.approx(float(wanted), rel=1e-9)


WELLS = jko.Potential(
    lambda x: 2 * (x[:, 0] ** 2 - 1) ** 2 + 0.5 * x[:, 1] ** 2 + x[:, 0] * x[:, 1]
)
X = torch.linspace(-1, 1, 12)[:, None].double()
RISK = jko.Risk(jko.Data(X, (3 * X[:, 0]).sin()), activation=jko.Ridge(torch.tanh))
ENERGIES = {
    "wells": (WELLS + jko.Entropy(), law(0), laws(0)),
    "power": (WELLS + jko.PorousMedium(2), law(1), laws(1)),
    "both": (WELLS + 0.3 * jko.Entropy() + jko.PorousMedium(1.5), law(1), laws(1)),
    "none": (WELLS, law(2), laws(2)),
    "risk": (RISK + 0.1 * jko.SquaredNorm() + 0.01 * jko.Entropy(), law(0, 3), None),
    "crowd": (jko.Interaction(lambda z: (-(z**2).sum(-1)).exp()) + jko.SquaredNorm(), law(0), None),
}


@pytest.mark.parametrize("kind", ["law", "mixture"])
@pytest.mark.parametrize("name", ENERGIES)
def test_steps_are_stationary_and_their_ledger_is_that_of_their_states(name, kind):
    E, one, many = ENERGIES[name]
    base = one if kind == "law" else many
    if base is None:
        pytest.skip("one is enough")
    result = jko.step(E, base, tau=0.3)
    assert result.status is jko.Status.CONVERGED
    assert result.slack > 0
    assert result.energy == pytest.approx(float(E(result.state)), rel=1e-14)
    assert result.before == pytest.approx(float(E(base)), rel=1e-12)
    cost = float(jko.metrics.BuresWasserstein().cost(result.state, base))
    assert result.cost == pytest.approx(cost, rel=1e-9)
    maps, slopes = AffineMaps(base), []
    means, T = result.state.means - base.means, result.fields["maps"]
    Z = maps.U.mT @ (T - torch.eye(base.dim)) @ maps.U
    u = (torch.cat([means, Z[:, maps.i, maps.j]], 1) * maps.scale).reshape(-1)
    for k in range(len(u)):  # differences of the objective, in all coordinates
        e = torch.zeros_like(u)
        e[k] = 1e-5
        values = [float(E(maps.state(v)) + v @ v / 0.6) for v in (u + e, u - e)]
        slopes.append((values[0] - values[1]) / 2e-5)
    assert np.abs(slopes).max() < 1e-7 * (1 + abs(result.energy))


def test_a_step_is_that_of_an_optimiser_that_knows_nothing():
    E, base, tau = WELLS + jko.Entropy(), law(5), 0.4

    def objective(flat):
        L = np.array([[np.exp(flat[2]), 0], [flat[3], np.exp(flat[4])]])
        state = jko.Gaussian(flat[:2], L @ L.T, nodes=256)
        return float(E(state)) + jko.distance(state, base).squared / (2 * tau)

    L = base.roots[0].numpy()
    start = [*base.m.numpy(), np.log(L[0, 0]), L[1, 0], np.log(L[1, 1])]
    found = minimize(
        objective,
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 1500, "maxfev": 1500},
    )
    result = jko.step(E, base, tau=tau)
    assert result.objective <= found.fun + 1e-12
    assert result.objective == pytest.approx(found.fun, abs=1e-6)


def posterior(seed, n, d):
    """The negative logarithm of a posterior for labels of n data, as an energy, and Z = x y."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    y = np.sign(x @ w + 0.5 * rng.logistic(size=n))
    Z = x * y[:, None]
    t = torch.tensor(Z)
    V = jko.Potential(lambda w: torch.nn.functional.softplus(-w @ t.T).sum(-1))
    return V + jko.SquaredNorm() + jko.Entropy(), Z


def variational(Z):
    """Mean and covariance of the best normal law, by integrals along one axis for each datum."""
    d = Z.shape[1]
    h, w = np.polynomial.hermite_e.hermegauss(60)
    m, S, w = np.zeros(d), 0.1 * np.eye(d), w / w.sum()
    for _ in range(300):
        along = (Z @ m)[:, None] + np.sqrt(np.einsum("ni,ij,nj->n", Z, S, Z))[:, None] * h
        p = 1 / (1 + np.exp(along))
        H = Z.T @ (((p * (1 - p)) @ w)[:, None] * Z) + np.eye(d)
        m, S = m - 0.7 * np.linalg.solve(H, m - (p @ w) @ Z), S + 0.7 * (np.linalg.inv(H) - S)
    return m, S


@pytest.mark.parametrize(("seed", "n"), [(0, 100), (1, 300)])
def test_a_posterior_in_ten_dimensions_is_the_variational_one(seed, n):
    E, Z = posterior(seed, n, 10)
    m, S = variational(Z)
    run = jko.flow(E, jko.Gaussian(np.zeros(10), np.eye(10)), tau=1.0, steps=16)
    assert np.linalg.norm(run.final.S.numpy() - S) < 0.02 * np.linalg.norm(S)
    assert np.linalg.norm(run.final.m.numpy() - m) < 0.002 * np.linalg.norm(m)
    assert bool((run.slacks >= -1e-10).all())


ONE = jko.Gaussian([1.0, 0.5], [[0.5, 0.2], [0.2, 0.4]], nodes=256)
TWO = jko.GaussianMixture([[1.0, 0.5], [-1.0, 0.0]], [ONE.S.tolist()] * 2, [0.3, 0.7], nodes=256)


@pytest.mark.parametrize("start", [ONE, TWO], ids=["law", "mixture"])
def test_flows_go_to_the_witness(start):
    E = jko.Potential(lambda x: 0.25 * (x**4).sum(-1) + x[:, 0] * x[:, 1]) + 0.5 * jko.Entropy()
    end = jko.limits.wasserstein(E, start, t1=0.2).final
    runs = [jko.flow(E, start, tau=tau, t1=0.2) for tau in (0.02, 0.01)]
    errors = [jko.distance(run.final, end).value for run in runs]
    assert errors[1] < 0.02
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.2


def test_two_components_find_two_wells():
    """Two components started beside a saddle of two wells end in the two wells, with the free energy of both."""
    E = jko.KullbackLeibler(lambda x: -4 * (x[:, 0] ** 2 - 1) ** 2)
    start = jko.GaussianMixture([[-0.3], [0.2]], [[[0.3]], [[0.3]]], nodes=32)
    run = jko.flow(E, start, tau=0.2, steps=15)
    ends = run.final.means[:, 0].tolist()
    assert ends[0] == pytest.approx(-ends[1], abs=0.01)
    assert ends[1] > 0.8
    grid = jko.minimiser(E, jko.Grid((-3.0, 3.0), 600))
    single = jko.flow(E, jko.Gaussian([0.1], [[0.3]], nodes=32), tau=0.2, steps=15)
    assert grid.energy < run.energies[-1] < grid.energy + 0.05 < single.energies[-1]


def test_the_coupling_of_components_is_compared_with_the_best_plan():
    E = jko.Potential(lambda x: 0.5 * (x - 3).square().sum(-1))
    result = jko.step(E, laws(), tau=0.1)
    assert result.coupling.known.proof is Proof.NOT_EXAMINED
    assert result.coupling.proof is Proof.COMPONENTS
    assert result.coupling.optimal
    turned = jko.Potential(
        lambda x: (
            50 * (x + torch.tensor([1.0, -1.0]).double() * x.sum(-1, keepdim=True)).square().sum(-1)
        )
    )
    assert jko.step(turned, laws(), tau=1.0).coupling.bound >= 0


@pytest.mark.parametrize("entropy", [0.0, 1.0])
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_a_step_without_a_minimum_says_so(tau, entropy):
    E = -1.0 * jko.SquaredNorm() + entropy * jko.Entropy()
    if tau == 1.0 and entropy == 0.0:
        E = E - jko.SquaredNorm()
    result = jko.step(E, law(), tau=tau, throw=False)
    assert result.status is jko.Status.UNBOUNDED


def test_what_has_no_step_is_refused():
    with pytest.raises(ValueError, match="backward diffusion"):
        jko.step(-1 * jko.Entropy(), law(), tau=0.1)
    with pytest.raises(ValueError, match="cannot be packed"):
        jko.step(jko.energies.Congestion(1.0), law(), tau=0.1)
    with pytest.raises(TypeError, match="Gaussian or GaussianMixture"):
        jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, solver=BuresNewton())
    with pytest.raises(TypeError, match="normal laws have solvers of their own"):
        jko.step(jko.SquaredNorm(), law(), tau=0.1, solver=jko.LBFGS())
    with pytest.raises(TypeError, match="moves in BuresWasserstein"):
        jko.step(jko.SquaredNorm(), law(), tau=0.1, metric=jko.Wasserstein())
    assert (
        jko.step(jko.Potential(lambda x: x[:, 0].log()), law(), tau=0.1, throw=False).status
        is jko.Status.NOT_FINITE
    )


@pytest.mark.parametrize("tol", [None, 1e-6, 1e-13])
def test_a_tolerance_is_kept_or_missed_in_words(tol):
    solver = BuresNewton(tol)
    result = jko.step(WELLS + jko.Entropy(), law(), tau=0.3, solver=solver)
    assert (result.status is jko.Status.CONVERGED) == (tol is None or result.residual <= tol)
    check_solver(BuresNewton(1e-8), [line_problem(laws())])


@pytest.mark.parametrize(
    "scheme",
    [jko.schemes.BDF2(), jko.schemes.ZEG(), jko.schemes.Midpoint()],
    ids=lambda s: type(s).__name__,
)
def test_schemes_of_order_two_follow_the_labels(scheme):
    E, start, given = ornstein_uhlenbeck(2, 7)
    law = exact.gaussian_flow(start.m, start.S, t=0.8, **given)
    limit = jko.Gaussian(law.mean, law.covariance)
    start = jko.Gaussian(start.m, start.S, nodes=25)
    runs = [jko.flow(E, start, tau=tau, t1=0.8, scheme=scheme) for tau in (0.04, 0.02)]
    errors = [jko.distance(run.final, limit).value for run in runs]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)
    C = runs[0].final.C
    torch.testing.assert_close(C @ C.T, runs[0].final.S)


def test_a_resumed_flow_has_the_bits_of_one_that_was_not_stopped(tmp_path):
    E, start, _ = ornstein_uhlenbeck(2, 7)
    whole = jko.flow(E, start, tau=0.1, steps=4, scheme=jko.schemes.BDF2())
    file = tmp_path / "run"
    jko.flow(E, start, tau=0.1, steps=2, scheme=jko.schemes.BDF2(), checkpoint=file)
    back = jko.flow(E, jko.Trajectory.load(file), tau=0.1, steps=4, scheme=jko.schemes.BDF2())
    assert torch.equal(back.final.S, whole.final.S)
    assert back.energies.tolist() == whole.energies.tolist()


def test_the_dissipation_is_the_rate_of_the_flow_of_the_laws():
    E = WELLS + 0.5 * jko.Entropy()
    for start in (ONE, TWO):
        start = type(start)(**{**start._attributes(), "nodes": 1024})
        run = jko.limits.wasserstein(E, start, t1=2e-4, times=[1e-4])
        rate = (run.energies[0] - run.energies[2]) / 2e-4
        at = [jko.diagnostics.dissipation(E, state) for state in (run.states[0], run.states[2])]
        assert rate == pytest.approx(0.5 * sum(at), rel=1e-3)
    rest = exact.gaussian_rest(A=[[2.0]], centre=[1.0], beta=0.5)
    pull = jko.Potential(lambda x: (x[:, 0] - 1) ** 2) + 0.5 * jko.Entropy()
    assert jko.diagnostics.speed(pull, jko.Gaussian(rest.mean, rest.covariance)).max < 1e-10


@pytest.mark.parametrize("tau", [jko.Adaptive(1e-2), jko.Greedy()], ids=["adaptive", "greedy"])
def test_steps_that_choose_their_length(tau):
    E, start, given = ornstein_uhlenbeck(2, 3)
    run = jko.flow(E, jko.Gaussian(start.m, start.S, nodes=25), tau=tau, t1=1.0)
    law = exact.gaussian_flow(start.m, start.S, t=1.0, **given)
    assert run.times[-1] == 1.0
    far = jko.distance(run.final, jko.Gaussian(law.mean, law.covariance)).value
    assert far < (0.02 if isinstance(tau, jko.Adaptive) else 0.5)
