"""A Sphinx extension: the pages of the reference, from the public names, in reading order."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_origin

import jko


class Group(NamedTuple):
    """A page of the reference: what it is about, in a sentence, and the modules whose public names stand on it."""

    title: str
    about: str
    modules: tuple[str, ...]


GROUPS = {
    "measures": Group(
        "States",
        "Probability measures: atoms, densities on cells, pairs :math:`(\\rho, H)`.",
        ("jko.measures",),
    ),
    "spaces": Group("Spaces", "Where the mass may be: convex sets, and grids.", ("jko.spaces",)),
    "networks": Group(
        "Networks and data",
        "Data :math:`(x, f)` as a quadrature, activations :math:`h(\\theta, x)`, and neurons :math:`\\Phi(\\xi, x)`.",
        ("jko.networks", "jko.datasets"),
    ),
    "energies": Group(
        "Energies",
        "Functionals of a measure, with first variation :math:`\\delta E / \\delta\\mu` and its gradient.",
        ("jko.energies",),
    ),
    "targets": Group(
        "Towards a target",
        "Energies with a minimum at a measure that is given: by samples, by a density, by a state.",
        ("jko.targets",),
    ),
    "metrics": Group(
        "Metrics",
        "Distances between states, with plans, proofs, geodesics and barycentres.",
        ("jko.metrics",),
    ),
    "steps": Group(
        "Steps and solvers",
        "One step: the minimiser of :math:`E(\\mu) + d(\\mu, \\mu_k)^2 / 2\\tau`, and what finds it.",
        ("jko.steps", "jko.status"),
    ),
    "flows": Group(
        "Flows, schemes, observers",
        "Step after step, with a ledger of what each one proved; saved, resumed, watched.",
        ("jko.flows", "jko.trajectory", "jko.schemes", "jko.observers", "jko.storage"),
    ),
    "diagnostics": Group(
        "Questions and bounds",
        "What can be asked of a state, a step or a run: orders, optimality, identities, lower bounds.",
        ("jko.diagnostics", "jko.duality"),
    ),
    "limits": Group(
        "Limits",
        "Where steps should go as :math:`\\tau \\to 0`, by integrators that share no code with them.",
        ("jko.limits",),
    ),
    "snapshots": Group(
        "The energy behind data",
        "A potential from snapshots of its flow.",
        ("jko.snapshots",),
    ),
    "exact": Group(
        "Closed forms", "Steps, flows, minima and distances that are known exactly.", ("jko.exact",)
    ),
    "plots": Group("Pictures", "Axes in, axes out.", ("jko.plots",)),
    "doors": Group(
        "Doors to torch and scikit-learn",
        "The scheme as an optimiser of torch, and as estimators of scikit-learn; saved runs that predict.",
        ("jko.optim", "jko.estimators", "jko.runs"),
    ),
    "testing": Group(
        "Checks for your own classes",
        "Does an energy, a metric, a solver or a state of one's own keep its promises?",
        ("jko.testing",),
    ),
    "distributed": Group(
        "Several processes", "States whose atoms lie in several processes.", ("jko.distributed",)
    ),
    "survey": Group("The survey, measured", "Claims that run.", ("jko.survey",)),
}


BESIDES = {
    "jko.observers": "Conserved Record",
}  # public names of modules without ``__all__``, but for the front door's


def there(name: str) -> bool:
    """Whether a module is there: some come later than their row above."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return False
    return True


def public(module: str) -> list[str]:
    """The full public names of a module in reading order; what stands at the front door is called by it."""
    found = import_module(module)
    names = getattr(found, "__all__", None)
    if names is None:  # a module of one idea
        names = [*jko._HOMES.get(module, "").split(), *BESIDES.get(module, "").split()]
    # aliases of types, such as Memory, are for signatures
    names = [name for name in names if get_origin(getattr(found, name)) is None]
    top = {name for home, row in jko._HOMES.items() if home != "jko" for name in row.split()}
    front = {name for name in top & set(names) if getattr(jko, name) is getattr(found, name)}
    return [f"jko.{name}" if name in front else f"{module}.{name}" for name in names]


def names(group: Group) -> list[str]:
    """The names of a page, each once: first those at the front door."""
    found = [name for module in group.modules if there(module) for name in public(module)]
    return sorted(dict.fromkeys(found), key=lambda name: name.count(".") > 1)


def page(group: Group) -> str:
    """A page in reStructuredText: a table by autosummary for the front door, and one for each module behind it."""
    lines = [group.title, "=" * len(group.title), "", group.about, ""]
    by_home: dict[str, list[str]] = {}
    for name in names(group):
        by_home.setdefault(name.rpartition(".")[0], []).append(name)
    for home, members in by_home.items():
        title = "At the front door" if home == "jko" else f"In ``{home}``"
        if len(by_home) > 1:
            lines += [title, "-" * len(title), ""]
        if home != "jko":
            lines += [first_sentence(home), ""]
        lines += [".. autosummary::", "   :toctree: api", "   :nosignatures:", ""]
        lines += [*(f"   {name}" for name in members), ""]
    return "\n".join(lines)


def first_sentence(module: str) -> str:
    """What a module says it is."""
    return (import_module(module).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def write(app: Any, config: Any) -> None:
    """Write the pages, and the index of them; what has not changed is left alone."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    shown = {key: group for key, group in GROUPS.items() if any(map(there, group.modules))}
    pages = {key: page(group) for key, group in shown.items()}
    rows = [f":doc:`{group.title} <{key}>`\n   {group.about}\n" for key, group in shown.items()]
    title = "Reference"
    toc = [".. toctree::", "   :hidden:", "", *(f"   {key}" for key in pages), ""]
    pages["index"] = "\n".join([title, "=" * len(title), "", INTRODUCTION, "", *rows, "", *toc])
    listed = {name for group in shown.values() for name in names(group)}
    for former in (folder / "api").glob("*.rst"):  # of names that are no more
        if former.stem not in listed:
            former.unlink()
    for key, text in pages.items():
        path = folder / f"{key}.rst"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    config.autosummary_generate = [str(folder / f"{key}.rst") for key in shown]


INTRODUCTION = """Every public name, in reading order: state, energy, metric, step, flow, and what to hold them against.
Names such as ``jko.Particles`` stand at the front door, ``import jko`` is all they need; others are asked of their
module, such as ``jko.metrics.barycentre``.  Every page ends in an example that runs with the tests."""


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx; autosummary looks for its tables after this."""
    app.connect("config-inited", write)
    return {"parallel_read_safe": True}
