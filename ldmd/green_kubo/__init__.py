"""Thermal conductivity from the fluctuations of the heat flux at equilibrium (Green-Kubo).

Fluxes are extensive, in eV Angstrom/ps; frequencies ordinary, in THz; conductivities in W/(m K).
"""

from ldmd.green_kubo.cepstral import CepstralEstimate, cepstral_conductivity
from ldmd.green_kubo.cutoff import CutoffChoice, CutoffScan, choose_cutoff, scan_cutoff
from ldmd.green_kubo.estimate import GreenKuboResult, green_kubo
from ldmd.green_kubo.running_integral import RunningIntegral, autocorrelation, running_integral
from ldmd.green_kubo.series import FluxSeries, from_replicas, read_table
from ldmd.green_kubo.spectrum import Spectrum, conductivity_scale, power_spectrum

__all__ = [
    "CepstralEstimate",
    "CutoffChoice",
    "CutoffScan",
    "FluxSeries",
    "GreenKuboResult",
    "RunningIntegral",
    "Spectrum",
    "autocorrelation",
    "cepstral_conductivity",
    "choose_cutoff",
    "conductivity_scale",
    "from_replicas",
    "green_kubo",
    "power_spectrum",
    "read_table",
    "running_integral",
    "scan_cutoff",
]
