"""Least squares with a residual."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Coefficients of some functions, and the share of the values that they leave over.

    Args:
        coefficients: one a function.
        residual: the norm of what is left over that of the values.
    """

    coefficients: tuple[float, ...]
    residual: float


def fit(values: Array, *functions: Array) -> Fit:
    """Values as a sum of functions with coefficients.

    >>> fit(np.array([1.0, 3.0, 5.0]), np.ones(3), np.arange(3.0)).coefficients
    (1.0, 2.0)
    """
    design = np.stack([function.ravel() for function in functions], 1)
    # functions of much different sizes would cost digits
    sizes = np.linalg.norm(design, axis=0)
    sizes[sizes == 0] = 1.0
    solution = np.linalg.lstsq(design / sizes, values.ravel(), rcond=1e-13)[0]
    left = values.ravel() - design / sizes @ solution
    norm = float(np.linalg.norm(values - values.mean()))
    coefficients = tuple(float(f"{value:.12g}") for value in solution / sizes)
    return Fit(coefficients, float(np.linalg.norm(left)) / norm if norm else 0.0)
