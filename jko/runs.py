"""A training run as a model: its folder holds what prediction needs, beside the trajectory, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jko import distributed
from jko.datasets import Preparation
from jko.energies import Logistic, Risk, SquaredLoss
from jko.measures import State
from jko.networks import Data, ridge
from jko.storage.places import path_of, write_text
from jko.trajectory import Trajectory

FILE, TRAJECTORY = "run.json", "trajectory.npz"
FORMAT = "jko run 1"
LOSSES: dict[str, Any] = {"squared": SquaredLoss, "logistic": Logistic}

__all__ = ["Run", "load_run"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Model:
    """What turns neurons into predictions: the table's columns, the activation and the loss.

    Attributes
    ----------
    preparation : Preparation
        From columns to inputs, from outputs to the target.
    activation, loss : str
        Their names.
    """

    preparation: Preparation
    activation: str
    loss: str

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        target = self.preparation.target
        if target.classes is None:
            return len(target.columns)
        return 1 if len(target.classes) == 2 else len(target.classes)

    def risk(self, data: Data) -> Risk:
        """The risk on such data."""
        return Risk(data, activation=ridge(self.activation), loss=LOSSES[self.loss]())

    def network(self, state: State, x: Array) -> Array:
        """The outputs f_mu(x) at inputs x (M, n), in the dtype and on the device of the state: (M,) or (M, k)."""
        points = state.atoms.points
        rows = torch.tensor(x, dtype=points.dtype, device=points.device)
        k = self.outputs
        none = points.new_zeros(1) if k == 1 else points.new_full((1, k), 1 / k)
        nowhere = Data(rows[:1], none if self.loss == "squared" or k > 1 else none + 1)
        return self.risk(nowhere).predict(state, rows).detach().double().cpu().numpy()

    def classified(self, outputs: Array) -> np.ndarray:
        """The number of the likeliest class, (M,)."""
        return outputs.argmax(1) if outputs.ndim == 2 else (outputs > 0).astype(int)

    def predicted(self, outputs: Array) -> np.ndarray:
        """Class names (M,), or values in the target's units, (M,) or (M, k)."""
        target = self.preparation.target
        if target.classes is None:
            return self.preparation.units.own(outputs)
        return np.array(target.classes)[self.classified(outputs)]

    def probabilities(self, outputs: Array) -> Array:
        """Probabilities of the classes, (M, number of classes), with rows of sum one.

        Of the logistic loss they are those whose likelihood it maximises.  The squared loss is least where the
        outputs are the conditional probabilities (of two classes ``2 p - 1``): they are the nearest to the outputs.
        """
        if self.loss == "logistic":
            return Logistic().probabilities(torch.from_numpy(outputs)).numpy()
        if outputs.ndim == 1:
            p = np.clip(0.5 * (1 + outputs), 0, 1)
            return np.stack([1 - p, p], axis=1)
        return on_simplex(outputs)


def on_simplex(y: Array) -> Array:
    """The nearest point of the simplex to each row of y (M, k): ``max(y - t, 0)`` with the t that makes the sum one."""
    falling = -np.sort(-y, axis=1)
    t = (np.cumsum(falling, axis=1) - 1) / np.arange(1, y.shape[1] + 1)
    last = (falling > t).sum(1) - 1
    return np.maximum(y - t[np.arange(len(y)), last][:, None], 0)


@dataclass(frozen=True, eq=False)
class Run:
    """A training run that was read from its folder.

    Attributes
    ----------
    folder : Path
        Where it lies.
    model : Model
        How its neurons predict.
    facts : dict
        The whole of ``run.json``: settings, versions, and which rows of the table were held out.

    Examples
    --------
    >>> import contextlib, jko, tempfile
    >>> from jko.cli import main
    >>> folder = tempfile.mkdtemp()
    >>> with contextlib.redirect_stdout(None):
    ...     code = main(["train", "iris", "--neurons", "9", "--steps", "2", "--out", folder])
    >>> run = jko.load_run(folder)
    >>> run.targets, len(run.classes), run.facts["rows"]["count"]
    (('species',), 3, 150)
    """

    folder: Path
    model: Model
    facts: dict[str, Any]

    def __repr__(self) -> str:
        preparation = self.model.preparation
        target = ", ".join(preparation.target.columns)
        return f"Run({str(self.folder)!r}: {target} from {len(preparation.columns)} columns, {self.trajectory!r})"

    @cached_property
    def trajectory(self) -> Trajectory:
        """The flow."""
        path = self.folder / TRAJECTORY
        if distributed.manifest(path):
            return distributed.gathered(distributed.load(path))
        return Trajectory.load(path)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that are inputs."""
        return self.model.preparation.columns

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return self.model.preparation.target.columns

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes; None for a regression."""
        return self.model.preparation.target.classes

    def outputs(self, rows: Any, *, header: bool | None = None, unseen: bool = False) -> Array:
        """What the network says, before it is put in classes or in units: (M,) or (M, k).

        The parameters are those of :meth:`predict`.
        """
        preparation = self.model.preparation
        x = preparation.inputs(*preparation.read(rows, header), unseen=unseen)
        return self.model.network(self.trajectory.final, x)

    def predict(self, rows: Any, *, header: bool | None = None, unseen: bool = False) -> Array:
        """Predictions: class names (M,), or values in the units of the target, (M,) or (M, k).

        Parameters
        ----------
        rows
            A CSV file; a mapping of columns (a dict, a DataFrame), found by name in any order, others are ignored;
            or an array (M, number of columns) in the order of ``columns``.
        header
            Whether the first line of a file names the columns; default as in the table of the run.
        unseen
            Whether a word that the table of the run had not is taken for none of the known ones; else it is refused.

        Raises
        ------
        ValueError
            A column that is missing, cells that the rules of the run do not take, each with its remedy.
        """
        return self.model.predicted(self.outputs(rows, header=header, unseen=unseen))

    def probabilities(
        self, rows: Any, *, header: bool | None = None, unseen: bool = False
    ) -> Array:
        """Probabilities of the classes, (M, number of classes); the parameters are those of :meth:`predict`.

        Source: of the logistic loss its own; of the squared loss the nearest probabilities to the outputs.
        """
        if self.classes is None:
            raise ValueError(
                f"{self.targets[0]!r} has no classes, so there are no probabilities; use predict"
            )
        return self.model.probabilities(self.outputs(rows, header=header, unseen=unseen))


def load_run(folder: str | Path) -> Run:
    """A run of ``python -m jko train``, from its folder, as a model that predicts.

    No code in it is run: it is text (``run.json``) and plain numbers (``trajectory.npz``).

    Raises
    ------
    TypeError, ValueError
        No path; no such folder, or no whole run in it; a run of jko 0.1.0, which kept less than prediction needs.

    Examples
    --------
    >>> import contextlib, jko, tempfile
    >>> from jko.cli import main
    >>> folder = tempfile.mkdtemp()
    >>> with contextlib.redirect_stdout(None):
    ...     code = main(["train", "iris", "--neurons", "20", "--steps", "3", "--out", folder])
    >>> run = jko.load_run(folder)
    >>> run.classes
    ('setosa', 'versicolor', 'virginica')
    >>> run.predict([[5.1, 3.5, 1.4, 0.2]]).tolist()
    ['setosa']
    """
    path = path_of(folder, "folder")
    path = path.parent if path.name in (FILE, TRAJECTORY) else path
    if not path.is_dir():
        raise ValueError(f"there is no folder {str(path)!r}; name that of a run, such as runs/NAME")
    if not (path / TRAJECTORY).is_file():
        raise ValueError(
            f"{str(path)!r} holds no {TRAJECTORY}, so no run of python -m jko train; name the folder of one"
        )
    if not (path / FILE).is_file():
        raise ValueError(
            f"{str(path)!r} holds a run without {FILE}, as jko 0.1.0 left them: the scaling of its columns was not "
            "kept, so it cannot predict; the command that trained it, with --resume, adds what is missing"
        )
    try:
        facts = json.loads((path / FILE).read_bytes())
        run = Run(path, model_of(facts), facts)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ValueError(
            f"{str(path / FILE)!r} is not what a run of jko wrote, or it was changed: "
            f"{type(error).__name__}: {error}; train again"
        ) from None
    wide, need = run.trajectory.final.atoms.points.shape[1], _width(run.model)
    if wide != need:
        raise ValueError(
            f"the neurons in {str(path)!r} have {wide} coordinates and {FILE} describes {need}: they are of two runs; "
            "train again"
        )
    return run


def _width(model: Model) -> int:
    """Coordinates of a neuron: its outputs, its weights and the bias."""
    return model.outputs + len(model.preparation.scaling.columns) + 1


def facts_of(model: Model, **more: Any) -> dict[str, Any]:
    """What ``run.json`` holds."""
    return {
        "format": FORMAT,
        **model.preparation.facts(),
        "network": {"activation": model.activation, "loss": model.loss, "outputs": model.outputs},
        **more,
    }


def model_of(facts: Mapping[str, Any]) -> Model:
    """The model that :func:`facts_of` describes; KeyError, TypeError or ValueError where it is none."""
    if facts["format"] != FORMAT:
        raise ValueError(f"its format is {facts['format']!r}, not {FORMAT!r}")
    network = facts["network"]
    ridge(network["activation"])
    model = Model(Preparation.from_facts(facts), network["activation"], network["loss"])
    if network["loss"] not in LOSSES or model.outputs != network["outputs"]:
        raise ValueError(f"its network is {network!r}")
    return model


def write_facts(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write ``run.json``, whole or not at all: a line for each fact that is a person's to read."""
    return write_text(folder / FILE, "{\n" + ",\n".join(_lines(facts)) + "\n}\n")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in facts.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        lines.append(f" {json.dumps(name)}: {text}")
    return lines
