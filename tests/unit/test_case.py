"""A case file is read exactly or refused in one line that names the field, the value and the fix."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from ldmd.case import load_case, parse_settings, resolved, template, to_toml
from ldmd.errors import InputError
from ldmd.explain import section_kind
from ldmd.settings import Anharmonicity, Compare, Dynamics, GreenKubo, Lattice, Settings
from ldmd.subject import Crystal, Material, Potential, meshes

SMALLEST = """
[material]
name = "glass"
[potential]
kind = "tersoff"
parameters = "glass.tersoff"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A case folder with the smallest sound case.toml and the files that it names."""
    case = tmp_path / "glass"
    case.mkdir()
    (case / "case.toml").write_text(SMALLEST)
    (case / "structure.extxyz").write_text("")
    (case / "glass.tersoff").write_text("")
    return case


# (appended to SMALLEST, field, value, words of the fix)
MISTAKES = {
    "unit in a string": (
        '[dynamics]\nlength_ps = "5 ps"',
        "dynamics.length_ps",
        '"5 ps"',
        "a number in ps, without",
    ),
    "unit in a key": (
        "[dynamics]\nlength_ns = 1",
        "dynamics.length_ns",
        "1",
        "no such key; did you mean length_ps?",
    ),
    "unknown section": (
        "[dynamic]\nseed = 2",
        "dynamic",
        "{seed = 2}",
        "no such section; did you mean dynamics?",
    ),
    "key of another section": ("[lattice]\nseed = 2", "lattice.seed", "2", "it belongs in [dynamics]"),
    "singular and plural": (
        "[lattice]\ntemperature = 300",
        "lattice.temperature",
        "300",
        "did you mean temperatures, or temperature in [dynamics]?",
    ),
    "unlike any key": ("[compare]\nzzz = 1", "compare.zzz", "1", "no such key; known are tolerance_sigma"),
    "key with a line break": ('[compare]\n"a\\nb" = 1', r"compare.a\nb", "1", "no such key"),
    "number for a section": (
        "[[lattice]]",
        "lattice",
        "[{}]",
        "make it a section that starts with [lattice]",
    ),
    "too large": (
        "[dynamics]\ntime_step_fs = 20",
        "dynamics.time_step_fs",
        "20",
        "in fs, at least 0.01 and at most 10",
    ),
    "zero": ("[lattice]\nwidth = 0.0", "lattice.width", "0.0", "in rad/ps, at least 0.001 and at most 50"),
    "too small for anything": ("[lattice]\nwidth = 1e-308", "lattice.width", "1e-308", "at least 0.001"),
    "colder than any mode": ("[dynamics]\ntemperature = 1e-300", "dynamics.temperature", "1e-300", "at least 0.01"),
    "too few samples": (
        "[dynamics]\nlength_ps = 1\nframe_interval_ps = 1\nflux_interval_fs = 50",
        "dynamics.length_ps",
        "1.0",
        "20 samples of the flux",
    ),
    "more samples than fit": (
        "[dynamics]\nlength_ps = 1000000\ntime_step_fs = 0.01\nflux_interval_fs = 0.01",
        "dynamics.flux_interval_fs",
        "0.01",
        "1e+11 samples",
    ),
    "more frames than fit": (
        "[dynamics]\nlength_ps = 100000\nframe_interval_ps = 0.005",
        "dynamics.frame_interval_ps",
        "0.005",
        "2e+07 stored frames",
    ),
    "a cutoff below the first bins": ("[green_kubo]\ncutoff_thz = 0.01", "green_kubo.cutoff_thz", "0.01", "give 0.13"),
    "negative": (
        "[dynamics]\nequilibration_ps = -0.1",
        "dynamics.equilibration_ps",
        "-0.1",
        "in ps, at least 0 and at most 100000",
    ),
    "not a number": (
        "[dynamics]\nequilibration_ps = nan",
        "dynamics.equilibration_ps",
        "nan",
        "a number in ps, at least 0",
    ),
    "infinite": ("[dynamics]\nlength_ps = inf", "dynamics.length_ps", "inf", "at most 1000000"),
    "beyond any float": (
        f"[dynamics]\nequilibration_ps = 1{'0' * 400}",
        "dynamics.equilibration_ps",
        f"1{'0' * 56}...",
        "a number in ps",
    ),
    "bool for a number": (
        "[dynamics]\ntemperature = true",
        "dynamics.temperature",
        "true",
        "give a number in K",
    ),
    "bool for a count": ("[dynamics]\nreplicas = true", "dynamics.replicas", "true", "give a whole number"),
    "fraction for a count": ("[dynamics]\nreplicas = 2.0", "dynamics.replicas", "2.0", "give a whole number"),
    "date for a number": (
        "[dynamics]\nequilibration_ps = 2000-01-01",
        "dynamics.equilibration_ps",
        "2000-01-01",
        "give a number in ps",
    ),
    "list for a number": (
        "[dynamics]\nequilibration_ps = [1.0]",
        "dynamics.equilibration_ps",
        "[1.0]",
        "give a number in ps",
    ),
    "number for a list": (
        "[lattice]\ntemperatures = 300",
        "lattice.temperatures",
        "300",
        "a list of numbers in K",
    ),
    "text for a list": (
        '[lattice]\nstatistics = "classical"',
        "lattice.statistics",
        '"classical"',
        "a list of names in square brackets",
    ),
    "empty list": ("[lattice]\ntemperatures = []", "lattice.temperatures", "[]", "the list is empty"),
    "element out of range": (
        "[lattice]\ntemperatures = [100, 0, 9000]",
        "lattice.temperatures[1]",
        "0",
        "a number in K, at least 0.01 and at most 5000 (and 1 more)",
    ),
    "descending": (
        "[lattice]\ntemperatures = [2, 1]",
        "lattice.temperatures",
        "[2, 1]",
        "in ascending order",
    ),
    "twice": ("[lattice]\ntemperatures = [1, 1.0]", "lattice.temperatures", "[1, 1.0]", "list each one once"),
    "unknown statistics": (
        '[lattice]\nstatistics = ["boltzmann"]',
        "lattice.statistics[0]",
        '"boltzmann"',
        'choose one of "bose-einstein", "classical"',
    ),
    "nothing to compare": (
        '[lattice]\nstatistics = ["bose-einstein"]',
        "lattice.statistics",
        '["bose-einstein"]',
        'add "classical"',
    ),
    "unknown kernel": (
        '[lattice]\nbroadening = "box"',
        "lattice.broadening",
        '"box"',
        'choose one of "gaussian", "lorentzian"',
    ),
    "unknown force constants": (
        '[lattice]\nforce_constants = "stencil"',
        "lattice.force_constants",
        '"stencil"',
        'choose one of "auto", "autodiff", "finite-differences"',
    ),
    "a default that suits no longer": (
        "[dynamics]\ntime_step_fs = 2",
        "dynamics.flux_interval_fs",
        "5.0",
        "must be a multiple of time_step_fs = 2, for example 4",
    ),
    "frames between samples": (
        "[dynamics]\nframe_interval_ps = 1.001",
        "dynamics.frame_interval_ps",
        "1.001",
        "must be a multiple of flux_interval_fs = 5, for example 1 ps",
    ),
    "no frame at all": (
        "[dynamics]\nlength_ps = 2",
        "dynamics.frame_interval_ps",
        "2.5",
        "must not exceed length_ps = 2",
    ),
    "cutoff beyond Nyquist": (
        "[green_kubo]\ncutoff_thz = 100.5",
        "green_kubo.cutoff_thz",
        "100.5",
        "holds frequencies up to 100 THz",
    ),
    "flux between steps": (
        "[dynamics]\ntime_step_fs = 2\nflux_interval_fs = 3",
        "dynamics.flux_interval_fs",
        "3",
        "must be a multiple of time_step_fs = 2, for example 4",
    ),
    "divisions that miss one": (
        "[crystal]\nmesh = [9, 9]",
        "crystal.mesh[2]",
        "missing",
        "give a list of 3 numbers in square brackets",
    ),
    "two divisions where none need be": (
        "[crystal]\nforce_constants = [3, 3]",
        "crystal.force_constants[2]",
        "missing",
        "give a list of 3 numbers in square brackets",
    ),
    "one division too many": (
        "[crystal]\nsupercell = [3, 3, 3, 3]",
        "crystal.supercell",
        "[3, 3, 3, 3]",
        "give a list of 3 numbers in square brackets",
    ),
    "a division for all": ("[crystal]\nmesh = 9", "crystal.mesh", "9", "a list of numbers in square brackets"),
    "divisions that are fractions": (
        "[crystal]\nmesh = [9.0, 9, 9]",
        "crystal.mesh[0]",
        "9.0",
        "give a whole number, without quotes or unit",
    ),
    "no division": ("[crystal]\nsupercell = [3, 0, 3]", "crystal.supercell[1]", "0", "at least 1 and at most 100"),
    "a supercell matrix": (
        "[crystal]\nsupercell = [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]",
        "crystal.supercell[0]",
        "[-1, 1, 1]",
        "give a whole number",
    ),
    "a mesh with no coarser ones": (
        "[crystal]\nmesh = [3, 3, 3]",
        "crystal.mesh",
        "[3, 3, 3]",
        "too coarse for three different meshes",
    ),
    "isotopes in kaldo": (
        '[crystal]\nengine = "kaldo"\nisotopes = true',
        "crystal.isotopes",
        "true",
        "phono3py does that; kaldo does not",
    ),
    "charges in kaldo": (
        '[crystal]\nengine = "kaldo"\nborn = "BORN"',
        "crystal.born",
        '"BORN"',
        "phono3py does that; kaldo does not",
    ),
    "unknown engine": (
        '[crystal]\nengine = "perturbo"',
        "crystal.engine",
        '"perturbo"',
        'choose one of "phono3py", "kaldo"',
    ),
    "no smearing": ("[crystal]\nsmearing = 0", "crystal.smearing", "0", "in rad/ps, at least 0.001 and at most 50"),
    "temperatures of a crystal": (
        "[crystal]\ntemperatures = [300]",
        "crystal.temperatures",
        "[300]",
        "it belongs in [lattice]",
    ),
}


def refusal(text: str) -> InputError:
    """The error that a text raises, which must be one line made of its three parts."""
    with pytest.raises(InputError) as caught:
        parse_settings(text)
    assert str(caught.value).splitlines() == [f"{caught.value.field} = {caught.value.value}: {caught.value.fix}"]
    return caught.value


@pytest.mark.parametrize(("text", "field", "value", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_in_one_line(text: str, field: str, value: str, fix: str) -> None:
    error = refusal(SMALLEST + text)
    assert (error.field, error.value) == (field, value)
    assert fix in error.fix


@pytest.mark.parametrize(
    ("old", "new", "field", "value", "fix"),
    [
        ('name = "glass"', "", "material.name", "missing", "add it"),
        ('name = "glass"', 'name = " "', "material.name", '" "', "give the name of the material"),
        ('name = "glass"', 'name = "a\\nb"', "material.name", r'"a\nb"', "on one line"),
        ('name = "glass"', "name = 3", "material.name", "3", "give a text in quotes"),
        ('[material]\nname = "glass"', "", "material", "missing", "add the section [material] with name"),
        ('kind = "tersoff"', 'kind = "eam"', "potential.kind", '"eam"', 'choose one of "tersoff", "stillinger-weber"'),
        ('kind = "tersoff"', "kind = 3", "potential.kind", "3", 'choose one of "tersoff"'),
        ('kind = "tersoff"', 'kind = "ase"', "potential.calculator", "missing", "name the calculator"),
        ('parameters = "glass.tersoff"', "", "potential.parameters", "missing", "name its parameter file"),
        (
            '"glass.tersoff"',
            '"glass.tersoff"\ncalculator = "ase.calculators.emt:EMT"',
            "potential.calculator",
            "missing",
            "it is for kind ase, not tersoff",
        ),
        (
            '"glass.tersoff"',
            '"/glass.tersoff"',
            "potential.parameters",
            '"/glass.tersoff"',
            "relative to the case",
        ),
        ('"glass.tersoff"', '""', "potential.parameters", '""', "relative to the case folder"),
        (
            "parameters",
            "parameter",
            "potential.parameter",
            '"glass.tersoff"',
            "did you mean parameters?",
        ),
    ],
)
def test_what_must_be_given_is_asked_for(old: str, new: str, field: str, value: str, fix: str) -> None:
    assert SMALLEST.count(old) == 1
    error = refusal(SMALLEST.replace(old, new))
    assert (error.field, error.value) == (field, value)
    assert fix in error.fix


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[material]\nname = \n", "line 2"),
        ("[material]\nname = 'a'\nname = 'b'\n", "line 3"),
        ("\n\n[material\n", "line 3"),
        ("a = '''never closed\n\n", "line 3"),
    ],
)
def test_a_syntax_error_names_file_and_line(folder: Path, text: str, line: str) -> None:
    (folder / "case.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_case(folder)
    assert caught.value.field == str(folder / "case.toml")
    assert caught.value.value == line
    assert caught.value.fix.startswith("not TOML (")
    assert len(str(caught.value).splitlines()) == 1


def test_a_sound_folder_is_read(folder: Path) -> None:
    case = load_case(folder)
    assert case.name == "glass"
    assert case.structure == folder / "structure.extxyz"
    assert case.settings.potential.parameters == "glass.tersoff"
    assert case.settings == parse_settings(SMALLEST)
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("missing", "field"),
    [
        ("case.toml", "case"),
        ("structure.extxyz", "material.structure"),
        ("glass.tersoff", "potential.parameters"),
    ],
)
def test_a_missing_file_is_named(folder: Path, missing: str, field: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(InputError, match="no such file") as caught:
        load_case(folder)
    assert (caught.value.field, caught.value.value) == (field, folder / missing)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder") as caught:
        load_case(tmp_path / "nowhere")
    assert (caught.value.field, caught.value.value) == ("case", tmp_path / "nowhere")


def test_a_file_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "case.toml").write_bytes(b'[material]\nname = "\xff"\n')
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 19\)"):
        load_case(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[\n" * 10_000, "nested too deeply"),
        ("a = " + "{ a = " * 600, "nested too deeply"),
        ("a" + ".a" * 100_000 + " = 1", "line 1: longer than 4000 characters"),
        ("a" + ".a" * 1500 + " = 1", ""),
        ("[dynamics]\nseed = " + "9" * 5000, "line 2: longer than 4000 characters"),
        *((f"[lattice]\nwidth = {'[' * depth}1{']' * depth}", "") for depth in (10, 100, 200, 300, 400, 500)),
        *((f"{SMALLEST}arguments = {'{ a = ' * depth}1{' }' * depth}", "") for depth in (10, 100, 200, 300, 400, 500)),
    ],
    ids=lambda value: value[:12] if len(value) < 100 else f"{value[:8]}...{len(value)}",
)
def test_no_text_is_too_deep_or_too_long_for_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_a_huge_file_is_no_case(folder: Path) -> None:
    with (folder / "case.toml").open("wb") as file:
        file.truncate(20 * 2**30)  # nothing of it is on the disk
    with pytest.raises(InputError, match="more than 131072 bytes are no settings"):
        load_case(folder)


def settings_strategy() -> st.SearchStrategy[Settings]:
    """Sound settings of every kind: all fields at once, floats with all their digits."""
    # Round-off of decimal fractions is part of it: a flux interval of 3 x 0.7 fs is a multiple of 0.7 fs.
    dynamics = st.builds(
        lambda step, flux, frame, frames, **others: Dynamics(
            time_step_fs=step,
            flux_interval_fs=step * flux,
            frame_interval_ps=step * flux * frame / 1000.0,
            length_ps=max(10.0, step * flux * frame / 1000.0 * frames),
            **others,
        ),
        step=st.floats(0.01, 2.0),
        flux=st.integers(1, 20),
        frame=st.integers(1, 100),
        temperature=st.floats(0.01, 5000),
        frames=st.floats(1, 2e5),
        replicas=st.integers(1, 256),
        equilibration_ps=st.floats(0, 1e5),
        seed=st.integers(0, 2**31 - 1),
    )
    lattice = st.builds(
        Lattice,
        temperatures=st.sets(st.floats(0.01, 5000), min_size=1).map(lambda items: tuple(sorted(items))),
        statistics=st.sampled_from([("classical",), ("bose-einstein", "classical"), ("classical", "bose-einstein")]),
        broadening=st.sampled_from(["gaussian", "lorentzian"]),
        width=st.floats(1e-3, 50),
        allen_feldman_broadening=st.floats(1e-3, 50),
    )
    divisions = st.tuples(*(st.integers(1, 100),) * 3)
    crystal = st.builds(
        lambda engine, born, **others: Crystal(engine=engine, **(born if engine == "phono3py" else {}), **others),
        engine=st.sampled_from(["phono3py", "kaldo"]),
        born=st.fixed_dictionaries({"isotopes": st.booleans(), "born": st.none() | st.just("a/BORN")}),
        supercell=divisions,
        mesh=divisions.filter(lambda mesh: len(set(meshes(mesh))) == 3),
        force_constants=st.none() | divisions,
        smearing=st.none() | st.floats(1e-3, 50),
        direct=st.booleans(),
    )
    printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).filter(lambda name: ".." not in name)
    return st.builds(
        Settings,
        material=st.builds(Material, name=printable, structure=printable.map(lambda name: f"a/{name}")),
        potential=st.builds(Potential, kind=st.just("tersoff"), parameters=printable.map(lambda name: f"./{name}")),
        crystal=st.none() | crystal,
        lattice=lattice,
        dynamics=dynamics,
        green_kubo=st.builds(GreenKubo, cutoff_thz=st.none() | st.floats(6.4, 12), aic_factor=st.floats(1, 10)),
        anharmonicity=st.builds(Anharmonicity, configurations=st.integers(2, 100000)),
        compare=st.builds(Compare, tolerance_sigma=st.floats(1e-3, 10), resolution=st.floats(1e-3, 10)),
    )


@given(settings=settings_strategy(), comments=st.booleans())
def test_settings_survive_the_file(settings: Settings, comments: bool) -> None:
    assert parse_settings(to_toml(settings, comments)) == settings


@given(settings=settings_strategy())
def test_quick_settings_are_sound_and_shorter(settings: Settings) -> None:
    quick = settings.quick()
    assert parse_settings(to_toml(quick)) == quick
    longest = 60.0 if settings.crystal is None else 100.0
    assert quick.dynamics.length_ps == min(settings.dynamics.length_ps, longest)
    assert quick.dynamics.equilibration_ps <= 5.0
    assert quick.dynamics.frame_interval_ps <= settings.dynamics.frame_interval_ps
    assert set(quick.lattice_temperatures) <= set(settings.lattice_temperatures)
    assert len(quick.lattice_temperatures) <= 3
    assert quick.dynamics.temperature in quick.lattice_temperatures
    if settings.crystal is not None and quick.crystal is not None:
        assert max(quick.crystal.mesh) == min(9, max(settings.crystal.mesh))
        assert quick.crystal.supercell == settings.crystal.supercell, "the box of the dynamics is what is compared"
    assert quick.quick() == quick


@given(settings=settings_strategy())
def test_strides_are_the_intervals_in_steps(settings: Settings) -> None:
    dynamics = settings.dynamics
    assert dynamics.flux_stride * dynamics.time_step_fs == pytest.approx(dynamics.flux_interval_fs, rel=1e-9)
    interval = dynamics.frame_stride * dynamics.flux_interval_fs
    assert interval == pytest.approx(1000.0 * dynamics.frame_interval_ps, rel=1e-9)
    recorded = dynamics.samples * dynamics.flux_interval_fs / 1000.0
    assert -1e-3 * dynamics.flux_interval_fs < dynamics.length_ps - recorded < 1.001e-3 * dynamics.flux_interval_fs


def test_strides_of_the_defaults() -> None:
    dynamics = Dynamics()
    assert (dynamics.time_step, dynamics.flux_stride, dynamics.frame_stride) == (0.001, 5, 500)
    assert (dynamics.samples, dynamics.equilibration_steps) == (100_000, 20_000)


def test_the_temperature_of_the_dynamics_joins_the_lattice() -> None:
    settings = parse_settings(SMALLEST + "[lattice]\ntemperatures = [100, 500]\n[dynamics]\ntemperature = 350")
    assert settings.lattice_temperatures == (100.0, 350.0, 500.0)


def test_settings_cannot_be_changed() -> None:
    settings = parse_settings(SMALLEST)
    with pytest.raises(ValueError, match="frozen"):
        settings.dynamics.seed = 3  # type: ignore[misc]


def test_the_template_is_the_defaults_with_all_their_reasons() -> None:
    text = template('vitreous "silica"')
    settings = parse_settings(text)
    assert settings.material.name == 'vitreous "silica"'
    defaults = Settings(material=settings.material, potential=settings.potential)
    assert settings == defaults
    given = {
        name: {key: value for key, value in section.items() if value is not None and value != {}}
        for name, section in resolved(settings).items()
    }
    assert tomllib.loads(text) == given, "what has no default is shown as a comment"
    for field in Settings.model_fields.values():
        section = section_kind(field)
        assert section is not None and all(option.description for option in section.model_fields.values())
    uncommented = text.replace("# cutoff_thz", "cutoff_thz")
    assert parse_settings(uncommented).green_kubo.cutoff_thz is not None


def test_the_template_shows_a_section_that_may_be_left_out_as_a_comment() -> None:
    text = template("silicon")
    assert "# [crystal]" in text and parse_settings(text).crystal is None
    start = text.index("# [crystal]")
    end = text.index("\n[", start)
    keys = "|".join(Crystal.model_fields)
    uncommented = re.sub(rf"^# (\[crystal\]|(?:{keys}) = )", r"\1", text[start:end], flags=re.MULTILINE)
    crystal = parse_settings(text[:start] + uncommented + text[end:]).crystal
    examples = {"force_constants": (4, 4, 4), "smearing": 0.6, "born": "BORN"}
    assert crystal == Crystal(**examples), "defaults, and examples where there is none"


def test_a_section_that_is_left_out_is_not_among_the_resolved_settings() -> None:
    glass = resolved(parse_settings(SMALLEST))
    assert list(glass) == ["material", "potential", "lattice", "dynamics", "green_kubo", "anharmonicity", "compare"]
    crystal = resolved(parse_settings(SMALLEST + "[crystal]\nmesh = [5, 5, 5]"))
    assert set(crystal) - set(glass) == {"crystal"}
    assert crystal["crystal"]["mesh"] == [5, 5, 5] and crystal["crystal"]["supercell"] == [3, 3, 3]


@pytest.mark.parametrize(
    ("finest", "all_three"),
    [
        ((15, 15, 15), ((9, 9, 9), (12, 12, 12), (15, 15, 15))),
        ((12, 12, 7), ((7, 7, 4), (10, 10, 6), (12, 12, 7))),
        ((9, 9, 1), ((5, 5, 1), (7, 7, 1), (9, 9, 1))),
        ((4, 4, 4), ((2, 2, 2), (3, 3, 3), (4, 4, 4))),
    ],
)
def test_equal_divisions_stay_equal_in_coarser_meshes(finest: tuple[int, int, int], all_three: object) -> None:
    assert meshes(finest) == all_three


def test_reading_a_case_imports_nothing_heavy() -> None:
    code = "import ldmd.case, sys; print(*{'jax', 'numpy', 'ase', 'xarray', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def numbers_of_settings() -> list[tuple[str, str]]:
    """Section and name of every setting that is a number."""
    found = []
    for section, field in Settings.model_fields.items():
        kind = section_kind(field)
        assert kind is not None
        for name, option in kind.model_fields.items():
            if {float, int} & {option.annotation, *get_args(option.annotation)}:
                found.append((section, name))
    return found


@pytest.mark.parametrize(("section", "name"), numbers_of_settings())
@pytest.mark.parametrize("value", ["-1", "1e-308", "1e308", "nan", "inf", "-inf", "true", '"1"', "[]", "1" + "0" * 400])
def test_no_number_is_taken_that_ends_the_run_later(section: str, name: str, value: str) -> None:
    """Whatever is not a sensible number is refused before anything is computed."""
    field = section_kind(Settings.model_fields[section]).model_fields[name]
    if value == "1e-308" and Ge(0) in field.metadata:
        return  # as good as zero, which is sound: no equilibration, a checkpoint at every chance
    error = refusal(f"{SMALLEST}[{section}]\n{name} = {value}")
    assert error.field == f"{section}.{name}"
