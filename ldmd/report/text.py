"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re

STATISTICS_NAMES = {"classical": "classical", "bose-einstein": "Bose–Einstein"}


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits; powers of ten beyond 1e5 and below 1e-3; a dash where there is none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0.0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if -4 < exponent < max(5, digits):
        return f"{rounded:.{max(0, digits - 1 - exponent)}f}".replace("-", "−")
    return f"{rounded / 10.0**exponent:.{digits - 1}f} × {power_of_ten(exponent)}".replace("-", "−")


def power_of_ten(exponent: int) -> str:
    """10 with a raised exponent."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def whole(value: float) -> str:
    """An integer with thin spaces between thousands."""
    return f"{round(value):,}".replace(",", "\u202f").replace("-", "−")


def with_error(value: float, error: float) -> str:
    """value ± error, the error with two significant digits and the value with as many decimals."""
    if not (math.isfinite(error) and error > 0.0 and math.isfinite(value)):
        return number(value, 4)
    decimals = max(0, 1 - math.floor(math.log10(float(f"{error:.1e}"))))
    if decimals > 6:
        return f"{number(value, 4)} ± {number(error, 2)}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign."""
    return ("+" if value > 0.0 else "") + number(value, digits)


def interval(bounds: tuple[float, float], error: float) -> str:
    """lower to upper, with the decimals that the error deserves."""
    decimals = 2 if not (math.isfinite(error) and error > 0.0) else max(0, 1 - math.floor(math.log10(error)))
    return f"{bounds[0]:.{min(decimals, 6)}f} to {bounds[1]:.{min(decimals, 6)}f}".replace("-", "−")


def count(amount: int, singular: str, plural: str | None = None) -> str:
    """No modes, 1 mode, 2 modes."""
    noun = singular if amount == 1 else (plural or singular + "s")
    return f"{whole(amount) if amount else 'no'} {noun}"


def statistics_name(name: str) -> str:
    """How a kind of statistics is written in prose."""
    return STATISTICS_NAMES.get(name.lower(), name)


def slug(name: str) -> str:
    """Letters, digits and hyphens only: safe in file names and identifiers."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "case"
