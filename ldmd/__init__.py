"""Do lattice dynamics and molecular dynamics agree on a thermal conductivity, and if not, why?"""

__version__ = "0.1.0"
