"""Two hidden layers as N1 and N2 grow: orders of ``sup_t |f_{N1, N2} - f|`` from 4 to 256 neurons.

Run: ``python benchmarks/layers.py`` (a minute).  Its lines stand in docs/two_layers.md.
"""

import time

import torch

import jko

SIZES = (4, 8, 16, 32, 64, 128, 256)


def law(noise: float) -> jko.measures.LayerKernels:
    return jko.measures.LayerKernels(
        theta=lambda u: 4 * u - 2,
        b=lambda u, v: (3 * torch.sin(3 * u - 2 * v) + v)[..., 0],
        w=lambda v: 4 * v[:, 0] - 1,
        noise=noise,
    )


if __name__ == "__main__":
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    F = jko.energies.TwoLayerRisk(jko.Data(x, torch.sin(2 * x[:, 0]))) + 1e-3 * jko.SquaredNorm()
    for name, noise, N1, N2 in (
        ("N1 = inf", 0.0, None, SIZES),
        ("N2 = inf", 0.0, SIZES, None),
        ("N1 = N2", 0.0, SIZES, SIZES),
        ("N1 = N2, noise 1", 1.0, SIZES, SIZES),
    ):
        began = time.process_time()
        study = jko.diagnostics.layer_study(F, law(noise), t1=4.0, N1=N1, N2=N2, repeats=16)
        spent = time.process_time() - began
        errors = ", ".join(f"{e:.3f}" for e in study.means)
        order, low, high = study.order
        print(f"| {name} | {errors} | {order:.2f} ({low:.2f} to {high:.2f}) |")
        print(f"  largest |f| {study.size:.3f}, doubt {study.doubt:.1e}, {spent:.0f} s")
