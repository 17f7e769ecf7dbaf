"""A step that failed, as an exception."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from jko.status import Status

if TYPE_CHECKING:
    from jko.steps.result import StepResult


class StepFailed(RuntimeError):
    """A step that is no step of the scheme; ``result`` is what there is, ``trajectory`` what came before it.

    It can be pickled and so comes out of a process pool.  What cannot go with it stays behind as None: a ``result``, or
    a domain, that is made of functions.

    Examples
    --------
    >>> import jko
    >>> down = -2 * jko.SquaredNorm()  # no minimum for tau >= 1/2
    >>> try:
    ...     jko.step(down, jko.Particles([[1.0]]), tau=1.0)
    ... except jko.StepFailed as failure:
    ...     print(failure.status.name)
    UNBOUNDED
    """

    def __init__(
        self, status: Status, result: StepResult | None = None, trajectory: Any = None
    ) -> None:
        at = (
            ""
            if trajectory is None
            else f" (step {len(trajectory.times)}, t = {trajectory.times[-1]:g})"
        )
        super().__init__(f"{status.name}{at}: {status.value}")
        self.status, self.result, self.trajectory = status, result, trajectory

    def __copy__(self) -> StepFailed:
        return _again(self.args, self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> StepFailed:
        return _again(self.args, self.__dict__)  # results and trajectories do not change

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.args, {name: _portable(part) for name, part in self.__dict__.items()})


def _again(args: tuple[Any, ...], contents: dict[str, Any]) -> StepFailed:
    """The same failure with the same sentence, notes included."""
    failure = StepFailed.__new__(StepFailed, *args)
    failure.__dict__.update(contents)
    return failure


def _portable(part: Any) -> Any:
    """What can be pickled, as it is; None for the rest."""
    try:
        pickle.dumps(part)
    except Exception:  # pickle raises whatever the parts raise
        return None
    return part
