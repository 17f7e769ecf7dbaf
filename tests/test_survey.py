"""The claims of the survey hold at small sizes, and the command line says so."""

import pytest

from jko import survey
from jko.__main__ import main
from jko.survey import Kind, Measurement

ENTRIES = survey.entries()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.module}.{e.name}")
def test_the_claim_holds(entry):
    claim = entry.run(quick=True)
    assert claim.passed, claim.error or claim
    assert (claim.picture is not None) == (
        claim.kind in (Kind.LIMIT, Kind.EXPERIMENT)
    ) or claim.picture


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
    assert {e.equation for e in survey.entries("remark 2.1")} == {"Remark 2.1", "after Remark 2.1"}
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
    monkeypatch.setattr("jko.survey.measuring.entries", lambda only=None: (entry,))
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
