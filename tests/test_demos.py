"""Every demo runs and leaves a picture with something on it."""

import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))


def test_there_are_demos():
    assert len(DEMOS) >= 3


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_the_demo_draws_its_picture(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(demo), str(tmp_path / "pictures")])
    runpy.run_path(str(demo), run_name="__main__")
    plt.close("all")
    picture = tmp_path / "pictures" / f"{demo.stem}.png"
    assert str(picture) in capsys.readouterr().out
    pixels = imread(picture)
    assert min(pixels.shape[:2]) > 400
    assert pixels[..., :3].std() > 0.02
