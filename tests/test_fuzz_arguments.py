"""Whatever is passed to a public callable, it answers or refuses with a sentence of its own."""

import warnings

import pytest
from fuzz import examples
from fuzz.arguments import ODD, good, public, signature
from fuzz.verdicts import OutOfTimeError, refused, seconds
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from jko import checks

pytestmark = pytest.mark.fuzz
CALLABLES = public()
CHECKPOINTS = {"checkpoint"}  # would write files named by whatever is passed


@st.composite
def arguments(draw, function):
    """A value for each parameter that is needed, and for some others: odd ones among good ones."""
    positional, named = [], {}
    worst = draw(st.integers(0, 3))
    for parameter in signature(function).parameters.values():
        optional = parameter.default is not parameter.empty
        if (
            parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            or parameter.name in CHECKPOINTS
            or (optional and parameter.name != "steps" and draw(st.integers(0, 3)))
        ):
            continue
        odd = draw(st.integers(0, 3)) < worst
        value = draw(st.sampled_from(ODD))() if odd else good(parameter)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            named[parameter.name] = value
    return positional, named


@pytest.mark.parametrize("name", CALLABLES)
@settings(max_examples=examples(6), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_arguments_are_answered_or_refused_in_a_sentence(name, data):
    positional, named = data.draw(arguments(CALLABLES[name]))
    note(f"{name}({', '.join([*map(checks.shown, positional), *_named(named)])})")
    with warnings.catch_warnings(), seconds(20):
        warnings.simplefilter("ignore")  # of what was passed; test_fuzz_steps listens
        try:
            refused(lambda: CALLABLES[name](*positional, **named))
        except OutOfTimeError:
            return  # a legal but long computation


def _named(arguments):
    return (f"{name}={checks.shown(value)}" for name, value in arguments.items())
