"""``JKORegressor``: one target or several."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.base import RegressorMixin

from jko.estimators.shallow import Shallow
from jko.estimators.standard import Array, Standard


class JKORegressor(RegressorMixin, Shallow):
    """A shallow network for numbers, trained by JKO steps: scikit-learn's interface to :func:`jko.flow`.

    ``minimise over mu:  1/2 sum_m q_m |f_mu(x_m) - y_m|^2 + lam/2 int |xi|^2 dmu``, with inputs and targets
    standardised by the first training data, so that units do not matter; a scaler before it in a pipeline changes
    nothing.

    Parameters
    ----------
    neurons : int
        Atoms of mu, of mass 1/N each: the network is their mean.
    activation : str or Ridge
        h(theta, x) by its name in torch: tanh, sigmoid, relu, softplus, gelu, silu, ...; or :class:`jko.Ridge`.
    tau : float
        The time step of the flow, > 0.  A large one trains.
    steps : int
        JKO steps of a ``fit``; ``partial_fit`` makes one.
    lam : float
        The weight of ``|xi|^2 / 2``, >= 0.  The default fits closely; for noisy targets choose it by cross-validation
        (``GridSearchCV``): on diabetes 0.03 was far better.
    solver : LBFGS, optional
        Default ``jko.LBFGS.training()``; with ``examine=True`` each step proves its coupling.
    warm_start : bool
        Whether ``fit`` goes on from the last one: on the same data by the same bits as one longer fit.
    random_state : int, RandomState or None
        For the neurons at the start.

    Attributes
    ----------
    trajectory_ : Trajectory
        The ledger: energies, slacks, residuals, evaluations of each step; the neurons are ``trajectory_.final``.
    energies_, slacks_
        Of it.
    n_iter_ : int
        Steps so far.
    n_features_in_, feature_names_in_
        As scikit-learn has them.

    Notes
    -----
    Targets (M, k) make one network with k outputs, w in R^k.  ``sample_weight`` are the quadrature weights q, divided
    by their sum.  float32 inputs are trained on in float32.  Where ``partial_fit`` or a warm start see other data than
    before, the steps go on from the same neurons, in a new ledger.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.estimators import JKORegressor
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> model = JKORegressor(random_state=0).fit(x, np.sin(3 * x[:, 0]))
    >>> model.score(x, np.sin(3 * x[:, 0])) > 0.99, bool((model.slacks_ >= 0).all())
    (True, True)
    """

    _takes: ClassVar[dict[str, Any]] = {"multi_output": True, "y_numeric": True}

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> JKORegressor:
        """Train for ``steps`` steps, from new neurons unless ``warm_start``."""
        self._train(X, y, sample_weight, self.warm_start and self._known, self.steps)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> JKORegressor:
        """One step more."""
        self._train(X, y, sample_weight, self._known, 1)
        return self

    def predict(self, X: Any) -> Array:
        """The network's values, (M,) or (M, k), in the units of the targets."""
        values = self._outputs(X)
        return self._units.back(values).astype(values.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _begin(self, y: Array, q: Array) -> None:
        self._units, self._outputs_shape = Standard.of(y, q), y.shape[1:]

    def _targets(self, y: Array) -> Array:
        if y.shape[1:] != self._outputs_shape:
            raise ValueError(
                f"y has shape {y.shape}, but the network was begun with targets of shape "
                f"{('M', *self._outputs_shape)}; call fit without warm_start for others"
            )
        return self._units(y)
