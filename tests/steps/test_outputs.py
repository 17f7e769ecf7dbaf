"""Steps and flows of several outputs and of logistic losses: certified, in both precisions, or a sentence says why."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import jko
from jko.energies import SquaredLoss
from jko.networks import drawn

TANH = jko.Ridge(torch.tanh)


def digits(dtype, loss, rows=1000):
    """Ten classes of small pictures, one-hot."""
    x, c = load_digits(return_X_y=True)
    x = x[:, x.std(0) > 0]
    x = torch.from_numpy((x - x.mean(0)) / x.std(0)).to(dtype)
    f = torch.nn.functional.one_hot(torch.from_numpy(c), 10).to(dtype)
    risk = jko.Risk(jko.Data(x[:rows], f[:rows]), TANH, loss=loss)
    return risk, drawn(100, risk.data, torch.Generator().manual_seed(0)), (x[rows:], c[rows:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("loss", [SquaredLoss(), jko.Logistic()])
def test_every_step_on_ten_digits_is_certified(dtype, loss):
    risk, mu, (x, c) = digits(dtype, loss)
    results = []
    run = jko.flow(
        risk + 1e-4 * jko.SquaredNorm(), mu, tau=20.0, steps=6,
        observers=[lambda k, t, result: results.append(result)],
    )  # fmt: skip
    assert run.status is jko.Status.FINISHED
    assert all(result.slack >= 0 and result.coupling.optimal for result in results)
    assert bool((np.diff(run.energies) < 0).all())
    y = risk.predict(run.final, x)
    assert y.dtype == dtype
    assert y.shape == (len(c), 10)
    assert float((y.argmax(1).numpy() == c).mean()) > 0.93


@pytest.mark.parametrize("k", [1, 3])
def test_linear_features_are_a_logistic_regression(k):
    # atom i holds the coefficients of input i, in R^k: f_mu(x) = 1/N sum_i w_i x_i
    rng, M, N, lam = np.random.default_rng(k), 60, 4, 0.1
    x = np.concatenate([rng.standard_normal((M, N - 1)), np.ones((M, 1))], axis=1)
    c = rng.integers(0, max(k, 2), M) * (x[:, 0] > -0.5)
    if k == 1:
        data, features = jko.Data(x, 2.0 * c - 1), lambda w, x: w * x.T[: len(w)]
    else:
        data, features = (
            jko.Data(x, np.eye(k)[c]),
            lambda w, x: w[:, None, :] * x.T[: len(w), :, None],
        )
    F = jko.Risk(data, features=features, loss=jko.Logistic()) + lam * jko.SquaredNorm()
    solver = jko.BlockNewton(tol=1e-11)
    found = jko.flow(F, jko.Particles(np.zeros((N, k))), tau=1e3, steps=30, solver=solver).final
    # with b = w / N the norm is lam N |b|^2 / 2, and scikit-learn's, for a mean, |b|^2 / (2 C M)
    fit = LogisticRegression(C=1 / (lam * N * M), fit_intercept=False, tol=1e-12, max_iter=10_000)
    assert np.allclose(found.points.numpy().T / N, fit.fit(x, c).coef_, atol=1e-6)


# What takes it, and what says that it does not

X = np.linspace(-1, 1, 6)[:, None]
SIGNS, HOT = np.sign(X[:, 0] + 0.1), np.eye(3)[[0, 1, 2, 0, 1, 2]]
BUMP = jko.GaussianBump(0.8)
CURVED = jko.Risk(jko.Data(X, SIGNS), BUMP, loss=jko.Logistic())
THREE = jko.Risk(jko.Data(X, HOT), BUMP)
PAIR = jko.ChargedParticles(np.linspace(-1, 1, 5)[:, None], np.linspace(-1, 2, 5))
SPAN = jko.ChargedSpan(jko.Particles(X), lambda t: t[:, 0], BUMP, X)
GRID = jko.Grid((-2.0, 2.0), 12)
FLAT = jko.GridDensity.from_function(GRID, lambda t: (-(t[:, 0] ** 2)).exp())
CELLS = jko.ChargedDensity.from_function(GRID, lambda t: (-(t[:, 0] ** 2)).exp(), lambda t: t[:, 0])


def on_theta(k, loss):
    """A risk whose features are functions on a line."""

    def bumps(z, x):
        one = torch.exp(-((z - x.T) ** 2))
        return one if k == 1 else torch.stack([one, -one, 0.5 * one], dim=2)

    return jko.Risk(jko.Data(X, SIGNS if k == 1 else HOT), features=bumps, loss=loss)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("loss", [SquaredLoss(), jko.Logistic()])
@pytest.mark.parametrize("state", [FLAT, jko.LineMesh.from_density(FLAT), FLAT.to_particles()])
def test_densities_and_atoms_of_features_move(k, loss, state):
    F = on_theta(k, loss) + 0.1 * jko.SquaredNorm()
    F = F if isinstance(state, jko.Particles) else F + 0.1 * jko.Entropy()
    result = jko.step(F, state, tau=0.5)
    assert result.status.ok
    assert result.slack >= 0
    gap = jko.optimality(F, state)
    assert gap.lower_bound <= result.energy + 1e-12


@pytest.mark.parametrize("state", [PAIR, CELLS])
def test_pairs_move_by_a_logistic_loss(state):
    result = jko.step(CURVED + 0.1 * jko.SquaredNorm(), state, tau=0.5)
    assert result.status.ok
    assert result.slack >= 0


@pytest.mark.parametrize("limit", ["separated", "chaos"])
def test_limits_of_pairs_follow_a_logistic_loss(limit):
    run = getattr(jko.limits, limit)(CURVED, CELLS, t1=0.1)
    slope = jko.diagnostics.motion(CURVED, CELLS)
    rate = (run.energies[1] - run.energies[0]) / (run.times[1] - run.times[0])
    assert rate == pytest.approx(getattr(slope, limit), rel=0.1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: jko.step(THREE, PAIR, tau=0.1),
            "k = 3 outputs, and H of the ChargedParticles is a",
        ),
        (
            lambda: jko.step(THREE, CELLS, tau=0.1),
            "k = 3 outputs, and H of the ChargedDensity is a",
        ),
        (lambda: jko.limits.chaos(THREE, CELLS, t1=0.1), "k = 3 outputs"),
        (lambda: jko.diagnostics.motion(THREE, PAIR, slope=np.ones((5, 1))), "k = 3 outputs"),
        (lambda: THREE(jko.Particles([[1.0]])), "points have 1 coordinates and the Risk has k = 3"),
        (lambda: jko.step(THREE, SPAN, tau=0.1), "k = 3 outputs, and H of the ChargedSpan is a"),
        (lambda: jko.step(CURVED, SPAN, tau=0.1), "loss of the Risk is Logistic"),
        (lambda: jko.limits.separated(CURVED, SPAN, t1=0.1), "not quadratic in H"),
        (lambda: jko.limits.hierarchy(THREE, CELLS, t1=0.1), "several outputs"),
        (
            lambda: jko.step(on_theta(1, jko.Logistic()), FLAT, tau=0.1, solver=jko.Conic()),
            "not the squared one, the only one that Conic writes as a cone",
        ),
        (
            lambda: jko.step(CURVED, PAIR, tau=0.1, solver=jko.Conic()),
            "not the squared one, whose static form alone",
        ),
        (
            lambda: jko.minimiser(on_theta(1, jko.Logistic()) + jko.Entropy(), FLAT),
            "only risks of the squared loss",
        ),
        (lambda: jko.energies.TwoLayerRisk(THREE.data, N2=2), "TwoLayerRisk is of one output"),
    ],
)
def test_what_does_not_take_it_says_what_to_do(make, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()


def test_stochastic_descent_of_several_outputs_is_the_flow_in_the_mean():
    mu = jko.Particles(np.random.default_rng(0).standard_normal((20, 4)))
    F = jko.Risk(THREE.data, BUMP, loss=jko.Logistic())
    draw = torch.Generator().manual_seed(0)
    run = jko.limits.sgd(F, mu, t1=1.0, rate=0.01, batch=6, generator=draw)
    flow = jko.limits.wasserstein(F, mu, t1=1.0)
    assert run.energies[-1] == pytest.approx(flow.energies[-1], abs=0.02)


def test_how_far_one_measure_is_above_another():
    mu = jko.Particles(np.random.default_rng(0).standard_normal((9, 4)))
    F = jko.Risk(THREE.data, BUMP, loss=jko.Logistic())
    star = mu.moved(mu.points + 0.1)
    parts = jko.diagnostics.decomposition(F, mu, star)
    assert parts.risk >= 0
    assert parts.total == pytest.approx(float(F(mu) - F(star)), abs=1e-13)


@pytest.mark.parametrize("risk", [CURVED, THREE, jko.Risk(THREE.data, BUMP, loss=jko.Logistic())])
def test_the_checks_of_energies_pass(risk):
    mu = jko.Particles(np.random.default_rng(1).standard_normal((5, risk.data.k + 1)))
    jko.testing.check_energy(risk, [mu])
