"""The estimators of scikit-learn: its own checks, its tools, and what the ledger of the flow says of a fit."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from jko.estimators import JKOClassifier, JKORegressor
from jko.estimators.classifier import sharpness
from jko.estimators.standard import Standard
from jko.trajectory import Trajectory

IRIS = load_iris(return_X_y=True)


def waves(outputs=None, rows=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(rows, 2))
    y = np.stack([np.sin(X[:, 0]), X[:, 0] * X[:, 1], X.sum(1)], axis=1)
    return X, y[:, 0] if outputs is None else y[:, :outputs]


def small(kind, steps=4, **options):
    return kind(12, steps=steps, random_state=1, **options)


@pytest.mark.parametrize(
    "model", [JKORegressor(10, steps=5), JKOClassifier(20, steps=10)], ids=["numbers", "classes"]
)
def test_scikit_learn_has_nothing_to_say_against_them(model):
    found = check_estimator(model, on_fail=None, on_skip=None)
    assert [c["check_name"] for c in found if c["status"] not in ("passed", "skipped")] == []
    assert sum(c["status"] == "passed" for c in found) > 50


@pytest.mark.parametrize("kind", [JKORegressor, JKOClassifier])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_more_are_the_bits_of_one_longer_fit(kind, dtype):
    X, y = waves() if kind is JKORegressor else (IRIS[0][::3], IRIS[1][::3])
    X = X.astype(dtype)
    long = small(kind, 6).fit(X, y)
    warm = small(kind, 4, warm_start=True).fit(X, y)
    warm.set_params(steps=2).fit(X, y)
    parts = small(kind)
    for _ in range(6):
        parts.partial_fit(X, y)
    for other in (warm, parts):
        assert other.n_iter_ == long.n_iter_ == 6
        np.testing.assert_array_equal(other.energies_, long.energies_)
        np.testing.assert_array_equal(other.predict(X), long.predict(X))
    if kind is JKOClassifier:
        np.testing.assert_array_equal(parts.predict_proba(X), long.predict_proba(X))


def test_without_warm_start_a_fit_begins_anew():
    X, y = waves()
    model = small(JKORegressor).fit(X, y)
    first = model.energies_
    np.testing.assert_array_equal(model.fit(X, y).energies_, first)


def test_other_rows_go_on_from_the_same_neurons_in_a_new_ledger():
    X, y = waves()
    model = small(JKORegressor).fit(X[:30], y[:30])
    neurons = model.trajectory_.final
    model.partial_fit(X[30:], y[30:])
    assert model.n_iter_ == 5
    assert len(model.energies_) == 2
    start = model.trajectory_.states[0]
    assert (start.points == neurons.points).all()


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_targets_have_the_shape_they_came_with(outputs):
    X, y = waves(outputs)
    model = JKORegressor(30, steps=20, random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.9


def test_units_do_not_matter():
    X, y = waves()
    plain = small(JKORegressor).fit(X, y).predict(X)
    scaled = small(JKORegressor).fit(1e3 * X - 7, 1e-3 * y + 5).predict(1e3 * X - 7)
    np.testing.assert_allclose(scaled, 1e-3 * plain + 5, rtol=1e-6)


def test_weights_are_repeated_rows_in_any_order():
    X, y = waves()
    counts = np.random.default_rng(3).integers(0, 4, size=len(X))
    weighted = small(JKORegressor).fit(X, y, sample_weight=counts)
    rows = np.random.default_rng(4).permutation(np.repeat(np.arange(len(X)), counts))
    repeated = small(JKORegressor).fit(X[rows], y[rows])
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


@pytest.mark.parametrize("kind", [JKORegressor, JKOClassifier])
def test_the_ledger_is_that_of_the_flow(kind):
    X, y = IRIS
    model = small(kind).fit(X, y)
    assert len(model.energies_) == 5
    assert len(model.slacks_) == 4
    assert (np.diff(model.energies_) < 0).all()
    assert (model.slacks_ >= 0).all()
    assert isinstance(model.trajectory_, Trajectory)
    bound = model.certificate(X, y, max_iterations=3)
    assert bound.value + bound.lower_bound == pytest.approx(model.energies_[-1], rel=1e-9)
    assert bound.value >= 0


@pytest.mark.parametrize(
    "names", [["setosa", "versicolor", "virginica"], [3, 5, 9], ["b", "a c", "Z"]]
)
def test_classes_keep_their_names(names):
    X, y = IRIS
    labels = np.array(names)[y]
    model = JKOClassifier(30, steps=10, random_state=0).fit(X, labels)
    assert list(model.classes_) == sorted(set(names))
    assert model.score(X, labels) > 0.95
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_array_equal(model.classes_[p.argmax(1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
    assert log_loss(labels, p, labels=list(model.classes_)) < 0.15


def test_two_classes_are_one_output():
    X, y = IRIS[0][50:], IRIS[1][50:]
    labels = np.array(["no", "?", "yes"])[y]
    model = small(JKOClassifier, 10).fit(X, labels)
    values = model.decision_function(X)
    assert values.shape == (100,)
    assert model.trajectory_.final.points.shape[1] == 1 + 4 + 1
    np.testing.assert_array_equal(model.predict(X), np.where(values > 0, "yes", "?"))
    np.testing.assert_array_equal(model.predict_proba(X)[:, 1] > 0.5, values > 0)


def test_the_sharpness_minimises_the_softened_log_loss():
    rng = np.random.default_rng(0)
    values, y, q = rng.normal(size=(50, 3)), rng.integers(0, 3, 50), np.ones(50)
    values[np.arange(50), y] += 1
    counts = np.bincount(y)[y][:, None]
    soft = (np.eye(3)[y] * counts + 1) / (counts + 3)

    def loss(beta):
        z = beta * values
        return -(soft * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum()

    beta = sharpness(values, y, q)
    assert loss(beta) <= min(loss(b) for b in beta * np.array([0.9, 0.99, 1.01, 1.1]))


def test_classes_named_at_the_first_part_may_come_later():
    X, y = IRIS
    model = small(JKOClassifier)
    model.partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    model.partial_fit(X, y)
    assert model.n_iter_ == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda: small(JKOClassifier).partial_fit(*(a[:100] for a in IRIS)).partial_fit(*IRIS),
            "classes=",
        ),
        (lambda: small(JKOClassifier).fit(IRIS[0], 0 * IRIS[1]), "1 class"),
        (lambda: small(JKORegressor).fit(*waves()).partial_fit(*waves(2)), "warm_start"),
        (lambda: small(JKORegressor, activation="tanhh").fit(*waves()), "tanhh"),
        (lambda: small(JKORegressor, activation=3).fit(*waves()), "activation"),
        (lambda: small(JKORegressor, lam=-1.0).fit(*waves()), "lam"),
        (lambda: small(JKORegressor, 0).fit(*waves()), "steps"),
    ],
)
def test_what_cannot_be_is_refused_by_a_sentence(wrong, says):
    with pytest.raises((ValueError, TypeError), match=says):
        wrong()


def test_a_model_that_was_not_fitted_says_so():
    for ask in ("energies_", "slacks_"):
        with pytest.raises(NotFittedError):
            getattr(JKORegressor(), ask)


def test_clones_pipelines_and_searches():
    X, y = IRIS
    model = JKOClassifier(20, steps=5, activation="softplus", random_state=0)
    again = clone(model)
    assert again.get_params() == model.get_params()
    piped = make_pipeline(StandardScaler(), model).fit(X, y)
    assert piped.score(X, y) > 0.9
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9
    search = GridSearchCV(model, {"lam": [1e-3, 30.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"lam": 1e-3}


def test_the_two_say_the_same_options_in_the_same_order():
    first, second = (inspect.signature(kind) for kind in (JKORegressor, JKOClassifier))
    assert first == second


def test_standard_is_that_of_scikit_learn():
    X = np.random.default_rng(0).normal(3, 5, size=(20, 4))
    X[:, 2] = 0.1
    q = np.random.default_rng(1).uniform(size=20)
    ours, theirs = Standard.of(X, q), StandardScaler().fit(X, sample_weight=q)
    np.testing.assert_allclose(ours(X, np.float64), theirs.transform(X), atol=1e-12)
    np.testing.assert_allclose(ours.back(ours(X, np.float64)), X)
