"""Old names work, warn at the line that uses them, and say what to write."""

import copy
import pickle
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from jko.deprecation import Former, by_name, moved, renamed


@renamed(max_steps="max_iterations")
def minimise(energy, *, max_iterations=5):
    return energy, max_iterations


@renamed(rounds="max_iterations")
@dataclass(frozen=True)
class Search:
    tol: float = 1e-8
    max_iterations: int = 5


class Order:
    parameters = (1, 2)
    taus = Former("parameters")


def test_an_argument_is_taken_under_both_names():
    assert minimise("E", max_iterations=3) == ("E", 3)
    with pytest.warns(
        DeprecationWarning, match="argument max_steps of minimise is now max_it"
    ) as w:
        assert minimise("E", max_steps=3) == ("E", 3)
    assert w[0].filename == __file__


@by_name(1, "metric", "tol")
def distance(a, *, metric=None, tol=0.0):
    return a, metric, tol


def test_an_argument_that_is_given_by_name_is_taken_by_its_place():
    assert distance(1, metric="W2", tol=1.0) == (1, "W2", 1.0)
    with pytest.warns(
        DeprecationWarning, match=r"argument 2 of distance is now metric=\.\.\."
    ) as w:
        assert distance(1, "W2", tol=1.0) == (1, "W2", 1.0)
    assert w[0].filename == __file__
    with pytest.raises(TypeError):
        distance(1, 2, 3, 4)
    with pytest.raises(TypeError):
        distance(1, 2, metric=3)


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="minimise takes max_iterations once"):
        minimise("E", max_iterations=3, max_steps=3)


def test_a_field_is_taken_and_read_under_both_names():
    with pytest.warns(DeprecationWarning, match="argument rounds of Search") as w:
        search = Search(rounds=3)
    assert w[0].filename == __file__
    assert search == Search(max_iterations=3)
    assert repr(search).endswith("Search(tol=1e-08, max_iterations=3)")
    with pytest.warns(DeprecationWarning, match=r"Search\.rounds is now max_iterations") as w:
        assert search.rounds == 3
    assert w[0].filename == __file__
    assert pickle.loads(pickle.dumps(Search())) == copy.copy(Search()) == Search()


def test_an_attribute_is_read_under_both_names():
    with pytest.warns(DeprecationWarning, match=r"Order\.taus is now parameters"):
        assert Order().taus == (1, 2)
    assert not hasattr(Order, "taus")


def test_a_name_of_a_module_moves(monkeypatch):
    module = ModuleType("old")
    module.__getattr__ = moved("old", sleep="time.sleep")
    monkeypatch.setitem(sys.modules, "old", module)
    with pytest.warns(
        DeprecationWarning, match=r"old\.sleep is now time\.sleep; .* goes in version"
    ) as w:
        from old import sleep
    assert w[0].filename == __file__
    import time

    assert sleep is time.sleep
    with pytest.raises(AttributeError, match="module 'old' has no attribute 'wake'"):
        module.wake  # noqa: B018
