"""What the arguments of a formula are, said in its signature: an annotation is a rule, and a decorator keeps it.

``tau: Positive`` is a number > 0 when the formula runs, ``xi: Numbers`` an array of finite ones; anything else has been
refused with a sentence.  A result that is not finite is refused too: then the formula has left the range of float64.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Any, ParamSpec, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from jko import checks

P = ParamSpec("P")
R = TypeVar("R")
Array = NDArray[np.float64]


def _array(name: str, value: Any, least: float = -np.inf, above: float = -np.inf) -> Array:
    """Finite numbers of any shape, a scalar where there is one."""
    numbers = checks.floats(name, value).detach().cpu().numpy().astype(float)
    if numbers.size == 0:
        raise ValueError(f"{name} is empty, shape {numbers.shape}; at least one number is needed")
    if not (numbers.min() >= least and numbers.min() > above):
        rule = f"at least {least:g}" if least > above else f"> {above:g}"
        raise ValueError(f"{name} goes down to {numbers.min():g}; it must be {rule}")
    return numbers[()]


def _vector(name: str, value: Any) -> Array:
    """Numbers (d,); a single one makes d = 1."""
    vector = np.atleast_1d(_array(name, value))
    if vector.ndim > 1:
        raise ValueError(f"{name} has shape {vector.shape}; it must have shape (d,)")
    return vector


def _symmetric(name: str, value: Any) -> Array:
    """A number, or a symmetric matrix."""
    A = _array(name, value)
    if A.ndim == 0:
        return A
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} has shape {A.shape}; it must be symmetric of shape (d, d)")
    if np.abs(A - A.T).max() > 1e-12 * np.abs(A).max():
        raise ValueError(f"{name} must be symmetric; pass ({name} + {name}.T) / 2 if that is meant")
    return 0.5 * (A + A.T)


def _covariance(name: str, value: Any) -> Array:
    """A symmetric matrix whose eigenvalues are not negative, but for rounding."""
    S = np.atleast_2d(_symmetric(name, value))
    low = np.linalg.eigvalsh(S / (np.abs(S).max() or 1.0))[0]
    if low < -1e-12 * len(S):
        raise ValueError(
            f"{name} has the eigenvalue {low:g} times its largest entry; variances are not negative"
        )
    return S


def _moments(name: str, value: Any) -> Array:
    return sized(name, _covariance(name, value), 2)


def sized(name: str, A: Array, d: int) -> Array:
    """A matrix (d, d); a number is that multiple of the identity."""
    if A.ndim == 0:
        return np.diag(np.full(d, A, dtype=np.float64))
    if A.shape != (d, d):
        raise ValueError(f"{name} has shape {A.shape}; it must have shape ({d}, {d}) here")
    return A


def cholesky(name: str, S: Array) -> Array:
    """The lower root of a positive definite matrix."""
    try:
        return np.asarray(np.linalg.cholesky(S), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} is singular; it must be positive definite here") from None


def point(name: str, z: Array, d: int) -> Array:
    """A point (d,); a number has all coordinates equal."""
    if np.shape(z) not in ((), (1,), (d,)):
        raise ValueError(f"{name} has shape {np.shape(z)}; it must be a number or of shape ({d},)")
    return np.broadcast_to(z, (d,))


def curvature(a: Any, tau: Any) -> Any:
    """``1 + tau a``, the curvature of a step times tau; where it is not positive the step has no minimum."""
    k = 1 + tau * a
    if not np.min(k) > 0:
        raise ValueError(
            f"1 + tau a goes down to {np.min(k):g}: the step has no minimum; lower tau"
        )
    return k


def _exponent(name: str, m: Any) -> float:
    """The exponent of a porous medium or of a fast diffusion."""
    if checks.number(name, m, above=0) == 1:
        raise ValueError(
            f"{name} = 1.0 is the heat equation; take the formulas of Gaussians, or another {name}"
        )
    return float(m)


# The rules, for annotations.  ``Numbers`` and its kin are arrays of any shape.
Real = Annotated[float, checks.number]
Positive = Annotated[float, partial(checks.number, above=0)]
NotNegative = Annotated[float, partial(checks.number, least=0)]
Exponent = Annotated[float, _exponent]
Whole = Annotated[int, checks.count]
Numbers = Annotated[Any, _array]
PositiveNumbers = Annotated[Any, partial(_array, above=0.0)]
NotNegativeNumbers = Annotated[Any, partial(_array, least=0.0)]
Vector = Annotated[Any, _vector]
Matrix = Annotated[Any, _symmetric]
Covariance = Annotated[Any, _covariance]
Moments = Annotated[Any, _moments]  # int xi xi^T dmu, (2, 2)


def formula(function: Callable[P, R]) -> Callable[P, R]:
    """Keep the rules that the annotations of a formula name, and refuse a result that is not finite."""
    return _keeping(function, lambda given: None)


def pointwise(function: Callable[P, R]) -> Callable[P, R]:
    """A formula all of whose arguments broadcast."""
    return _keeping(function, lambda given: broadcast(**given))


def broadcast(**arrays: Any) -> None:
    """Refuse arrays whose shapes do not broadcast."""
    shapes = {name: np.shape(value) for name, value in arrays.items() if value is not None}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        pretty = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"the shapes of {pretty} do not broadcast; make them agree") from None


def _keeping(function: Callable[P, R], agree: Callable[[dict[str, Any]], None]) -> Callable[P, R]:
    signature, rules = inspect.signature(function), _rules(function)

    @wraps(function)
    def kept(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # too many, or too few: Python says so in its own words
            return function(*args, **kwargs)
        given = {name: rules[name](name, value) for name, value in given.items()}
        agree(given)
        with np.errstate(all="ignore"):
            try:
                result = function(**given)  # type: ignore[call-arg]
                if _finite(result):
                    return result
            except (ArithmeticError, np.linalg.LinAlgError):
                pass
        raise ValueError(
            f"{function.__name__} leaves the range of float64, or is not defined, for these arguments; "
            "take arguments of more moderate size"
        )

    return kept


def _rules(function: Callable[..., Any]) -> dict[str, Callable[[str, Any], Any]]:
    """The rule of each argument, by name; ``None`` passes where the annotation says so."""
    hints = get_type_hints(function, include_extras=True)
    return {name: _rule(hint) for name, hint in hints.items() if name != "return"}


def _rule(hint: Any) -> Callable[[str, Any], Any]:
    if hasattr(hint, "__metadata__"):
        rule: Callable[[str, Any], Any] = hint.__metadata__[0]
        return rule
    inner = next(_rule(part) for part in get_args(hint) if part is not type(None))
    return lambda name, value: None if value is None else inner(name, value)


def _finite(result: Any) -> bool:
    """Whether all numbers of a result are finite, a tuple of them too."""
    if isinstance(result, tuple):
        return all(map(_finite, result))
    return bool(np.isfinite(result).all())
