"""Observers refuse what they cannot use when they are made, and a quantity that is no number where it appears."""

import pytest
import torch
from still import Shrink

import jko

MU = jko.Particles([[1.0, 2.0], [-1.0, 0.5]])


def shrink(*observers):
    return jko.flow(
        jko.SquaredNorm(), MU, tau=0.1, steps=4, scheme=Shrink(), observers=list(observers)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: jko.observers.Record(3),
        lambda: jko.Stop(True),
        lambda: jko.observers.Conserved(None),
        lambda: jko.observers.Conserved(lambda state: 1.0, tol="x"),
        lambda: jko.Progress(more={}),
        lambda: jko.Progress(stream="out.txt"),
        lambda: jko.SteadyState("slow"),
    ],
)
def test_a_wrong_kind_is_refused_when_the_observer_is_made(make):
    with pytest.raises(TypeError, match=r"must (be (a function|an object|a number)|have)"):
        make()


@pytest.mark.parametrize(
    ("quantity", "kind", "sentence"),
    [
        (lambda state: torch.tensor(float("nan")), ValueError, "not finite"),
        (lambda state: None, TypeError, "the conserved quantity must be"),
        (lambda state: "mean", TypeError, "the conserved quantity must be"),
        (lambda state: torch.zeros(0), ValueError, "count does not change"),
        (lambda state: torch.zeros(2 + int(state.points[0, 0] < 0.999)), ValueError, "count does"),
        (lambda state: state.points.sum(), ValueError, "drifted by"),
    ],
)
def test_what_is_not_conserved_ends_the_flow_with_a_sentence_and_its_trajectory(
    quantity, kind, sentence
):
    with pytest.raises(kind, match=sentence) as raised:
        shrink(jko.observers.Conserved(quantity, tol=1e-9))
    assert len(raised.value.trajectory.times) > 1


def test_progress_without_a_console_is_silent(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert len(shrink(jko.Progress()).times) == 5


def test_a_log_gets_a_line_now_and_then_with_the_time_left():
    import io

    def written(**options):
        log = io.StringIO()
        watch = jko.Progress(stream=log, **options)
        jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, steps=5, observers=[watch])
        return log.getvalue()

    lines = written(every=0, until=0.5).splitlines()
    assert len(lines) == 5
    assert all("\x1b" not in line and "energy" in line for line in lines)
    assert all("left" in line for line in lines[:4])
    assert written(every=1000) == ""


def test_a_bar_is_moved_once_a_step():
    class Bar:
        moved, said = 0, ()

        def update(self):
            self.moved += 1

        def set_postfix(self, figures):
            self.said = tuple(figures)

    bar = Bar()
    watch = jko.Progress(bar=bar)
    jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1, steps=3, observers=[watch])
    assert bar.moved == 3
    assert bar.said == ("energy", "cost", "slack")
