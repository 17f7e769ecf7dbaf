"""How fast a flow comes to rest: decay laws, the exponent of Lojasiewicz, spectra at rest, the dissipation ratio."""

from jko.diagnostics.rates.bounds import RateBound, proved_ratio
from jko.diagnostics.rates.decay import Decay, decay
from jko.diagnostics.rates.lines import Interval
from jko.diagnostics.rates.lojasiewicz import Lojasiewicz, lojasiewicz
from jko.diagnostics.rates.ratio import DissipationRatio, dissipation_ratio
from jko.diagnostics.rates.spectrum import Spectrum, spectral_gap

__all__ = [
    "Decay",
    "DissipationRatio",
    "Interval",
    "Lojasiewicz",
    "RateBound",
    "Spectrum",
    "decay",
    "dissipation_ratio",
    "lojasiewicz",
    "proved_ratio",
    "spectral_gap",
]
