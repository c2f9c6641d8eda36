"""Published force constants of silicon, diagnosed as their files stand: kALDo's glass, and phono3py's crystal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from amorphous_silicon import folder as amorphous_silicon_folder

from ldmd.commands import diagnose_imported
from ldmd.force_constants.exchange import phono3py
from ldmd.imported_diagnosis import Files, Settings, diagnose_files

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_glass_of_kaldo() -> None:
    """Its sum rules hold to the accuracy of its differences; its two softest modes are beyond perturbation theory."""
    lines, numbers, sound = diagnose_imported(amorphous_silicon_folder(), None, None, 300.0, 0.6, (None, None))
    assert sound and numbers["source"] == "si-amorphous of kALDo"
    assert numbers["sum_rules"]["third order, rotation"] < 1e-5, "with the sign turned"
    assert 5e-7 < numbers["error_of_elements"] < 5e-6
    assert numbers["not_measured"][:1] != ["noise_floor"] and "truncation" not in numbers["not_measured"]
    soft = numbers["modes"][:2]
    assert [mode["cause"] for mode in soft] == ["soft localised mode"] * 2
    assert [mode["frequency"] / (2.0 * math.pi) for mode in soft] == pytest.approx([1.287, 1.363], abs=1e-3)
    assert all(mode["noise_floor"] < 1e-6 * mode["linewidth"] for mode in numbers["modes"])
    assert numbers["case"]["trust"]["begins"] / (2.0 * math.pi) == pytest.approx(1.649, abs=1e-3)
    assert not numbers["case"]["extrapolation_allowed"]
    assert any("not measured: exact derivatives" in line for line in lines)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of phono3py
def test_the_crystal_of_phono3py(shared_data: Path, tmp_path: Path) -> None:
    """From forces and, the same, from finished force constants; what symmetrisation took away has to be told."""
    from ldmd.crystal.phono3py_files import read_forces

    pytest.importorskip("phono3py")
    structure = shared_data / "phono3py" / "phono3py_si_pbesol.yaml"
    forces = shared_data / "phono3py" / "FORCES_FC3_si_pbesol"
    if not (structure.is_file() and forces.is_file()):
        pytest.skip("LDMD_DATA has no phono3py/phono3py_si_pbesol.yaml and FORCES_FC3_si_pbesol")
    constants = read_forces(structure, forces)
    phono3py.write_second(constants.second, tmp_path / "fc2.hdf5")
    phono3py.write_third(constants.third, tmp_path / "fc3.hdf5")
    phono3py.write_structure(tmp_path / "phono3py.yaml", constants.third.supercell, constants.second.supercell)
    told = Files(tmp_path / "fc3.hdf5", force_noise=1e-5, displacement=0.03)
    evidence = diagnose_files(told, Settings()).evidence
    nu = evidence.frequencies / (2.0 * math.pi)
    np.testing.assert_allclose(nu, [3.096] * 8 + [3.657] * 12, atol=2e-3)  # L and X of the 2 x 2 x 2 cubic cell
    for shell in (slice(0, 8), slice(8, 20)):
        np.testing.assert_allclose(evidence.gamma[shell], evidence.gamma[shell][0], rtol=1e-6)
        assert np.all(evidence.noise_floor[shell] > 0.0)
    assert np.isnan(evidence.gamma_exact).all() and np.isnan(evidence.slope).all()
