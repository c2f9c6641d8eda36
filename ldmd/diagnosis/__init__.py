"""Why a low-frequency linewidth is what it is: meters, the noise floor, and a verdict for every mode."""
