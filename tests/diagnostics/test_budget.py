"""The error budget against errors that are known, one by one."""

import math

import numpy as np
import pytest
import torch

import jko


def run(tau, M, cells):
    """The mean after time one under V = x^2/2, times a quadrature of the data, times the energy of a density."""
    mean = float(jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=tau, t1=1.0,
                          solver=jko.LBFGS(tol=1e-12)).final.points)  # fmt: skip
    x = torch.from_numpy((np.arange(M) + 0.5) / M)[:, None]
    risk = jko.Risk(jko.Data(x, torch.exp(x[:, 0])), activation=jko.Ridge(torch.tanh))
    square = 2 * float(risk(jko.Particles([[0.0, 0.0, 0.0]])))  # int_0^1 e^{2x}
    edges = np.linspace(-1, 1, cells + 1)
    masses = np.diff(0.75 * (edges - edges**3 / 3))
    rho = jko.GridDensity(jko.Grid((-1.0, 1.0), cells), masses * cells / 2)
    return mean + square + 4 * float(jko.PorousMedium(2)(rho))


LIMIT = math.exp(-1) + (math.exp(2) - 1) / 2 + 4 * 0.3
AT = {"tau": 0.05, "M": 20, "cells": 40}
ORDERS = {"tau": 1, "M": 2, "cells": 2}


def test_each_part_is_what_it_is_known_to_be():
    budget = jko.diagnostics.error_budget(run, AT, ORDERS)
    x = (np.arange(20) + 0.5) / 20
    known = {
        "tau": abs(1.05**-20 - math.exp(-1)),
        "M": abs(np.exp(2 * x).mean() - (math.exp(2) - 1) / 2),
        "cells": abs(run(**AT) - 1.05**-20 - np.exp(2 * x).mean() - 1.2),
    }
    for name, error in known.items():
        assert budget.errors[name] == pytest.approx(error, rel=0.1), name
    assert budget.largest == max(known, key=known.get)
    assert abs(run(**AT) - LIMIT) <= 1.1 * budget.total
    assert "<- refine this" in str(budget)


def test_random_particles_have_order_one_half_by_the_prediction():
    def cloud(N):
        generator = torch.Generator().manual_seed(0)
        return jko.Particles.normal(N, 1, generator=generator)

    budget = jko.diagnostics.error_budget(
        cloud, {"N": 400}, {"N": 0.5}, lambda a, b: abs(float(a.mean() - b.mean()))
    )
    assert 0 < budget.errors["N"] < 10 / 400**0.5


def test_a_parameter_without_an_order_is_refused():
    with pytest.raises(ValueError, match=r"\['M'\] must be in both"):
        jko.diagnostics.error_budget(run, {"tau": 0.1, "M": 3}, {"tau": 1})


def test_it_has_a_picture_and_so_has_a_study_in_another_parameter():
    from jko import plots

    figure, (left, right) = plots.canvas(1, 2)
    plots.budget(jko.diagnostics.ErrorBudget({"tau": 1e-2, "M": 1e-4}, AT, ORDERS), left)
    assert len(left.patches) == 2
    study = jko.convergence(
        lambda h: h**2, 0.0, parameters=[0.2, 0.1, 0.05], norm=lambda a, b: abs(a - b), name="1/M"
    )
    assert np.abs(study.orders - 2).max() < 1e-12
    assert "1/M" in str(study)
    plots.convergence({"quadrature": study}, right, order=2)
    assert right.get_xlabel() == "1/M"
    figure.canvas.draw()
