"""What a training run leaves behind: a summary, a table on the screen, and a folder of files and pictures."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import jko
from jko.cli.folder import FILES, Folder
from jko.cli.job import Job, confusion, said, score, score_name
from jko.cli.versions import versions
from jko.measures import State
from jko.metrics import Proof
from jko.storage.places import write_text

Summary = dict[str, Any]

MANY = 12  # names in a line of the table
ROUNDING = 1e-12  # of an energy; a difference below it says nothing


def summary(job: Job, trajectory: jko.Trajectory, seconds: float) -> Summary:
    """Everything worth knowing, in numbers that JSON can hold: where there is none, null and a reason."""
    final, columns = trajectory.final, trajectory.columns
    held_out = job.split.test
    test = None if held_out is None else score(job, final, held_out)
    return {
        "data": _data(job),
        "settings": asdict(job.settings),
        "status": trajectory.status.name,
        "steps": len(trajectory.times) - 1,
        "evaluations": int(columns["evaluations"].sum()),
        "cpu_seconds": seconds,
        "risk": float(job.risk(final)),
        "score": score_name(job),
        "train_score": score(job, final, job.split.train),
        "test_score": test,
        "test_score_reason": None if test is not None else _no_score(job),
        "confusion": _confusion(job, final) if job.table.classes else None,
        "smallest_slack": float(trajectory.slacks.min()),
        "certificates": _certificates(trajectory),
        **_optimality(job, final),
        "times": trajectory.times.tolist(),
        "energies": trajectory.energies.tolist(),
        "costs": trajectory.costs.tolist(),
        "slacks": trajectory.slacks.tolist(),
        "residuals": trajectory.residuals.tolist(),
        "versions": versions(),
    }


def _confusion(job: Job, state: State) -> Summary:
    """Who was taken for whom, among the rows that tell the score."""
    rows, data = job.scored
    return {"rows": rows, "counts": confusion(job.model, *said(job, state, data)).tolist()}


def _no_score(job: Job) -> str:
    if job.split.test is None:
        return "no row was held out (--test-fraction 0)"
    return "R2 needs test targets that differ"


def as_json(summary: Summary) -> str:
    """One JSON object; NaN and infinity are no JSON and are refused."""
    return json.dumps(summary, indent=1, allow_nan=False)


def _data(job: Job) -> Summary:
    table, split = job.table, job.split
    return {
        "name": table.name,
        "rows": len(table.f),
        "train_rows": split.train.M,
        "test_rows": len(split.test_rows),
        "columns": {rule.column: rule.said for rule in table.recipe},
        "inputs": list(split.scaling.columns),
        "dropped": list(split.scaling.dropped),
        "left_out": list(table.left_out),
        "notes": list(table.notes),
        "targets": list(table.target.columns),
        "classes": None if table.classes is None else list(table.classes),
    }


def _certificates(trajectory: jko.Trajectory) -> Summary:
    """How many couplings were examined, and proved optimal in which way."""
    proofs = dict(Counter(str(name) for name in trajectory.columns["proofs"]))
    proved = proofs.keys().isdisjoint({Proof.NONE.name, Proof.NOT_EXAMINED.name})
    return {
        "all_certified": trajectory.status.ok and proved,
        "proofs": proofs,
        "largest_bound": float(trajectory.columns["bounds"].max()),
    }


def _optimality(job: Job, state: State) -> Summary:
    """The gap to the global minimum: (4.9)-(4.10)."""
    began = time.process_time()
    found = jko.optimality(job.energy, state)
    return {
        "optimality_gap": _finite(found.value),
        "optimality_lower_bound": _finite(found.lower_bound),
        "optimality_reachable": _finite(found.reachable),
        "optimality_rigorous": bool(found.rigorous),
        "optimality_reason": found.reason,
        "optimality_cpu_seconds": time.process_time() - began,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def table(summary: Summary, folder: Folder | None) -> list[str]:
    """The summary as the lines of a table."""
    data, settings = summary["data"], summary["settings"]
    kind = f"classes {listed(data['classes'])} of" if data["classes"] else "values of"
    inputs = f"{len(data['inputs'])} inputs"
    if data["dropped"]:
        inputs += f" ({len(data['dropped'])} constant left out: {listed(data['dropped'], ', ')})"
    metric = {"measure": "F with W2", "graph": "G with D"}[settings["formulation"]]
    share = "{:.1%}" if summary["score"] == "accuracy" else "{:.3f}"
    test = (
        share.format(summary["test_score"])
        if summary["test_score"] is not None
        else summary["test_score_reason"]
    )
    rows = {
        "data": f"{data['name']}: {data['train_rows']} rows to train, {data['test_rows']} to test, {inputs}",
        "target": f"{kind} {', '.join(data['targets'])}",
        "network": f"{settings['neurons']} {settings['activation']} neurons; {metric}{_special(settings)}",
        "steps": f"{summary['steps']} to t = {summary['times'][-1]:g}, {summary['evaluations']} evaluations",
        "energy": f"{summary['energies'][0]:.5g} -> {summary['energies'][-1]:.5g}",
        "risk": f"{summary['risk']:.5g}",
        f"test {summary['score']}": f"{test} (training {share.format(summary['train_score'])})",
        "CPU seconds": f"{summary['cpu_seconds']:.2f}",
        "smallest slack": f"{summary['smallest_slack']:.2e}",
        "couplings": _couplings(summary["certificates"]),
        "gap to minimum": _gap(summary),
        "": f"{'proved' if summary['optimality_rigorous'] else 'not proved'}: {summary['optimality_reason']}",
    }
    if folder:
        rows["files"] = f"{folder.path}/: {', '.join(folder.written)}{folder.remark}"
    lines = [f"{name:<15} {value}" for name, value in rows.items()]
    return [*lines[:1], *(f"{'columns':<15} {note}" for note in data["notes"]), *lines[1:]]


def listed(names: list[str], by: str = " / ") -> str:
    """The first few names, and how many there are."""
    return by.join(names[:MANY]) + (f"{by}... ({len(names)})" if len(names) > MANY else "")


def _special(settings: Summary) -> str:
    """What is not as it always was."""
    usual = {"loss": "squared", "dtype": "float64", "device": "cpu"}
    words = {"loss": "{} loss", "dtype": "{}", "device": "on {}"}
    return "".join(
        f"; {words[name].format(settings[name])}"
        for name, value in usual.items()
        if settings[name] != value
    )


def _gap(summary: Summary) -> str:
    """How far the energy is from its minimum: a bound where it is proved, else what is sure, and an estimate."""
    gap = summary["optimality_gap"]
    if gap is None:
        return "unknown"
    if summary["optimality_rigorous"]:
        return f"at most {gap:.3g}, above the lower bound {summary['optimality_lower_bound']:.5g}"
    reachable = summary["optimality_reachable"]
    size = summary["energies"][-1]
    sure = 0.0 if reachable is None else size - reachable
    return f"estimated {gap:.3g}, no bound" + (
        f"; at least {sure:.3g}" if sure > ROUNDING * size else ""
    )


def _couplings(certificates: Summary) -> str:
    proofs, unexamined = certificates["proofs"], Proof.NOT_EXAMINED
    if proofs.keys() == {unexamined.name}:
        return f"{unexamined.value} (--examine)"
    verdict = "all certified" if certificates["all_certified"] else "NOT all certified"
    how = {unexamined.name: "not examined"}
    found = (f"{count} {how.get(name, f'by {name.lower()}')}" for name, count in proofs.items())
    return f"{verdict}: {', '.join(found)}"


def write(folder: Folder, summary: Summary, job: Job, trajectory: jko.Trajectory) -> None:
    """Write summary and pictures."""
    try:
        from jko.cli import pictures

        pictures.energy(summary, trajectory, folder.path / "energy.png")
        pictures.prediction(job, trajectory.final, folder.path / "prediction.png")
        folder.written += FILES[3:]
    except ImportError as error:
        folder.remark = f"; no pictures ({error}; pip install 'jko[plots]')"
    write_text(folder.path / FILES[2], as_json(summary) + "\n")
    folder.written[1:1] = FILES[1:3]
