"""Masses in other dtypes and on other devices: they sum to one in each."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from jko.measures.frozen import Frozen
from jko.measures.quadrature import Quadrature

S = TypeVar("S", bound="Convertible")


class Convertible(Frozen, Quadrature):
    """A quadrature whose fields are tensors: its masses are the fields ``weights`` and ``masses``, if there."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its tensors."""
        return self.weights.dtype

    @property
    def device(self) -> torch.device:
        """Of its tensors."""
        return self.weights.device

    def to(self: S, *args: Any, **kwargs: Any) -> S:
        """The same on another device, or of another dtype: :meth:`jko.measures.tensors.OfTensors.to`.

        Masses sum to one in the new dtype too.

        Raises
        ------
        ValueError
            What was apart in float64 falls together in float32, or leaves its range: edges of cells, masses.
        """
        new = super().to(*args, **kwargs)
        return new if new.dtype is self.dtype else new._normalised()

    def _normalised(self: S) -> S:
        """The same with masses of sum one, checked."""
        fields = self._attributes()
        for name in {"weights", "masses"} & fields.keys():
            total = self.mass if name == "weights" else fields[name].sum()
            fields[name] = fields[name] / total
        return self._made(**fields) if self.has_empty_atoms else type(self)(**fields)
