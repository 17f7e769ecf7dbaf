"""Pictures of classes and of several outputs say what was counted."""

import numpy as np
import pytest

import jko
from jko import plots

RNG = np.random.default_rng(0)


def table_of(ax):
    return {
        (int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text()) for t in ax.texts
    }


@pytest.mark.parametrize("k", [0, 2, 3, 10])
def test_a_confusion_counts_rows_by_class(k):
    ax = plots.canvas()[1][0]
    truth = RNG.choice([-1.0, 1.0], 60) if k == 0 else np.eye(k)[RNG.integers(0, k, 60)]
    output = truth + 0.8 * RNG.standard_normal(truth.shape)
    assert plots.confusion(output, truth, ax) is ax
    meant, said = ((v > 0).astype(int) if k == 0 else v.argmax(1) for v in (truth, output))
    counted = {}
    for pair in zip(meant.tolist(), said.tolist(), strict=True):
        counted[pair] = counted.get(pair, 0) + 1
    assert table_of(ax) == counted
    right = int((meant == said).sum())
    assert ax.get_title() == f"{right} of 60 right, {right / 60:.1%}"
    ax.figure.draw_without_rendering()


def test_a_map_is_of_the_class_that_is_likeliest():
    ax = plots.canvas()[1][0]
    x = RNG.uniform(-1, 1, (40, 2))
    truth = np.stack([x[:, 0] < 0, x[:, 0] >= 0], axis=1).astype(float)

    def predict(points):
        y = np.stack([-9 * points[:, 0], 9 * points[:, 0]], 1)
        return jko.Logistic().probabilities(jko.Data(points, y).f)

    plots.decision_map(predict, x, truth, ax, ["left", "right"])
    image = ax.images[0].get_array()
    assert image[:, 0, 2].mean() > image[:, 0, 0].mean()  # blue, then red
    assert image[:, -1, 0].mean() > image[:, -1, 2].mean()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [f"left ({(x[:, 0] < 0).sum()})", f"right ({(x[:, 0] >= 0).sum()})"]
    ax.figure.draw_without_rendering()


def test_each_output_has_a_panel():
    axes = plots.canvas(1, 2)[1]
    f = RNG.standard_normal((9, 2))
    plots.outputs_against_true({"train": f + 0.1}, {"train": f}, axes, ["a", "b"])
    for j, ax in enumerate(axes):
        points = np.asarray(ax.collections[0].get_offsets())
        assert np.allclose(points, np.stack([f[:, j], f[:, j] + 0.1], 1))
        assert ax.get_xlabel() == f"{'ab'[j]}, true"
