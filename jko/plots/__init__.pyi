"""What type checkers read of ``jko.plots``; tests/test_front_door.py holds it to the table beside it."""

from jko.plots.atoms import particles as particles, paths as paths
from jko.plots.classes import (
    confusion as confusion,
    decision_map as decision_map,
    outputs_against_true as outputs_against_true,
)
from jko.plots.slopes import (
    contraction as contraction,
    convexity as convexity,
    error_bounds as error_bounds,
    evi as evi,
    maximal_slope as maximal_slope,
    modulus as modulus,
    variational as variational,
)
from jko.plots.couplings import coupling as coupling, geodesic_strip as geodesic_strip
from jko.plots.densities import (
    density as density,
    obstacles as obstacles,
    profiles as profiles,
    slices as slices,
    snapshots as snapshots,
)
from jko.plots.young import fibre_snapshots as fibre_snapshots, fibres as fibres
from jko.plots.flows import (
    budget as budget,
    convergence as convergence,
    energy as energy,
    energy_ledger as energy_ledger,
    proofs as proofs,
)
from jko.plots.growth import smoothness as smoothness
from jko.plots.layers import layer_study as layer_study
from jko.plots.names import NEURONS as NEURONS
from jko.plots.lengths import step_lengths as step_lengths
from jko.plots.normals import ellipse_ways as ellipse_ways, ellipses as ellipses
from jko.plots.overview import animate as animate
from jko.plots.pairs import charges as charges, pair as pair, pair_snapshots as pair_snapshots
from jko.plots.predictions import (
    class_outputs as class_outputs,
    curve as curve,
    predicted_against_true as predicted_against_true,
    roc as roc,
)
from jko.plots.rates import energies as energies, fold as fold, residuals as residuals
from jko.plots.search import gaps as gaps
from jko.plots.rest import (
    chaos as chaos,
    chaos_in_time as chaos_in_time,
    dissipation_ratio as dissipation_ratio,
    lojasiewicz as lojasiewicz,
)
from jko.plots.shown import show as show
from jko.plots.style import (
    BLACK as BLACK,
    BLUE as BLUE,
    GREEN as GREEN,
    GREY as GREY,
    ORANGE as ORANGE,
    RED as RED,
    SKY as SKY,
    canvas as canvas,
    shades as shades,
    write as write,
)
