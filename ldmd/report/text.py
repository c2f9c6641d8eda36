"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from typing import Any

STATISTICS_NAMES = {"classical": "classical", "bose-einstein": "Bose–Einstein"}


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, very large and small ones with a power of ten; dash if "
    "NaN."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0.0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if -4 < exponent < max(5, digits):
        return f"{rounded:.{max(0, digits - 1 - exponent)}f}".replace("-", "−")
    return f"{rounded / 10.0**exponent:.{digits - 1}f} × {power_of_ten(exponent)}".replace("-", "−")


def brief(value: float) -> str:
    """A chosen number, such as a threshold or a temperature: as short as it can be written."""
    if not math.isfinite(value):
        return number(value)
    if value == int(value) and abs(value) < 1e6:
        return whole(value)
    text = f"{value:.6g}"
    if "e" not in text:
        return text.replace("-", "−")
    mantissa, exponent = text.split("e")
    factor = "" if mantissa == "1" else f"{mantissa} × "
    return f"{factor}{power_of_ten(int(exponent))}".replace("-", "−")


def rounded(value: float) -> str:
    """A measured number: whole ones as such, others with three significant digits."""
    whole_number = math.isfinite(value) and value == int(value) and abs(value) < 1e6
    return whole(value) if whole_number else number(value)


def power_of_ten(exponent: int) -> str:
    """10 with a raised exponent."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def whole(value: float) -> str:
    """An integer, with thin spaces between thousands from five digits on."""
    text = f"{round(value):,}".replace(",", "\u202f" if abs(round(value)) >= 10_000 else "")
    return text.replace("-", "−")


def decimals(error: float) -> int:
    """How many decimals a value deserves whose error is this: the error keeps two significant digits."""
    if not (math.isfinite(error) and error > 0.0):
        return 3
    return min(6, max(0, 1 - math.floor(math.log10(float(f"{error:.1e}")))))


def fixed(value: float, places: int) -> str:
    """A number with so many decimals."""
    return f"{value:.{places}f}".replace("-", "−") if math.isfinite(value) else number(value)


def with_error(value: float, error: float) -> str:
    """value ± error, the error with two significant digits and the value with as many decimals."""
    if not (math.isfinite(error) and error > 0.0 and math.isfinite(value)):
        return number(value, 4)
    if error < 1e-5:
        return f"{number(value, 4)} ± {number(error, 2)}"
    return f"{fixed(value, decimals(error))} ± {fixed(error, decimals(error))}"


def signed(value: float, places: int) -> str:
    """A number with its sign and so many decimals."""
    return ("+" if value > 0.0 else "") + fixed(value, places)


def interval(bounds: tuple[float, float], error: float) -> str:
    """lower to upper, with the decimals that the error deserves."""
    return f"{fixed(bounds[0], decimals(error))} to {fixed(bounds[1], decimals(error))}"


def count(amount: int, singular: str, plural: str | None = None) -> str:
    """No modes, 1 mode, 2 modes."""
    noun = singular if amount == 1 else (plural or singular + "s")
    return f"{whole(amount) if amount else 'no'} {noun}"


def statistics_name(name: str) -> str:
    """How a kind of statistics is written in prose."""
    return STATISTICS_NAMES.get(name.lower(), name)


def unit_text(unit: str) -> str:
    """A unit as print shows it, with a space before it; nothing for pure numbers."""
    return "" if unit in ("", "1") else f" {unit.replace('Angstrom', 'Å').replace('^3', '³').replace('^2', '²')}"


def sentence(text: str) -> str:
    """Text with a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def slug(name: str) -> str:
    """Letters, digits and hyphens only: safe in file names and identifiers."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "case"


def measured(value: Any, unit: str, **more: Any) -> dict[str, Any]:
    """A number with its unit and whatever else is known of it."""
    return {"value": value, "unit": unit, **more}
