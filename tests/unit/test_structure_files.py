"""Structure files in the forms in which people have them: read to the right numbers, or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.data import atomic_masses

from ldmd.bounded import LARGEST
from ldmd.errors import InputError
from ldmd.structure_files import read_structure, read_structure_file, write_structure

CELL = 'Lattice="5.65 0 0 0 5.65 0 0 0 5.65"'
HEADER = f'{CELL} Properties=species:S:1:pos:R:3 pbc="T T T"'
SITES = ("0.1 0.1 0.1", "1.5125 1.5125 1.5125", "0.1 2.925 2.925", "1.5125 4.3375 4.3375")


def xyz(header: str = HEADER, species: str = "Ga As Ga As", more: str = "", sites: tuple[str, ...] = SITES) -> str:
    rows = [f"{name} {site} {more}".strip() for name, site in zip(species.split(), sites, strict=True)]
    return "\n".join(["4", header, *rows]) + "\n"


def written(folder: Path, text: str | bytes, name: str = "structure.extxyz") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def expected() -> Atoms:
    positions = [[float(word) for word in site.split()] for site in SITES]
    return Atoms("GaAsGaAs", positions=positions, cell=[5.65] * 3, pbc=True)


def refused(path: Path) -> str:
    """The fix; one line, in a short time."""
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        read_structure(path)
    assert time.monotonic() - start < 5.0
    assert caught.value.field == "material.structure" and "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return caught.value.fix


READ = {
    "as it should be": xyz(),
    "byte-order mark": b"\xef\xbb\xbf" + xyz().encode(),
    "CRLF": xyz().replace("\n", "\r\n"),
    "gzip": gzip.compress(xyz().encode()),
    "bzip2": bz2.compress(xyz().encode()),
    "blank and comment lines first": "\n# made by hand\n" + xyz(),
    "blank lines at the end": xyz() + "\n \n",
    "D exponents": xyz(sites=("1.0D-01 1.0d-1 0.1D+00", *SITES[1:])).replace("5.65 0 0", "0.565D+01 0.0D+00 0"),
    "small letters": xyz(f'lattice{CELL[7:]} properties=species:S:1:pos:R:3 PBC="T T T"', "ga as ga as"),
    "no Properties": xyz(CELL),
    "atomic numbers": xyz(HEADER.replace("species:S:1", "Z:I:1"), "31 33 31 33"),
    "a note that looks like a key": xyz(HEADER + ' note="Lattice = 3"'),
}


@pytest.mark.parametrize("form", READ)
def test_forms_of_extended_xyz(tmp_path: Path, form: str) -> None:
    found = read_structure(written(tmp_path, READ[form]))
    np.testing.assert_array_equal(found.numbers, expected().numbers)
    np.testing.assert_allclose(found.positions, expected().positions, rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(found.cell.array, expected().cell.array, rtol=0.0, atol=1e-15)
    assert "masses" not in found.arrays


@pytest.mark.parametrize(("name", "kind"), [("POSCAR", "vasp"), ("a.cif", "cif"), ("a.xsf", "xsf"), ("a.gen", "gen")])
def test_formats_that_ase_reads(tmp_path: Path, name: str, kind: str) -> None:
    atoms = expected()[[0, 2, 1, 3]]
    atoms.write(tmp_path / name, format=kind)
    assert (tmp_path / name).read_text().strip()
    found = read_structure(tmp_path / name)
    assert found.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(found.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-6)
    again = (tmp_path / name).read_bytes()
    packed = written(tmp_path, gzip.compress(again.replace(b"\n", b"\r\n")), f"{name}.gz")
    np.testing.assert_array_equal(read_structure(packed).positions, found.positions)


REFUSED = {
    "nothing": ("", "empty"),
    "one newline": ("\n", "empty"),
    "a number of atoms without atoms": ("4\n", "announces 4 atoms and has 0 lines"),
    "too few atoms": (xyz().replace("4\n", "5\n", 1), "announces 5 atoms and has 4 lines"),
    "too many atoms": (xyz() + "Ga 3 3 3\n", "announces 4 atoms and has 5 lines"),
    "a trillion atoms": (xyz().replace("4\n", "1000000000000\n", 1), "announces 1000000000000 atoms"),
    "two frames": (xyz() + xyz(), "holds several structures"),
    "an unknown type of column": (xyz(HEADER + ":foo:Q:1"), "no number"),
    "columns without end": (xyz(HEADER.replace("pos:R:3", "pos:R:999999999999")), "NAME:TYPE:COLUMNS"),
    "no pattern of columns": (xyz(f"{CELL} Properties=(((((((((((((((((("), "NAME:TYPE:COLUMNS"),
    "a column that is not named": (xyz(more="3.0"), "line 3 has 5 columns where 4 are named"),
    "two columns of one name": (xyz(HEADER.replace("pos:R:3", "pos:R:3:pos:R:3"), more="0 0 0"), "two columns for pos"),
    "six numbers for a lattice": (xyz(HEADER.replace("5.65 0 0 0 5.65 0 0 0 5.65", "5.65 5.65 5.65 90 90 90")), "nine"),
    "a text for a number": (xyz(sites=("0 0 zero", *SITES[1:])), "'zero', not a number"),
    "stars": (xyz(sites=("0 0 *****", *SITES[1:])), "line 3, column 4"),
    "not a number": (xyz(sites=("0 0 nan", *SITES[1:])), "atom 0"),
    "a coordinate without end": (xyz(sites=("0 0 1e300", *SITES[1:])), "atom 0"),
    "a cell of 1e308": (xyz(HEADER.replace("5.65", "1e308")), "cell vector"),
    "a cell of 1e5": (xyz(HEADER.replace("5.65", "1e5")), "cell vector"),
    "a cell of 500": (xyz(HEADER.replace("5.65", "500")), "per atom"),
    "a cell without volume": (xyz(HEADER.replace("0 5.65 0", "5.65 0 0")), "in one plane"),
    "a cell thinner than an atom": (xyz(HEADER.replace('="5.65 0', '="0.3 0')), "0.3 Angstrom across"),
    "an infinite cell": (xyz(HEADER.replace("5.65", "inf")), "finite"),
    "a slab": (xyz(HEADER.replace("T T T", "T T F")), "periodic"),
    "a molecule": (xyz(""), "periodic"),
    "a ghost": (xyz(species="X As Ga As"), "'X', which is no element"),
    "a label": (xyz(species="Ga0 As Ga As"), "is it Ga? then write Ga"),
    "a label of capitals": (xyz(species="GA As Ga As"), "is it Ga? then write Ga"),
    "zero bytes": (xyz().encode() + b"\0", "binary"),
    "every byte": (bytes(range(256)) * 8, "binary"),
    "a line without end": (xyz(HEADER + " note=" + "x" * 200_000), "a line has more than"),
    "half an archive": (gzip.compress(xyz().encode())[:40], "damaged archive"),
    "a bomb": (gzip.compress(b" " * (LARGEST + 100), 9), f"unpacks to more than {LARGEST // 2**20} MiB"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_structure_is_refused_in_one_line(tmp_path: Path, form: str) -> None:
    text, why = REFUSED[form]
    if form == "an unknown type of column":
        text, why = xyz(HEADER.replace("pos:R:3", "pos:R:3:foo:Q:1"), more="1"), "NAME:TYPE:COLUMNS"
    assert why in refused(written(tmp_path, text))


@pytest.mark.parametrize(
    "ending", ["cif", "xsf", "gen", "vasp", "data", "db", "cell", "nc", "gpw", "traj", "json", "txt"]
)
def test_garbage_of_any_ending(tmp_path: Path, ending: str) -> None:
    for number, text in enumerate((b"\n", b"no structure\nat all\n3 4 5\n" * 5, bytes(range(256)) * 9)):
        assert refused(written(tmp_path, text, f"{number}.{ending}"))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.extxyz").open("wb") as file:
        file.truncate(20 * 2**30)
    assert f"is larger than {LARGEST // 2**20} MiB" in refused(tmp_path / "sparse.extxyz")


def test_a_skewed_cell_is_read_as_it_is(tmp_path: Path) -> None:
    """However thin it is in its own vectors; the lattice is what counts."""
    atoms = bulk("Si")
    atoms.set_cell(np.array([[1, 0, 0], [7, 1, 0], [5, -9, -1]]) @ atoms.cell.array)
    write_structure(atoms, tmp_path / "a.extxyz")
    np.testing.assert_allclose(read_structure(tmp_path / "a.extxyz").cell.array, atoms.cell.array, atol=1e-11)


def with_masses(name: str, masses: str) -> str:
    header = HEADER.replace("pos:R:3", f"pos:R:3:{name}:R:1")
    sites = tuple(f"{site} {mass}" for site, mass in zip(SITES, masses.split(), strict=True))
    return xyz(header, sites=sites)


@pytest.mark.parametrize("name", ["mass", "masses"])
def test_isotopes_by_masses_in_both_spellings(tmp_path: Path, name: str) -> None:
    found = read_structure_file(written(tmp_path, with_masses(name, "68.9256 74.9216 70.9247 74.9216")))
    np.testing.assert_allclose(found.atoms.get_masses(), [68.9256, 74.9216, 70.9247, 74.9216], rtol=1e-6)
    assert found.remarks == ("masses of Ga in amu (atoms), standard 69.723: 68.9256 (1), 70.9247 (1)",)


def test_standard_masses_are_none_at_all(tmp_path: Path) -> None:
    text = with_masses("mass", f"{atomic_masses[31]:.7f} {atomic_masses[33]:.7f} 69.723 {atomic_masses[33]}")
    found = read_structure_file(written(tmp_path, text))
    assert "masses" not in found.atoms.arrays and not found.remarks


@pytest.mark.parametrize("mass", ["nan", "0.0", "-28", "inf", "1e-300"])
def test_masses_that_are_none(tmp_path: Path, mass: str) -> None:
    for name in ("mass", "masses"):
        assert "atom 2 has a mass of" in refused(written(tmp_path, with_masses(name, f"69 74 {mass} 74")))


def test_deuterium_and_tritium(tmp_path: Path) -> None:
    found = read_structure_file(written(tmp_path, xyz(species="D T H As")))
    assert found.atoms.get_chemical_symbols() == ["H", "H", "H", "As"]
    np.testing.assert_allclose(found.atoms.get_masses(), [2.0141, 3.0160, 1.008, 74.9216], atol=1e-4)
    assert found.remarks == ("masses of H in amu (atoms), standard 1.008: 2.0141 (1), 3.016 (1)",)
    poscar = "ice\n1.0\n5 0 0\n0 5 0\n0 0 5\nD H O\n2 1 1\nDirect\n0 0 0\n.2 0 0\n0 .2 0\n0 0 .2\n"
    found_in_poscar = read_structure(written(tmp_path, poscar, "POSCAR"))
    np.testing.assert_allclose(found_in_poscar.get_masses(), [2.0141, 2.0141, 1.008, 15.999], atol=1e-4)


def test_a_poscar_must_name_its_elements(tmp_path: Path) -> None:
    """A title in place of them is taken where it holds as many symbols as there are numbers, and nothing is guessed."""
    body = "1.0\n5.65 0 0\n0 5.65 0\n0 0 5.65\n2 2\nCartesian\n" + "\n".join(SITES[n] for n in (0, 2, 1, 3)) + "\n"
    assert read_structure(written(tmp_path, "Ga As\n" + body, "POSCAR")).get_chemical_formula() == "As2Ga2"
    for title in ("SiO2 quartz", "my crystal", "NaCl"):
        (tmp_path / "POTCAR").write_text("TITEL = PAW_PBE Ga\nTITEL = PAW_PBE As\n")
        assert "element" in refused(written(tmp_path, f"{title}\n{body}", "POSCAR"))
    many = ("Ga As\n" + body).replace("2 2", "Ga As\n1000000000 2")
    assert "numbers of atoms" in refused(written(tmp_path, many, "POSCAR"))


def test_a_cif_with_half_an_atom(tmp_path: Path) -> None:
    expected().write(tmp_path / "a.cif")
    text = (tmp_path / "a.cif").read_text()
    assert "1.0000" in text
    assert "partly occupied" in refused(written(tmp_path, text.replace(" 1.0000\n", " 0.5000\n"), "b.cif"))


LAMMPS = """# made by hand

4 atoms
2 atom types
0.0 5.65 xlo xhi
0.0 5.65 ylo yhi
0.0 5.65 zlo zhi
{labels}
Masses

1 {first}
2 {second}

Atoms # atomic

4 2 1.5125 4.3375 4.3375
1 1 0.1 0.1 0.1
2 2 1.5125 1.5125 1.5125
3 1 0.1 2.925 2.925
"""


@pytest.mark.parametrize("name", ["a.data", "data.silicon", "a.lmp", "whatever"])
def test_lammps_data_by_masses(tmp_path: Path, name: str) -> None:
    text = LAMMPS.format(labels="", first="69.72", second="74.9216")
    found = read_structure(written(tmp_path, text, name))
    assert found.get_chemical_symbols() == ["Ga", "As", "Ga", "As"]
    np.testing.assert_allclose(found.positions, expected().positions, atol=1e-12)
    np.testing.assert_allclose(found.get_masses(), [69.72, 74.9216, 69.72, 74.9216], rtol=1e-6)


def test_lammps_data_by_labels(tmp_path: Path) -> None:
    """Isotopes have another mass than their element."""
    behind = LAMMPS.format(labels="", first="70.9247 # Ga", second="74.9216 # As, stable")
    section = LAMMPS.format(labels="\nAtom Type Labels\n\n1 Ga\n2 As\n", first="70.9247", second="74.9216")
    for text in (behind, section, behind.replace("\n", "\r\n")):
        found = read_structure(written(tmp_path, text, "a.data"))
        assert found.get_chemical_symbols() == ["Ga", "As", "Ga", "As"]
        np.testing.assert_allclose(found.get_masses()[:2], [70.9247, 74.9216], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAMMPS.format(labels="", first="1.0 # type A", second="3"), "no element"),
        (LAMMPS.format(labels="", first="58.81", second="74.92"), "58.81 of atom type 1 is that of no element"),
        (LAMMPS.format(labels="", first="28.085 # C", second="74.92"), "labelled C and has the mass of Si"),
        (LAMMPS.format(labels="", first="69.723", second="nan"), "no element"),
        (LAMMPS.format(labels="", first="69.723", second="74.9216").replace("4 atoms", "400000000 atoms"), "announces"),
        (LAMMPS.format(labels="", first="69.723", second="74.9216").replace("# made", "# units = lj"), "units lj"),
        (LAMMPS.replace("Masses\n\n1 {first}\n2 {second}\n", "").format(labels=""), "neither masses nor labels"),
        (LAMMPS.format(labels="", first="69.723", second="74.9216").replace("\n4 2", "\n1 2"), "two atoms of one"),
    ],
)  # fmt: skip
def test_lammps_data_that_does_not_tell(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(written(tmp_path, text, "a.data"))


def test_constraints_velocities_and_results_are_left_behind_with_a_word(tmp_path: Path) -> None:
    atoms = expected()[[0, 2, 1, 3]]
    atoms.set_constraint(FixAtoms([0, 1]))
    atoms.set_momenta(np.ones((4, 3)))
    for name in ("POSCAR", "a.extxyz"):
        atoms.write(tmp_path / name)
        found = read_structure_file(tmp_path / name)
        assert not found.atoms.constraints and "momenta" not in found.atoms.arrays
        assert [remark.split(" are ")[0] for remark in found.remarks] == ["constraints", "velocities"]
    text = xyz(HEADER.replace("pos:R:3", "pos:R:3:magmoms:R:1") + " energy=3.0", more="2.2")
    found = read_structure_file(written(tmp_path, text))
    assert found.atoms.calc is None and not found.atoms.get_initial_magnetic_moments().any()
    assert "initial_magmoms" in found.remarks[0]


def test_everything_that_can_be_seen_comes_back(tmp_path: Path) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.set_initial_magnetic_moments([[0.1, 2.0 / 3.0, -1.0]] * 4)
    atoms.set_initial_charges([0.1, -0.1, 1.0 / 3.0, 0.0])
    atoms.set_masses([63.546, 62.9296, 64.9278, 62.9296])
    atoms.set_tags([0, 1, 2, 3])
    atoms.new_array("layer", np.array(["a", "b", "c", "d"]))
    atoms.new_array("mobile", np.array([True, False, True, True]))
    atoms.info |= {"charge": 2, "spin": 1.5, "head": "omat pbe", "field": np.array([0.0, 0.1, 0.3]), "done": True}
    write_structure(atoms, tmp_path / "a.extxyz")
    back = read_structure(tmp_path / "a.extxyz")
    assert set(back.arrays) == set(atoms.arrays) and set(back.info) == set(atoms.info)
    for name, array in atoms.arrays.items():
        if name != "positions":
            np.testing.assert_array_equal(back.arrays[name], array)
    np.testing.assert_allclose(back.positions, atoms.get_positions(wrap=True), atol=1e-12)
    for name, value in atoms.info.items():
        np.testing.assert_array_equal(back.info[name], value)
    atoms.info["poem"] = "two\nlines"
    with pytest.raises(InputError, match="several lines"):
        write_structure(atoms, tmp_path / "a.extxyz")


@pytest.mark.parametrize("name", ["POSCAR", "structure.data", "structure.xsf", "structure.extxyz"])
@pytest.mark.parametrize("filler", ["9", " ", "1.", "a", "\u00b2 "])
def test_the_time_to_refuse_a_long_line_grows_with_its_length(tmp_path: Path, name: str, filler: str) -> None:
    path = tmp_path / name
    begin = {"structure.data": "# units = metal\n2 atoms\n\nMasses\n\n1 28.0855 ", "POSCAR": "Si\n1.0\n"}.get(
        name, "2\n"
    )
    path.write_text(begin + filler * (90_000 // len(filler)) + "x\n" + "0 0 0\n" * 9)
    start = time.process_time()
    with pytest.raises(InputError):
        read_structure(path)
    assert time.process_time() - start < 3.0
