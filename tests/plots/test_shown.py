"""A figure is shown where the program runs: in a file beside a script, below the cell of a notebook."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.image import imread

from jko import plots


@pytest.fixture
def figure():
    return plots.canvas(1, 1, (2, 1))[0]


@pytest.mark.parametrize(
    ("told", "where"), [([], "."), (["a/b"], "a/b"), (["-f", "kernel.json"], ".")]
)
def test_a_script_writes_into_the_folder_that_it_is_told(
    figure, told, where, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["line.py", *told])
    plots.show(figure, "line")
    path = Path(capsys.readouterr().err.strip())
    assert path.resolve() == (tmp_path / where / "line.png").resolve()
    assert imread(path).std() > 0


def test_a_notebook_displays_the_picture_and_writes_no_file(figure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = []
    cell = SimpleNamespace(display=shown.append, Image=lambda png, width: png)
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None), display=cell)
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    plots.show(figure, "line")
    assert shown[0].startswith(b"\x89PNG")
    assert not list(tmp_path.iterdir())


def test_what_stands_beyond_the_figure_is_in_the_picture(figure, tmp_path):
    figure.axes[0].annotate("far out", (1, 1), (1.5, 1.5), xycoords="axes fraction")
    pixels = imread(plots.write(figure, tmp_path / "wide.png"))
    frame = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert pixels.shape[1] > 300
    assert all((edge == edge[0]).all() for edge in frame)
