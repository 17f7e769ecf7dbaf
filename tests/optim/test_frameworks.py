"""Training loops of other people run ``jko.optim.JKO`` as it is: skorch and Lightning."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import jko

X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
Y = np.sin(3 * X)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))


def losses_of_a_loop(steps: int) -> list[float]:
    """Those after each step of the plain loop."""
    module, x, y, found = network(), torch.from_numpy(X), torch.from_numpy(Y), []
    optimizer = jko.optim.JKO(module.parameters(), lr=100.0)

    def closure():
        loss = nn.functional.mse_loss(module(x), y)
        loss.backward()
        return loss

    for _ in range(steps):
        found.append(float(optimizer.step(closure)))
    return found


def test_skorch_trains_with_it():
    skorch = pytest.importorskip("skorch")
    options = {"batch_size": -1, "train_split": None, "verbose": 0}
    net = skorch.NeuralNetRegressor(
        network(), optimizer=jko.optim.JKO, lr=100.0, max_epochs=6, **options
    )
    net.fit(X, Y)
    assert net.history[:, "train_loss"] == pytest.approx(losses_of_a_loop(6), rel=1e-5)
    assert net.optimizer_.last.slack >= 0
    net = clone(net).set_params(optimizer__lr=1.0, optimizer__neurons=20, max_epochs=1)
    net.fit(X, Y)
    assert net.optimizer_.param_groups[0]["neurons"] == 20
    assert net.score(X, Y) <= 1


def test_lightning_trains_with_it_automatically(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning = pytest.importorskip("lightning")

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net, self.seen = network(), []

            def training_step(self, batch, index):
                return nn.functional.mse_loss(self.net(batch[0]), batch[1])

            def on_train_batch_end(self, *_):
                self.seen.append(self.optimizers().last.before)

            def configure_optimizers(self):
                return jko.optim.JKO(self.parameters(), lr=100.0)

        table = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = lightning.Trainer(
            max_epochs=6, accelerator="cpu", default_root_dir=tmp_path, **quiet
        )
        module = Module()
        trainer.fit(module, torch.utils.data.DataLoader(table, batch_size=len(X)))
        assert module.seen == pytest.approx(losses_of_a_loop(6), rel=1e-5)
        trainer.save_checkpoint(tmp_path / "run.ckpt")
        again = Module()
        more = lightning.Trainer(
            max_epochs=8, accelerator="cpu", default_root_dir=tmp_path, **quiet
        )
        loader = torch.utils.data.DataLoader(table, batch_size=len(X))
        more.fit(again, loader, ckpt_path=tmp_path / "run.ckpt")
        assert again.seen == pytest.approx(losses_of_a_loop(8)[6:], rel=1e-5)
