"""Energy conservation of a finite cell: normalised kernels in place of the delta function.

Every kernel is cut where it has become small and divided by what is left, so that its integral is 1 whatever the
shape: a truncated Lorentzian that keeps 84 % of its area would scale every linewidth by 0.84.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Protocol

import numpy as np

from ldmd.errors import InputError


def array_namespace(array: Any) -> Any:
    """The library that an array is from: NumPy or ``jax.numpy``, also under a JAX transformation."""
    return np if isinstance(array, (np.ndarray, np.generic)) else array.__array_namespace__()


class Broadening(Protocol):
    """A kernel of angular frequency (rad/ps) with unit integral and finite reach, for NumPy and JAX arrays alike."""

    name: ClassVar[str]

    @property
    def width(self) -> float:
        """The parameter of the kernel, rad/ps."""
        ...

    @property
    def reach(self) -> float:
        """Beyond this distance (rad/ps) the kernel is zero."""
        ...

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        """Kernel in ps/rad at detunings in rad/ps."""
        ...

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """Its derivative with respect to ln(width), ps/rad, where the kernel itself is known."""
        ...


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """exp(-x^2 / 2 s^2) / (s sqrt(2 pi)), with standard deviation s = ``width``, zero beyond ``cut`` of them."""

    width: float
    cut: float = 4.0
    name: ClassVar[str] = "gaussian"

    @property
    def reach(self) -> float:
        """``cut`` standard deviations."""
        return self.cut * self.width

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        height = 1.0 / (self.width * math.sqrt(2.0 * math.pi) * math.erf(self.cut / math.sqrt(2.0)))
        scaled = (detuning * (math.sqrt(0.5) / self.width)) ** 2
        xp = array_namespace(scaled)
        return xp.where(scaled < 0.5 * self.cut**2, height * xp.exp(-scaled), 0.0)

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        return kernel * ((detuning * (1.0 / self.width)) ** 2 - 1.0)


@dataclasses.dataclass(frozen=True)
class Lorentzian:
    """(1 / pi) h / (x^2 + h^2), with half width at half maximum h = ``width``, zero beyond ``cut`` of them."""

    width: float
    cut: float = 20.0
    name: ClassVar[str] = "lorentzian"

    @property
    def reach(self) -> float:
        """``cut`` half widths."""
        return self.cut * self.width

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        area = 2.0 * math.atan(self.cut)
        squared = (detuning / self.width) ** 2
        return (squared < self.cut**2) / (self.width * area * (1.0 + squared))

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        squared = (detuning / self.width) ** 2
        return kernel * (squared - 1.0) / (squared + 1.0)


@dataclasses.dataclass(frozen=True)
class Triangular:
    """(1 - |x| / s) / s within half-width of base s = ``width``: kALDo's kernel for glasses."""

    width: float
    name: ClassVar[str] = "triangular"

    @property
    def reach(self) -> float:
        """The half-width of its base."""
        return self.width

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        xp = array_namespace(detuning)
        return xp.maximum(0.0, 1.0 - abs(detuning) / self.width) / self.width

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """See ``Broadening``."""
        distance = abs(detuning) / self.width
        return (distance < 1.0) * (2.0 * distance - 1.0) / self.width


def broadening_named(name: str, width: float) -> Broadening:
    """The kernel of a name in a case file, with a width in rad/ps.

    Raises
    ------
    InputError
        For an unknown name or a width that is not positive.
    """
    if not width > 0.0:
        raise InputError("lattice.width", width, "give a positive width in rad/ps")
    kernels: dict[str, Broadening] = {
        Gaussian.name: Gaussian(width),
        Lorentzian.name: Lorentzian(width),
        Triangular.name: Triangular(width),
    }
    if name not in kernels:
        raise InputError("lattice.broadening", name, f"choose from {', '.join(kernels)}")
    return kernels[name]
