"""A trajectory: times, states, and columns of figures. It knows no solver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import storage
from jko.measures import ChargedMesh, ChargedParticles, Particles, State, lifted, placed
from jko.spaces import Domain
from jko.status import Status


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A curve of measures, sampled.

    Attributes
    ----------
    times, energies : (K + 1,)
        Flow time and energy, the start included.
    states : tuple of states
        The states kept; ``kept[j]`` is the index of ``states[j]`` in ``times``.
    columns : dict of (K,) arrays
        Figures of each step: ``statuses`` (CONVERGED or STALLED), ``costs``, ``slacks``, ``residuals``,
        ``iterations``, ``evaluations``, ``bounds`` (on cost - metric^2) and ``proofs`` (of the couplings), and what
        else the solver reports; empty for a limit equation.
    status : Status
        How it ended: FINISHED at its end time or number of steps; AT_REST, STOPPED or INTERRUPTED before; else the
        failure.
    memory : dict of tensors
        What the solver keeps for the next step; resuming needs it to repeat the same bits.
    """

    times: np.ndarray
    energies: np.ndarray
    states: tuple[State, ...]
    kept: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    status: Status = Status.FINISHED
    memory: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return (
            f"Trajectory({len(self.times) - 1} steps, t = {self.times[0]:g} .. {self.times[-1]:g}, "
            f"energy {self.energies[0]:.6g} -> {self.energies[-1]:.6g}, {len(self.states)} states, {self.status.name}"
            + (f", {self.stalled} steps stalled)" if self.stalled else ")")
        )

    @property
    def stalled(self) -> int:
        """How many steps could not lower the objective down to their tolerance: at rounding, or at a kink."""
        return int((self.columns.get("statuses", np.array([])) == Status.STALLED.name).sum())

    @property
    def final(self) -> State:
        """The last state."""
        return self.states[-1]

    @property
    def costs(self) -> np.ndarray:
        """metric^2 of each step, (K,)."""
        return self._column("costs")

    @property
    def slacks(self) -> np.ndarray:
        """E_k - E_{k+1} - cost / (2 tau) of each step, (K,)."""
        return self._column("slacks")

    @property
    def residuals(self) -> np.ndarray:
        """L2(mu) norm of the Euler-Lagrange equation of each step, (K,)."""
        return self._column("residuals")

    def _column(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise ValueError(
                f"this trajectory has no column {name!r}; it has {sorted(self.columns) or 'none'}"
            )
        return self.columns[name]

    def at(self, t: float) -> State:
        """The state at time t, between two kept states by moving every atom along its straight line.

        For a JKO flow of particles that is the displacement interpolation of the step's optimal coupling.
        """
        times = self.times[self.kept]
        slip = 1e-12 * max(1.0, abs(float(times[-1])))
        if not times[0] - slip <= t <= times[-1] + slip:
            raise ValueError(
                f"t = {t:g} lies outside the trajectory, {times[0]:g} .. {times[-1]:g}"
            )
        j = int(np.clip(np.searchsorted(times, t), 1, len(times) - 1)) if len(times) > 1 else 0
        near = int(np.abs(times - t).argmin())
        if abs(times[near] - t) <= slip:
            return self.states[near]
        a, b = self.states[j - 1], self.states[j]
        if not isinstance(a, (Particles, ChargedParticles, ChargedMesh)):
            raise ValueError(
                f"t = {t:g} is not a kept time, and between two densities there is no straight line of atoms; choose "
                f"one of {times}, or jko.geodesic between two states"
            )
        start, end = lifted(a), lifted(b)
        if not torch.equal(start.weights, end.weights):
            raise ValueError(
                f"the states around t = {t:g} have different weights; choose one of the kept times {times}"
            )
        s = float((t - times[j - 1]) / (times[j] - times[j - 1]))
        points = (1 - s) * start.points + s * end.points
        return placed(a, points)

    def save(self, path: str | Path) -> Path:
        """Write one ``.npz`` file, whole or not at all; returns its path."""
        arrays, facts = storage.pack_states(self.states)
        arrays |= {"times": self.times, "energies": self.energies, "kept": self.kept}
        arrays |= {f"column/{name}": values for name, values in self.columns.items()}
        arrays |= {f"memory/{name}": tensor.cpu().numpy() for name, tensor in self.memory.items()}
        return storage.write(path, arrays, facts | {"status": self.status.name})

    @classmethod
    def load(
        cls, path: str | Path, domain: Domain | None = None, like: State | None = None
    ) -> Trajectory:
        """Read a file of :meth:`save`; no code in it is run.

        ``domain``: for a convex set given by its projection.  ``like``: for pairs
        :class:`jko.ChargedSpan`, one of them, with the functions H0 and h.
        """
        arrays, facts = storage.read(path)
        return cls(
            times=arrays["times"],
            energies=arrays["energies"],
            states=storage.unpack_states(arrays, facts, domain, like),
            kept=arrays["kept"],
            columns={
                n.removeprefix("column/"): a for n, a in arrays.items() if n.startswith("column/")
            },
            status=_ending(facts["status"]),
            memory={
                n.removeprefix("memory/"): torch.from_numpy(a)
                for n, a in arrays.items()
                if n.startswith("memory/")
            },
        )

    def to_xarray(self) -> Any:
        """The figures as an ``xarray.Dataset`` over time; needs xarray."""
        try:
            import xarray
        except ImportError:
            raise ImportError("to_xarray needs the package xarray: pip install xarray") from None
        data = {"energies": ("time", self.energies)}
        steps = {name: ("step", values) for name, values in self.columns.items()}
        return xarray.Dataset(data | steps, coords={"time": self.times})


def _ending(name: str) -> Status:
    """The status by its name; files of 0.1 say CONVERGED of a run that came to its end."""
    return Status.FINISHED if name == Status.CONVERGED.name else Status[name]
