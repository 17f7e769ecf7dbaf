"""What both estimators share: the network, its training, and what is left of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from jko import checks
from jko.diagnostics.optimality import optimality
from jko.duality import Gap
from jko.energies import Energy, Risk, SquaredNorm
from jko.estimators.standard import Array, Standard
from jko.flows import flow
from jko.measures import State
from jko.networks import Data, Ridge, drawn, ridge
from jko.steps import LBFGS
from jko.steps.memory import rounding
from jko.trajectory import Trajectory

SEEDS = 2**31 - 1


class Shallow(BaseEstimator):
    """A network ``f_mu(x) = int w h(theta, x) dmu`` of neurons mu, trained by JKO steps of ``risk + lam |xi|^2 / 2``.

    A subclass says what its targets are to the network: ``_begin``, ``_targets``.
    """

    trajectory_: Trajectory
    n_features_in_: int
    _takes: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        neurons: int = 100,
        activation: str | Ridge = "tanh",
        *,
        tau: float = 100.0,
        steps: int = 50,
        lam: float = 1e-3,
        solver: LBFGS | None = None,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.neurons = neurons
        self.activation = activation
        self.tau = tau
        self.steps = steps
        self.lam = lam
        self.solver = solver
        self.warm_start = warm_start
        self.random_state = random_state

    @property
    def energies_(self) -> Array:
        """Energies of the present run, start included, (n_iter_ + 1,) where all steps were on the same data."""
        return self._run.energies

    @property
    def slacks_(self) -> Array:
        """Slacks of its steps: >= 0, up to rounding, says that each lowered its objective."""
        return self._run.slacks

    def certificate(self, X: Any, y: Any, sample_weight: Any = None, **options: Any) -> Gap:
        """How far the energy is from its minimum over *all* networks of this kind, on these data.

        The energy is that of the standardised data.  For the options see :func:`jko.optimality`.
        """
        X, y, q = self._checked(X, y, sample_weight, reset=False)
        return optimality(self._energy(self._data(X, y, q)), self._run.final, **options)

    def _train(self, X: Any, y: Any, q: Any, on: bool, steps: int) -> None:
        """Steps from a new start, or on from where the last ones ended, by the same bits if the data are the same."""
        X, y, q = self._checked(X, y, q, reset=not on)
        if not on:
            self._inputs = Standard.of(X, q)
            self._dtype = X.dtype
            self._begin(y, q)
        data = self._data(X, y, q)
        energy = self._energy(data)
        start, before = self._start(data, energy, on)
        done = len(start.times) - 1 if isinstance(start, Trajectory) else 0
        count = checks.count("steps", steps)
        self.trajectory_ = flow(
            energy,
            start,
            tau=self.tau,
            steps=done + count,
            solver=LBFGS.training() if self.solver is None else self.solver,
            save=done + count,
        )
        self.n_iter_ = before + len(self.trajectory_.times) - 1
        self._end(X, y, q)

    def _checked(self, X: Any, y: Any, q: Any, reset: bool) -> tuple[Array, Array, Array]:
        """Arrays of numbers, each row once, in an order of their own, with its weight: the sum over those that repeat.

        So the bits of a fit do not depend on the order of the rows, nor on whether they are repeated or weighted.
        """
        kinds = [np.float64, np.float32]
        X, y = validate_data(self, X, y, reset=reset, dtype=kinds, **self._takes)
        y = self._read(y, reset)
        q = _check_sample_weight(q, X, dtype=np.float64, ensure_non_negative=True)
        full = q > 0
        X, y, q = X[full], y[full], q[full]
        table = np.column_stack([X, y])
        _, first, where = np.unique(table, axis=0, return_index=True, return_inverse=True)
        return X[first], y[first], np.bincount(where.reshape(-1), weights=q)

    def _data(self, X: Array, y: Array, q: Array) -> Data:
        x, f, q = self._inputs(X), self._targets(y), q / q.sum()
        return Data(*(torch.from_numpy(part.astype(self._dtype)) for part in (x, f, q)))

    def _energy(self, data: Data) -> Energy:
        lam = checks.number("lam", self.lam, least=0)
        risk = Risk(data, activation=self._h)
        return risk + lam * SquaredNorm() if lam else risk

    @property
    def _h(self) -> Ridge:
        if isinstance(self.activation, str):
            return ridge(self.activation)
        return checks.kind(
            "activation", self.activation, Ridge, hint='a name such as "tanh", or jko.Ridge(sigma)'
        )

    def _start(self, data: Data, energy: Energy, on: bool) -> tuple[State | Trajectory, int]:
        """Where to step from, and how many steps were made that are not in its ledger."""
        if not on:
            seed = check_random_state(self.random_state).randint(SEEDS)
            N = checks.count("neurons", self.neurons)
            return drawn(N, data, torch.Generator().manual_seed(int(seed))), 0
        run = self._run
        with torch.no_grad():
            here = float(energy(run.final))
        last = float(run.energies[-1])
        same = abs(here - last) <= rounding(here, last, dtype=data.x.dtype)
        return (run, self.n_iter_ - len(run.times) + 1) if same else (run.final, self.n_iter_)

    def _outputs(self, X: Any) -> Array:
        """The network at the rows of X, (M,) or (M, k), as its targets are."""
        run = self._run
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._network(run.final, X)

    def _network(self, state: State, X: Array) -> Array:
        x = torch.from_numpy(self._inputs(X).astype(self._dtype))
        nothing = Data(x, x.new_zeros(len(x), *self._outputs_shape))
        return Risk(nothing, activation=self._h).predict(state).numpy()

    @property
    def _run(self) -> Trajectory:
        check_is_fitted(self, "trajectory_")
        return self.trajectory_

    @property
    def _known(self) -> bool:
        """Whether there are neurons to go on from."""
        return hasattr(self, "trajectory_")

    _inputs: Standard
    _dtype: Any
    _outputs_shape: tuple[int, ...]

    def _read(self, y: Array, first: bool) -> Array:
        """The targets as arrays, refused where they are none."""
        return y

    def _begin(self, y: Array, q: Array) -> None:
        """Learn what targets are to the network, from the first that come."""
        raise NotImplementedError

    def _targets(self, y: Array) -> Array:
        """What the network should say, (M,) or (M, k)."""
        raise NotImplementedError

    def _end(self, X: Array, y: Array, q: Array) -> None:
        """After training."""
