"""A curve of measures: times, states, and columns of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from jko.measures import ChargedSpan, State
from jko.shown import Shown, above, joined, svg
from jko.spaces import Domain
from jko.status import Status
from jko.storage import archive, places, scan
from jko.storage.states import (
    Arrays,
    Facts,
    NeedsMore,
    facts_of,
    numbered,
    packed,
)
from jko.trajectory import files
from jko.trajectory.between import between


@dataclass(frozen=True, eq=False)
class Trajectory(Shown):
    """A curve of measures, sampled.

    Attributes
    ----------
    times, energies : (K + 1,)
        Flow time and energy, the start included.
    states : sequence of states
        The states kept; ``kept[j]`` is the index of ``states[j]`` in ``times``.  A tuple; or, of a long run with a
        checkpoint, a sequence that reads the earlier ones from there, one when it is asked for.
    columns : dict of (K,) arrays
        Figures of each step: ``statuses`` (CONVERGED or STALLED), ``costs``, ``slacks``, ``residuals``,
        ``iterations``, ``evaluations``, ``bounds`` (on cost - metric^2) and ``proofs`` (of the couplings), and what
        else the solver reports; empty for a limit equation.
    status : Status
        How it ended: FINISHED at its end time or number of steps; AT_REST, STOPPED or INTERRUPTED before; else the
        failure.
    memory : dict of tensors
        What the solver keeps for the next step; resuming needs it to repeat the same bits.

    Raises
    ------
    TypeError, ValueError
        Arrays of other kinds or lengths; times that do not rise; kept states that are not the first, the last, and
        increasing between.

    Examples
    --------
    >>> import jko
    >>> run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5, steps=4)
    >>> len(run.states), run.times.tolist(), run.status.name
    (5, [0.0, 0.5, 1.0, 1.5, 2.0], 'FINISHED')
    >>> bool((run.slacks >= 0).all()), run.at(1.0).N
    (True, 1)
    """

    times: np.ndarray
    energies: np.ndarray
    states: Sequence[State]
    kept: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    status: Status = Status.FINISHED
    memory: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        count, states = len(self.times), len(self.states)
        for name, values, kinds, length in (
            ("times", self.times, "f", count),
            ("energies", self.energies, "f", count),
            ("kept", self.kept, "iu", states),
            *(
                (f"the column {n!r}", values, "fiubU", count - 1)
                for n, values in self.columns.items()
            ),
        ):
            if values.dtype.kind not in kinds:
                raise TypeError(f"{name} has dtype {values.dtype}; it must be of kind {kinds!r}")
            if values.shape != (length,):
                raise ValueError(
                    f"{name} has shape {values.shape}; with {count} times and {states} states it must be ({length},)"
                )
        if not (states and np.isfinite(self.times).all() and (np.diff(self.times) > 0).all()):
            raise ValueError("times must be finite and rise, and one state at least must be kept")
        kept = self.kept.astype(np.int64, copy=False)
        if kept[0] != 0 or kept[-1] != count - 1 or (np.diff(kept) <= 0).any():
            raise ValueError(
                "kept must increase from 0, the start, to the last index of times: a run ends with its last state"
            )

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "steps": len(self.times) - 1,
            "t": f"{self.times[0]:g} .. {self.times[-1]:g}",
            "energy": f"{self.energies[0]:.6g} -> {self.energies[-1]:.6g}",
            "status": self.status,
        }
        stalled = {"stalled": self.stalled} if self.stalled else {}
        return facts | stalled | {"states": len(self.states), "of": self.states[0]}

    def _line(self) -> str:
        steps, states = len(self.times) - 1, len(self.states)
        parts = [f"t = {self.times[0]:g} .. {self.times[-1]:g}"]
        parts += [f"energy {self.energies[0]:.6g} -> {self.energies[-1]:.6g}"]
        stalled = [f"{self.stalled} steps stalled"] if self.stalled else []
        ended = [self.status.name, *stalled, f"{states} states"]
        return joined(f"{type(self).__name__}({steps} steps, ", [*parts, *ended])

    def _picture(self) -> str:
        return svg.curve(self.times, self.energies, "energy over time")

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
        """The state at time t; between two kept states one on the way from the one to the other.

        Atoms go along straight lines: for a JKO flow of particles, and of meshes of the line, that is the displacement
        interpolation of the step's optimal coupling.  Densities on a grid are mixed, ``(1 - s) rho_0 + s rho_1``, of
        pairs also ``H rho``: it costs nothing, keeps the mass, and is right to second order in the time between them
        where they are smooth.  Where mass has moved by more than the width of a bump, a mixture has two bumps;
        ``jko.geodesic(run.states[j], run.states[j + 1], s)`` moves it.

        Raises
        ------
        ValueError
            A time outside; one between states of other kinds, weights, or grids.
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
        s = float((t - times[j - 1]) / (times[j] - times[j - 1]))
        state = between(self.states[j - 1], self.states[j], s)
        if state is None:
            raise ValueError(
                f"t = {t:g} is not a kept time, and nothing is known between the states around it: neither atoms of "
                f"the same weights nor densities on one grid; choose one of {times}, or jko.geodesic between two states"
            )
        return state

    def plot(self) -> Any:
        """A figure of the run: its energy with the dissipation, and its states at some times; needs matplotlib.

        Returns
        -------
        matplotlib.figure.Figure
            Notebooks show it, ``figure.savefig(path)`` writes it.
        """
        return above("jko.plots.overview.overview")(self)

    def save(self, path: str | Path) -> Path:
        """Write one ``.npz`` file, whole or not at all, with a digest of its contents; returns its path.

        Raises
        ------
        ValueError
            No such folder, a folder or a device of that name, a disk that is full or cannot be written.
        """
        name = places.to_write(path)
        target = places.place(self.states[0], name)
        archive.write(target.path, *self._packed())
        target.settled()
        return name

    @classmethod
    def load(
        cls,
        path: str | Path,
        domain: Domain | None = None,
        like: State | None = None,
        until: int | None = None,
    ) -> Trajectory:
        """Read a file of :meth:`save`, or a checkpoint of :func:`jko.flow`; no code in it is run.

        Of a checkpoint with many states the last are in memory, and ``states`` reads the others when they are asked
        for.  That of a run that was killed gives everything up to its last whole save.

        Parameters
        ----------
        path
            The name given to save or flow.
        domain
            For a convex set given by its projection.
        like
            For pairs :class:`jko.ChargedSpan`, one of them, with the functions H0 and h.
        until
            The step to end with: of a checkpoint the last save, or the one before.

        Raises
        ------
        ValueError
            No such file, or none of ours; contents that were changed and so do not match their digest, times that
            do not rise, columns of other lengths.  Files of format 1 have no digest, and only their form is checked.
        """
        file = places.to_read(path)
        try:
            if scan.is_journal(file):
                return cls(**files.of_journal(file, domain, like, until))
            run = cls._unpacked(*archive.read(file), domain, like)
            if until is not None and until != len(run.times) - 1:
                raise ValueError(f"it ends with step {len(run.times) - 1}, not {until}")
            return run
        except NeedsMore:
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise places.refusal(file, error) from None

    def _packed(self) -> tuple[Arrays, Facts]:
        """Everything as arrays and facts."""
        arrays = {"times": self.times, "energies": self.energies, "kept": self.kept}
        for k, state in enumerate(self.states):
            rows = packed(state)
            arrays |= {numbered(name, k): values for name, values in rows.items()}
        arrays |= {f"column/{name}": values for name, values in self.columns.items()}
        arrays |= {
            f"memory/{name}": tensor.detach().cpu().numpy() for name, tensor in self.memory.items()
        }
        facts = facts_of(self.states[0])
        return arrays, facts | {"states": len(self.states), "status": self.status.name}

    @classmethod
    def _unpacked(cls, *file: Any) -> Trajectory:
        """The inverse of :meth:`_packed`."""
        return cls(**files.unpacked(*file))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as arrays: tensors would be handed from process to process by open files, one each."""
        arrays, facts = self._packed()
        first = self.states[0]
        functions = first if isinstance(first, ChargedSpan) else None
        return Trajectory._unpacked, (arrays, facts, first.domain, functions)

    def to_xarray(self) -> Any:
        """The figures as an ``xarray.Dataset`` over time; needs xarray."""
        try:
            import xarray
        except ImportError:
            raise ImportError("to_xarray needs the package xarray: pip install xarray") from None
        data = {"energies": ("time", self.energies)}
        steps = {name: ("step", values) for name, values in self.columns.items()}
        return xarray.Dataset(data | steps, coords={"time": self.times})
