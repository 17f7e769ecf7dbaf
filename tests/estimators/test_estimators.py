"""``jko.estimators``: scikit-learn's own checks, more steps by the same bits, classes and several targets."""

import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import jko
from jko.estimators import JKOClassifier, JKORegressor
from jko.estimators.classifier import sharpness
from jko.estimators.standard import Standard
from jko.networks import drawn

# what scikit-learn leaves out where pandas and array_api are not there
WITHOUT = {
    "check_array_api_input",
    "check_sample_weights_pandas_series",
    "check_regressor_data_not_an_array",
    "check_classifier_data_not_an_array",
}
X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.sin(2 * X[:, 0]) + X[:, 1]
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(Y, [-0.5, 0.5])]
EACH = pytest.mark.parametrize(
    ("kind", "y"), [(JKORegressor, Y), (JKOClassifier, LABELS)], ids=["regressor", "classifier"]
)


@pytest.mark.parametrize("model", [JKORegressor(steps=15), JKOClassifier(steps=15)])
def test_scikit_learns_own_checks_pass(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(model, on_fail=None)
    assert [one["check_name"] for one in found if one["status"] == "failed"] == []
    skipped = {one["check_name"] for one in found if one["status"] != "passed"}
    assert skipped <= WITHOUT
    assert len(found) > 50


def test_a_fit_is_the_flow_of_the_same_network():
    model = JKORegressor(20, tau=10.0, steps=5, lam=1e-2, random_state=3).fit(X, Y)
    order = np.lexsort(X.T[::-1])
    x, y = X[order], Y[order]
    x, f = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    data = jko.Data(x, f)
    energy = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 1e-2 * jko.SquaredNorm()
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    start = drawn(20, data, torch.Generator().manual_seed(seed))
    run = jko.flow(energy, start, tau=10.0, steps=5, solver=jko.LBFGS.training())
    assert model.energies_ == pytest.approx(run.energies, rel=1e-10)
    wanted = jko.Risk(data, activation=jko.Ridge(torch.tanh)).predict(run.final).numpy()
    assert model.predict(X[order]) == pytest.approx(y.mean() + y.std() * wanted, abs=1e-8)


@EACH
def test_more_steps_are_those_of_one_long_fit_to_the_bit(kind, y):
    long = kind(20, steps=6, random_state=0).fit(X, y)
    warm = kind(20, steps=2, random_state=0, warm_start=True)
    part = kind(20, random_state=0)
    for _ in range(3):
        warm.fit(X, y)
    for _ in range(6):
        part.partial_fit(X, y)
    for other in (warm, part):
        assert torch.equal(other.trajectory_.final.points, long.trajectory_.final.points)
        assert np.array_equal(other.energies_, long.energies_)
        assert other.n_iter_ == 6
        assert np.array_equal(other.predict(X), long.predict(X))
    again = pickle.loads(pickle.dumps(part)).partial_fit(X, y)
    assert np.array_equal(again.energies_, kind(20, steps=7, random_state=0).fit(X, y).energies_)
    assert kind(20, steps=2, random_state=0).fit(X, y).fit(X, y).n_iter_ == 2


@EACH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ledger_is_at_hand_and_falls(kind, y, dtype):
    model = kind(30, steps=8, random_state=0).fit(X.astype(dtype), y)
    assert (np.diff(model.energies_) < 0).all()
    assert (model.slacks_ >= 0).all()
    assert len(model.slacks_) == model.n_iter_ == 8
    assert model.trajectory_.final.points.dtype is torch.from_numpy(X.astype(dtype)).dtype
    assert model.score(X.astype(dtype), y) > 0.8


@EACH
def test_rows_in_any_order_repeated_or_weighted_give_the_same_bits(kind, y):
    q = np.arange(len(X)) % 3
    weighted = kind(15, steps=4, random_state=0).fit(X, y, sample_weight=q)
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(len(X)), q))
    repeated = kind(15, steps=4, random_state=0).fit(X[order], y[order])
    assert np.array_equal(weighted.predict(X), repeated.predict(X))
    assert np.array_equal(weighted.energies_, repeated.energies_)


@EACH
def test_units_of_the_inputs_do_not_matter(kind, y):
    model = kind(15, steps=5, random_state=0).fit(X, y)
    other = kind(15, steps=5, random_state=0).fit(1024 * X, y)  # exact in binary
    assert np.array_equal(model.predict(X), other.predict(1024 * X))


def test_units_of_the_targets_do_not_matter():
    model = JKORegressor(15, steps=5, random_state=0).fit(X, Y)
    other = JKORegressor(15, steps=5, random_state=0).fit(X, 1024 * Y)
    assert np.array_equal(1024 * model.predict(X), other.predict(X))


def test_other_data_go_on_from_the_same_neurons_in_a_new_ledger():
    model = JKORegressor(20, random_state=0)
    for rows in (slice(0, 30), slice(30, 60), slice(30, 60)):
        model.partial_fit(X[rows], Y[rows])
    assert model.n_iter_ == 3
    assert len(model.slacks_) == 2
    assert (model.slacks_ >= 0).all()


def test_several_targets_are_one_network():
    targets = np.stack([Y, X[:, 2] ** 2], axis=1)
    model = JKORegressor(60, steps=40, random_state=0).fit(X, targets)
    assert model.predict(X).shape == (60, 2)
    assert model.score(X, targets) > 0.9
    assert model.trajectory_.final.dim == 2 + 3 + 1
    column = JKORegressor(random_state=0, steps=2).fit(X, Y[:, None])
    assert column.predict(X).shape == (60, 1)
    with pytest.raises(ValueError, match="was begun with targets of shape"):
        model.partial_fit(X, Y)


def test_classes_have_names_and_probabilities():
    X, y = load_wine(return_X_y=True)
    y = np.array(["barolo", "grignolino", "barbera"])[y]
    a, b, ya, yb = train_test_split(X, y, random_state=0, stratify=y)
    model = JKOClassifier(random_state=0).fit(a, ya)
    assert model.classes_.tolist() == ["barbera", "barolo", "grignolino"]
    assert set(model.predict(b)) <= set(y)
    assert model.score(b, yb) > 0.93
    p = model.predict_proba(b)
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(model.classes_[p.argmax(1)], model.predict(b))
    assert np.allclose(np.log(p), model.predict_log_proba(b))
    assert log_loss(yb, p, labels=model.classes_) < 0.2


def test_two_classes_are_one_output():
    y = Y > 0
    model = JKOClassifier(40, steps=20, random_state=0).fit(X, y)
    values = model.decision_function(X)
    assert values.shape == (60,)
    assert np.array_equal(model.predict(X), values > 0)
    assert np.allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-model.sharpness_ * values)))


def test_pipelines_clones_and_searches():
    X, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), JKOClassifier(20, steps=5, random_state=0))
    search = GridSearchCV(clone(pipe), {"jkoclassifier__lam": [1e-3, 1e-1]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.9
    alone = JKOClassifier(20, steps=5, random_state=0).fit(X, y)
    assert np.allclose(pipe.fit(X, y).decision_function(X), alone.decision_function(X), atol=1e-6)


def test_classes_that_come_later_are_named_first():
    first = LABELS != "yes"
    known = JKOClassifier(10, random_state=0)
    known.partial_fit(X[first], LABELS[first], classes=["yes", "no", "perhaps"])
    known.partial_fit(X, LABELS)
    assert known.predict_proba(X).shape == (60, 3)
    unknown = JKOClassifier(10, random_state=0).partial_fit(X[first], LABELS[first])
    with pytest.raises(ValueError, match=r"has the class 'yes'.*name all by classes="):
        unknown.partial_fit(X, LABELS)


def test_the_proofs_are_there_on_request():
    model = JKORegressor(20, steps=10, lam=0.1, random_state=0, solver=jko.LBFGS()).fit(X, Y)
    assert "NOT_EXAMINED" not in model.trajectory_.columns["proofs"]
    gap = model.certificate(X, Y, max_iterations=0)
    assert 0 <= gap.value < float("inf")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"neurons": 0}, "neurons = 0"),
        ({"activation": "tan"}, "there is no activation 'tan'"),
        ({"activation": torch.tanh}, r"jko.Ridge\(sigma\)"),
        ({"tau": -1.0}, "tau = -1"),
        ({"steps": 0}, "steps = 0"),
        ({"lam": -1.0}, "lam = -1"),
    ],
)
def test_odd_options_are_refused_when_it_is_fitted(options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        JKORegressor(**options).fit(X, Y)


def test_a_model_that_is_not_fitted_says_so():
    with pytest.raises(NotFittedError):
        _ = JKORegressor().slacks_


def test_without_scikit_learn_there_is_a_sentence():
    code = "import sys; sys.modules['sklearn'] = None\nimport jko\njko.estimators"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert "pip install 'jko[data]'" in done.stderr


def test_the_sharpness_minimises_the_softened_log_loss():
    rng = np.random.default_rng(0)
    values, y = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    values[np.arange(50), y] += 1
    counts = np.bincount(y)[y][:, None]
    soft = (np.eye(3)[y] * counts + 1) / (counts + 3)

    def loss(beta):
        z = beta * values
        return -(soft * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum()

    beta = sharpness(values, y, np.ones(50))
    assert loss(beta) <= min(loss(b) for b in beta * np.array([0.9, 0.99, 1.01, 1.1]))


def test_units_are_those_of_scikit_learn():
    columns = np.column_stack([X, np.full(60, 0.1)])
    q = np.random.default_rng(1).uniform(size=60)
    ours, theirs = Standard.of(columns, q), StandardScaler().fit(columns, sample_weight=q)
    assert ours(columns) == pytest.approx(theirs.transform(columns), abs=1e-12)
    assert ours.back(ours(columns)) == pytest.approx(columns)


def test_both_take_the_same_options():
    assert inspect.signature(JKORegressor) == inspect.signature(JKOClassifier)
