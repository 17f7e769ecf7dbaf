"""A door for users of scikit-learn: shallow networks trained by JKO steps, as a regressor and a classifier.

This module alone of the package imports scikit-learn when it is loaded.
"""

try:
    import sklearn  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "jko.estimators needs scikit-learn, which is not installed: pip install 'jko[data]'"
    ) from missing

from jko.estimators.classifier import JKOClassifier
from jko.estimators.regressor import JKORegressor

__all__ = ["JKOClassifier", "JKORegressor"]
