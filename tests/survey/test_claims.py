"""The claims of the survey hold at small sizes, each would notice if the library were off, and `validate` says so."""

import json
import math
import re
import sys
from dataclasses import replace
from functools import cache

import pytest
from breaking import BREAKS, NOTICED

from jko import survey
from jko.__main__ import main
from jko.cli.survey_page import sentence, write_report
from jko.cli.validate import facts, write_json
from jko.survey import Kind, Measurement
from jko.survey.formulas import plain

ENTRIES = survey.entries()
NAMES = {f"{e.module}.{e.name}": e for e in ENTRIES}
BROKEN = [(name, what) for what, names in NOTICED.items() for name in names.split()]
LONG = {"s22_training.global_minimum", "s22_training.best_networks", "s51_systems.no_rest"}
MEASURED = [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in NAMES]


@cache
def measured(name):
    return NAMES[name].run(quick=True)


@pytest.mark.parametrize("name", MEASURED)
def test_the_claim_holds(name):
    claim = measured(name)
    assert claim.passed, claim.error or claim
    assert (claim.picture is not None) == (
        claim.kind in (Kind.LIMIT, Kind.EXPERIMENT)
    ) or claim.picture


@pytest.mark.parametrize("name", MEASURED)
def test_the_claim_leaves_no_room(name):
    """Off by three tolerances it fails, on either side where it is an equality; and a tolerance is a small part."""
    claim = measured(name)
    found = Measurement(claim.measured, claim.expected, claim.tolerance, claim.printed)
    assert 0 < claim.tolerance <= (0.5 * abs(claim.expected) if claim.expected else 0.05)
    for sign in (1, -1) if claim.kind is not Kind.INEQUALITY else (1,):
        wrong = replace(found, measured=claim.measured + sign * 3 * claim.tolerance)
        assert not wrong.holds(claim.kind)


def test_every_claim_is_watched():
    assert sorted(name for name, _ in BROKEN) == sorted(NAMES)


@pytest.mark.parametrize(
    ("name", "what"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[0] in LONG else []) for case in BROKEN],
)
def test_the_claim_notices_what_is_broken(name, what):
    """Off by a percent, or by a floor under falling errors: the claim fails, by its figures and not by an error."""
    with BREAKS[what]():
        claim = NAMES[name].run(quick=True)
    assert not claim.passed
    assert not claim.error


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.module}.{e.name}")
def test_the_claim_is_a_sentence_with_a_description(entry):
    assert len(entry.statement) > 20
    assert entry.measure.__doc__


def test_a_claim_that_does_not_hold_is_seen():
    wrong = Measurement(1.0, 2.0, 0.5)
    assert not wrong.holds(Kind.IDENTITY)
    assert wrong.holds(Kind.INEQUALITY)
    assert not Measurement(float("nan"), 0.0, 1.0).holds(Kind.INEQUALITY)
    assert not Measurement(1.0, 1.0, 0.1, printed=1.05).holds(Kind.ERRATUM), (
        "as printed it is right too"
    )


def test_only_selects_by_label():
    found = {entry.equation for entry in survey.entries("remark 2.1")}
    assert found == {"Remark 2.1", "after Remark 2.1", "2.2.1, Remark 2.1"}
    with pytest.raises(ValueError, match=r"no claim has '9\.9' in its label; there are \(2\.1\)"):
        survey.entries("9.9")


def test_the_command_prints_a_table_and_writes_a_report(tmp_path, capsys):
    assert main(["validate", "--only", "2.1", "--quick", "--report", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "ok    (2.1)" in out
    page = (tmp_path / "out" / "survey.html").read_text("utf-8")
    assert "data:image/png;base64," in page
    assert "http" not in page


def test_a_failing_claim_makes_the_exit_code_one(monkeypatch, capsys):
    entry = survey.Entry(
        "(0)", "nothing is equal to something", Kind.IDENTITY, lambda quick: Measurement(0, 1, 0.1)
    )
    monkeypatch.setattr(survey, "entries", lambda only=None: (entry,))
    monkeypatch.setattr("jko.survey.claims.entries", lambda only=None: (entry,))
    assert main(["validate"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_a_claim_whose_solver_gives_up_fails_with_its_sentence():
    def measure(quick):
        """Nothing."""
        raise RuntimeError("no minimum was found")

    claim = survey.Entry("(0)", "something is equal to something", Kind.IDENTITY, measure).run()
    assert not claim.passed
    assert claim.error == "RuntimeError: no minimum was found"


def test_an_unknown_label_is_refused_in_one_sentence(capsys):
    assert main(["validate", "--only", "nowhere"]) == 2
    assert "no claim has 'nowhere'" in capsys.readouterr().err


def test_the_list_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(survey, "validate", lambda *arguments, **options: pytest.fail("measured"))
    assert main(["validate", "--list", "--only", "2.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        e.equation.split()[0] for e in survey.entries("2.1")
    ]
    assert all(
        plain(e.statement) in line for e, line in zip(survey.entries("2.1"), lines, strict=True)
    )


def test_the_figures_are_written_as_json(tmp_path):
    path = tmp_path / "figures.json"
    assert main(["validate", "--quick", "--only", "2.1", "--json", str(path)]) == 0
    found = json.loads(path.read_text("utf-8"))
    assert found["quick"] is True
    assert set(found["versions"]) == {"jko", "python", "numpy", "scipy", "torch"}
    assert [c["equation"] for c in found["claims"]] == [e.equation for e in survey.entries("2.1")]
    first = found["claims"][0]
    assert first["function"] == "jko.survey.sections.s21_networks.network"
    assert first["passed"] is True
    assert abs(first["measured"] - first["expected"]) <= first["tolerance"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["", "nowhere/figures.json", "."])
def test_json_that_cannot_be_written_is_refused_before_measuring(
    place, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--only", "2.1", "--json", place]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_what_was_not_measured_is_null_and_not_nan(tmp_path):
    entry = survey.Entry(
        "(0)", "nothing", Kind.IDENTITY, lambda quick: Measurement(math.nan, 1, 0.1)
    )
    write_json([entry], [entry.run()], True, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["claims"][0]["measured"] is None


def test_the_report_says_when_with_what_and_at_which_sizes(tmp_path):
    claim = measured("s21_networks.network")
    quick, full = (
        write_report([claim], tmp_path / "a.html", facts(q)).read_text("utf-8")
        for q in (True, False)
    )
    assert "quick" in quick
    assert "quick" not in full
    for word in ("jko", "python", "numpy", "scipy", "torch"):
        assert re.search(rf"{word} \d+\.\d+", full)
    assert re.search(r"20\d\d-\d\d-\d\dT", full)


def test_formulas_are_set_without_a_script():
    text = sentence(r"$\mu < \frac{1}{2} |x|^2$ & more")
    assert re.fullmatch(r"<math.*</math> &amp; more", text)
    assert all(part in text for part in ("<mfrac>", "<msup>", "&#x003BC;"))
    for entry in ENTRIES:
        words = re.sub(r"<math.*?</math>", "", sentence(entry.statement))
        assert not re.search(r"[\\$_^]|\b(mu|rho|theta|xi|lam|int|grad|tau)\b", words), (
            entry.statement
        )


def test_formulas_are_plain_text_on_a_terminal_and_without_the_converter(monkeypatch):
    said = plain(
        r"$-\int \left|\nabla\psi\right|^2 d\mu \ge \bar V_{\rho, H}^{-1/2}$, $\frac{1}{2\tau} D^2$"
    )
    assert said == "-int |grad psi|^2 dmu >= Vbar_{rho, H}^{-1/2}, 1/(2 tau) D^2"
    for entry in ENTRIES:
        assert not re.search(r"[\\$]|  |[^ -~]", plain(entry.statement)), plain(entry.statement)
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    assert sentence(r"$\mu < 1$") == "mu &lt; 1"
