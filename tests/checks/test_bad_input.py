"""Bad input is a sentence that names the argument, its value, the rule and the remedy."""

import numpy as np
import pytest
import torch

import jko

nan = float("nan")
two = [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0]]


def data():
    return jko.Data([[0.0], [1.0]], [1.0, -1.0])


def risk():
    return jko.Risk(data(), activation=jko.Ridge(torch.tanh))


CASES = {
    "points of one dimension": (
        lambda: jko.Particles([1.0, 2.0]),
        ValueError,
        r"points has shape \(2,\).*\(N, dim\)",
    ),
    "no points": (
        lambda: jko.Particles(np.zeros((0, 3))),
        ValueError,
        r"points is empty.*at least one",
    ),
    "points not finite": (
        lambda: jko.Particles([[nan, 1.0]]),
        ValueError,
        r"points has 1 entries that are not finite",
    ),
    "points of text": (
        lambda: jko.Particles([["a"]]),
        TypeError,
        r"points must be a tensor, an array",
    ),
    "complex points": (
        lambda: jko.Particles(torch.ones(1, 1, dtype=torch.complex128)),
        TypeError,
        r"complex",
    ),
    "half precision": (
        lambda: jko.Particles(torch.ones(1, 1, dtype=torch.float16)),
        TypeError,
        r"float16.*float64",
    ),
    "number of weights": (
        lambda: jko.Particles(two, [1.0]),
        ValueError,
        r"weights has shape \(1,\).*\(2,\)",
    ),
    "negative weight": (
        lambda: jko.Particles(two, [1.5, -0.5]),
        ValueError,
        r"weights\[1\] = -0\.5.*positive.*drop",
    ),
    "zero weight": (
        lambda: jko.Particles(two, [1.0, 0.0]),
        ValueError,
        r"weights\[1\] = 0;.*drop atoms of weight zero",
    ),
    "mass not one": (
        lambda: jko.Particles(two, [1.0, 1.0]),
        ValueError,
        r"sums to 2;.*weights / weights\.sum\(\)",
    ),
    "mixed dtypes": (
        lambda: jko.Particles(torch.ones(2, 1), torch.ones(2, dtype=torch.float64) / 2),
        ValueError,
        r"weights has dtype torch\.float64 but the points has dtype torch\.float32",
    ),
    "mixed devices": (
        lambda: jko.Particles(torch.ones(2, 1), torch.ones(2, device="meta") / 2),
        ValueError,
        r"weights has device meta but the points has device cpu.*\.to\('cpu'\)",
    ),
    "state and data of two dtypes": (
        lambda: jko.step(risk(), jko.Particles(torch.ones(2, 3)), tau=1.0),
        ValueError,
        r"points of the state has dtype torch\.float32 but the data x has dtype torch\.float64",
    ),
    "atoms outside the box": (
        lambda: jko.Particles([[2.0]], domain=jko.Box(0.0, 1.0)),
        ValueError,
        r"1 of the points lie outside.*by 1 \(row 0\).*domain\.project",
    ),
    "domain of another dimension": (
        lambda: jko.Particles([[0.5, 0.5]], domain=jko.Box(0.0, 1.0)),
        ValueError,
        r"2 coordinates but the domain .* has dim 1",
    ),
    "domain of another kind": (
        lambda: jko.Particles([[0.5]], domain=(0, 1)),
        TypeError,
        r"domain must be Domain.*jko\.Box",
    ),
    "empty box": (lambda: jko.Box(1.0, 0.0), ValueError, r"lower\[0\] = 1 and upper\[0\] = 0"),
    "ball without radius": (lambda: jko.Ball([0.0], 0.0), ValueError, r"radius = 0\.0.*> 0"),
    "number of charges": (
        lambda: jko.ChargedParticles(two, [1.0]),
        ValueError,
        r"H has shape \(1,\)",
    ),
    "infinite charge": (
        lambda: jko.ChargedParticles([[0.0]], [np.inf]),
        ValueError,
        r"H has 1 entries",
    ),
    "project without theta": (
        lambda: jko.Particles([[1.0]]).project(),
        ValueError,
        r"one coordinate.*at least two",
    ),
    "empty data": (lambda: jko.Data(np.zeros((0, 2)), np.zeros(0)), ValueError, r"x is empty"),
    "data of two lengths": (
        lambda: jko.Data([[0.0], [1.0]], [1.0]),
        ValueError,
        r"f has shape \(1,\).*\(2,\)",
    ),
    "missing value": (lambda: jko.Data([[nan]], [1.0]), ValueError, r"x has 1 entries.*not finite"),
    "quadrature not positive": (
        lambda: jko.Data([[0.0]], [1.0], [0.0]),
        ValueError,
        r"weights\[0\] = 0; quadrature",
    ),
    "no activation": (
        lambda: jko.Risk(data()),
        TypeError,
        r"exactly one of activation.*got neither",
    ),
    "two activations": (
        lambda: jko.Risk(data(), jko.Ridge(torch.tanh), lambda z, x: z),
        TypeError,
        r"got both",
    ),
    "activation by name": (
        lambda: jko.Risk(data(), activation="tanh"),
        TypeError,
        r"activation must be jko\.Ridge",
    ),
    "data by tuple": (
        lambda: jko.Risk(([[0.0]], [1.0]), jko.Ridge(torch.tanh)),
        TypeError,
        r"data must be Data.*jko\.Data",
    ),
    "callable of a wrong shape": (
        lambda: jko.Risk(data(), activation=lambda theta, x: theta[:, :1])(jko.Particles(two)),
        ValueError,
        r"feature callable '<lambda>' returned shape \(1, 1\); it must return shape \(1, 2\)",
    ),
    "callable that returns numpy": (
        lambda: jko.Risk(data(), features=lambda xi, x: xi.numpy())(jko.Particles(two)),
        TypeError,
        r"returned ndarray; it must return a torch tensor",
    ),
    "potential of a wrong shape": (
        lambda: jko.step(jko.Potential(lambda xi: xi), jko.Particles([[1.0, 2.0]]), tau=1.0),
        ValueError,
        r"the potential V returned shape \(1, 2\); it must return shape \(1,\)",
    ),
    "theta of a wrong dimension": (
        lambda: jko.step(risk(), jko.Particles([[1.0, 2.0]]), tau=1.0),
        ValueError,
        r"theta has 1 coordinates.*d = n \+ 1 = 2.*need 3 columns",
    ),
    "bump without width": (lambda: jko.GaussianBump(0.0), ValueError, r"width = 0\.0.*> 0"),
    "power below one": (lambda: jko.energies.PowerNorm(0.5), ValueError, r"p = 0\.5.*p >= 1"),
    "porous medium of order one": (
        lambda: jko.PorousMedium(1.0),
        ValueError,
        r"m = 1\.0 divides by zero; .*jko\.Entropy\(\)",
    ),
    "porous medium of order zero": (lambda: jko.PorousMedium(0.0), ValueError, r"m = 0.*> 0"),
    "entropy of atoms": (
        lambda: jko.step(jko.Entropy(), jko.Particles(two), tau=1.0),
        TypeError,
        r"Entropy of Particles is \+inf: atoms have no density.*Use jko.GridDensity",
    ),
    "porous medium of atoms": (
        lambda: jko.PorousMedium()(jko.Particles(two)),
        TypeError,
        r"PorousMedium of Particles is \+inf",
    ),
    "coefficient": (lambda: nan * jko.SquaredNorm(), ValueError, r"coefficient of an energy = nan"),
    "tau zero": (
        lambda: jko.step(risk(), jko.Particles(two), tau=0.0),
        ValueError,
        r"tau = 0\.0.*> 0",
    ),
    "tau negative": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=-1, steps=1),
        ValueError,
        r"tau = -1.*> 0",
    ),
    "tau of text": (
        lambda: jko.step(risk(), jko.Particles(two), tau="big"),
        TypeError,
        r"tau must be a number, not str",
    ),
    "tau of a step": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=lambda k: -k, steps=2),
        ValueError,
        r"tau\(0\) = 0.*> 0",
    ),
    "neither t1 nor steps": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=1.0),
        TypeError,
        r"exactly one of t1.*and steps",
    ),
    "steps not whole": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=1.0, steps=1.5),
        TypeError,
        r"steps must be a whole number",
    ),
    "save zero": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=1.0, steps=1, save=0),
        ValueError,
        r"save = 0.*at least 1",
    ),
    "t1 in the past": (
        lambda: jko.flow(risk(), jko.Particles(two), tau=1.0, t1=-1.0),
        ValueError,
        r"t1 = -1 lies before",
    ),
    "energy of another kind": (
        lambda: jko.step(torch.sin, jko.Particles(two), tau=1.0),
        TypeError,
        r"energy must be Energy.*jko\.Risk",
    ),
    "state of another kind": (
        lambda: jko.step(risk(), two, tau=1.0),
        TypeError,
        r"the state must be Particles or ChargedParticles",
    ),
    "metric of another state": (
        lambda: jko.step(risk(), jko.Particles(two), tau=1.0, metric=jko.GraphWasserstein()),
        TypeError,
        r"metric must be Wasserstein, not GraphWasserstein.*Particles moves in",
    ),
    "solver by name": (
        lambda: jko.step(risk(), jko.Particles(two), tau=1.0, solver="lbfgs"),
        TypeError,
        r"solver must have a method solve",
    ),
    "tolerance": (lambda: jko.LBFGS(tol=0.0), ValueError, r"tol = 0\.0.*> 0"),
    "fraction": (lambda: jko.LBFGS(fraction=0.0), ValueError, r"fraction = 0\.0.*> 0"),
    "barred operators of general features": (
        lambda: jko.Risk(data(), features=lambda xi, x: xi[:, :1] * x[:, 0]).Sbar(torch.ones(1, 1)),
        TypeError,
        r"general features.*need activation",
    ),
    "prediction on other inputs": (
        lambda: risk().predict(jko.Particles(two), [[1.0, 2.0]]),
        ValueError,
        r"x has shape \(1, 2\)",
    ),
    "uniform on an unbounded box": (
        lambda: jko.Particles.uniform(3, jko.Box(0.0, float("inf")), generator=torch.Generator()),
        ValueError,
        r"unbounded; a uniform law needs finite bounds",
    ),
    "distance of two kinds": (
        lambda: jko.distance(jko.Particles([[1.0, 0.0]]), jko.ChargedParticles([[0.0]], [1.0])),
        TypeError,
        r"lift\(\)",
    ),
    "numpy projection for Newton": (
        lambda: jko.step(
            jko.SquaredNorm(),
            jko.Particles(
                [[1.0]],
                domain=jko.spaces.Convex(
                    lambda z: torch.from_numpy(z.detach().numpy().clip(0.5, 2))
                ),
            ),
            tau=1.0,
            solver=jko.BlockNewton(),
        ),
        TypeError,
        r"cannot be differentiated by torch.*jko\.LBFGS",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_a_sentence(case):
    act, kind, sentence = CASES[case]
    with pytest.raises(kind, match=sentence) as error:
        act()
    said = str(error.value)
    assert "\n" not in said
    assert len(said.split()) >= 5
