"""The works a result rests on, as plain references and as BibTeX."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Work:
    """One published work; ``doi`` is empty where it is not known for certain."""

    key: str
    authors: tuple[str, ...]  # "Family, Given"
    title: str
    journal: str
    volume: str
    pages: str
    year: int
    used_for: str
    doi: str = ""

    @property
    def reference(self) -> str:
        """Authors, journal, volume, page and year in one line, without the title."""
        names = [" ".join(reversed(author.split(", "))) for author in self.authors]
        listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        return f"{listed}, {self.journal} {self.volume}, {self.pages} ({self.year})"

    @property
    def bibtex(self) -> str:
        """The work as a BibTeX entry."""
        fields = {
            "author": " and ".join(self.authors),
            "title": "{" + self.title + "}",
            "journal": self.journal,
            "volume": self.volume,
            "pages": self.pages.replace("–", "--"),
            "year": str(self.year),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])


_WORKS = (
    Work(
        "togo2015",
        ("Togo, A.", "Chaput, L.", "Tanaka, I."),
        "Distributions of phonon lifetimes in Brillouin zones",
        "Physical Review B",
        "91",
        "094306",
        2015,
        "linewidths of a crystal on meshes of wave vectors",
        "10.1103/PhysRevB.91.094306",
    ),
    Work(
        "togo2023",
        ("Togo, A.", "Chaput, L.", "Tadano, T.", "Tanaka, I."),
        "Implementation strategies in phonopy and phono3py",
        "Journal of Physics: Condensed Matter",
        "35",
        "353001",
        2023,
        "harmonic crystals, and the programs phonopy and phono3py",
        "10.1088/1361-648X/acd831",
    ),
    Work(
        "chaput2013",
        ("Chaput, L.",),
        "Direct solution to the linearized phonon Boltzmann equation",
        "Physical Review Letters",
        "110",
        "265506",
        2013,
        "the direct solution of the Boltzmann equation",
        "10.1103/PhysRevLett.110.265506",
    ),
    Work(
        "barbalinardo2020",
        ("Barbalinardo, G.", "Chen, Z.", "Lundgren, N. W.", "Donadio, D."),
        "Efficient anharmonic lattice dynamics calculations of thermal transport in crystalline and disordered solids",
        "Journal of Applied Physics",
        "128",
        "135104",
        2020,
        "the program kALDo",
        "10.1063/5.0020443",
    ),
    Work(
        "murnaghan1944",
        ("Murnaghan, F. D.",),
        "The compressibility of media under extreme pressures",
        "Proceedings of the National Academy of Sciences",
        "30",
        "244",
        1944,
        "the equation of state",
        "10.1073/pnas.30.9.244",
    ),
    Work(
        "munetoh2007",
        ("Munetoh, S.", "Motooka, T.", "Moriguchi, K.", "Shintani, A."),
        "Interatomic potential for Si-O systems using Tersoff parameterization",
        "Computational Materials Science",
        "39",
        "334",
        2007,
        "the parameters of the potential",
        "10.1016/j.commatsci.2006.06.010",
    ),
    Work(
        "tersoff1988",
        ("Tersoff, J.",),
        "New empirical approach for the structure and energy of covalent systems",
        "Physical Review B",
        "37",
        "6991",
        1988,
        "the form of the potential",
        "10.1103/PhysRevB.37.6991",
    ),
    Work(
        "tersoff1989",
        ("Tersoff, J.",),
        "Modeling solid-state chemistry: Interatomic potentials for multicomponent systems",
        "Physical Review B",
        "39",
        "5566",
        1989,
        "its extension to several species",
        "10.1103/PhysRevB.39.5566",
    ),
    Work(
        "stillinger1985",
        ("Stillinger, F. H.", "Weber, T. A."),
        "Computer simulation of local order in condensed phases of silicon",
        "Physical Review B",
        "31",
        "5262",
        1985,
        "the form of the potential",
        "10.1103/PhysRevB.31.5262",
    ),
    Work(
        "fan2021",
        (
            "Fan, Z.",
            "Zeng, Z.",
            "Zhang, C.",
            "Wang, Y.",
            "Song, K.",
            "Dong, H.",
            "Chen, Y.",
            "Ala-Nissila, T.",
        ),
        "Neuroevolution machine learning potentials: Combining high accuracy and low cost in atomistic simulations and "
        "application to heat transport",
        "Physical Review B",
        "104",
        "104309",
        2021,
        "the form of the potential",
        "10.1103/PhysRevB.104.104309",
    ),
    Work(
        "wooten1985",
        ("Wooten, F.", "Winer, K.", "Weaire, D."),
        "Computer generation of structural models of amorphous Si and Ge",
        "Physical Review Letters",
        "54",
        "1392",
        1985,
        "the continuous random network by bond switching",
        "10.1103/PhysRevLett.54.1392",
    ),
    Work(
        "keating1966",
        ("Keating, P. N.",),
        "Effect of invariance requirements on the elastic strain energy of crystals with application to the "
        "diamond structure",
        "Physical Review",
        "145",
        "637",
        1966,
        "the springs that guide the bond switching",
        "10.1103/PhysRev.145.637",
    ),
    Work(
        "isaeva2019",
        ("Isaeva, L.", "Barbalinardo, G.", "Donadio, D.", "Baroni, S."),
        "Modeling heat transport in crystals and glasses from a unified lattice-dynamical approach",
        "Nature Communications",
        "10",
        "3853",
        2019,
        "the quasi-harmonic Green–Kubo conductivity",
        "10.1038/s41467-019-11572-4",
    ),
    Work(
        "fiorentino2023",
        ("Fiorentino, A.", "Baroni, S."),
        "From Green-Kubo to the full Boltzmann kinetic approach to heat transport in crystals and glasses",
        "Physical Review B",
        "107",
        "054311",
        2023,
        "the approximations behind it",
    ),
    Work(
        "allen1993",
        ("Allen, P. B.", "Feldman, J. L."),
        "Thermal conductivity of disordered harmonic solids",
        "Physical Review B",
        "48",
        "12581",
        1993,
        "the harmonic (Allen–Feldman) conductivity",
    ),
    Work(
        "barbalinardo2020",
        ("Barbalinardo, G.", "Chen, Z.", "Lundgren, N. W.", "Donadio, D."),
        "Efficient anharmonic lattice dynamics calculations of thermal transport in crystalline and disordered solids",
        "Journal of Applied Physics",
        "128",
        "135104",
        2020,
        "kALDo, the program that the lattice part is tested against",
        "10.1063/5.0020443",
    ),
    Work(
        "fan2015",
        ("Fan, Z.", "Pereira, L. F. C.", "Wang, H.-Q.", "Zheng, J.-C.", "Donadio, D.", "Harju, A."),
        "Force and heat current formulas for many-body potentials in molecular dynamics simulations with "
        "applications to thermal conductivity calculations",
        "Physical Review B",
        "92",
        "094301",
        2015,
        "the heat flux of a many-body potential",
        "10.1103/PhysRevB.92.094301",
    ),
    Work(
        "bussi2007",
        ("Bussi, G.", "Donadio, D.", "Parrinello, M."),
        "Canonical sampling through velocity rescaling",
        "Journal of Chemical Physics",
        "126",
        "014101",
        2007,
        "the thermostat of the equilibration",
        "10.1063/1.2408420",
    ),
    Work(
        "ercole2017",
        ("Ercole, L.", "Marcolongo, A.", "Baroni, S."),
        "Accurate thermal conductivities from optimally short molecular dynamics simulations",
        "Scientific Reports",
        "7",
        "15835",
        2017,
        "the cepstral analysis of the heat flux",
        "10.1038/s41598-017-15843-2",
    ),
    Work(
        "bertossa2019",
        ("Bertossa, R.", "Grasselli, F.", "Ercole, L.", "Baroni, S."),
        "Theory and numerical simulation of heat transport in multicomponent systems",
        "Physical Review Letters",
        "122",
        "255901",
        2019,
        "its extension to several currents",
        "10.1103/PhysRevLett.122.255901",
    ),
    Work(
        "knoop2020",
        ("Knoop, F.", "Purcell, T. A. R.", "Scheffler, M.", "Carbogno, C."),
        "Anharmonicity measure for materials",
        "Physical Review Materials",
        "4",
        "083809",
        2020,
        "the anharmonicity score",
        "10.1103/PhysRevMaterials.4.083809",
    ),
    Work(
        "pegolo2024",
        ("Pegolo, P.", "Grasselli, F."),
        "Thermal transport of glasses via machine learning driven simulations",
        "Frontiers in Materials",
        "11",
        "1369034",
        2024,
        "lattice against molecular dynamics for glasses",
        "10.3389/fmats.2024.1369034",
    ),
    Work(
        "tisi2024",
        ("Tisi, D.", "Grasselli, F.", "Gigli, L.", "Ceriotti, M."),
        "Thermal conductivity of Li3PS4 solid electrolytes with ab initio accuracy",
        "Physical Review Materials",
        "8",
        "065403",
        2024,
        "lattice against molecular dynamics for crystals",
        "10.1103/PhysRevMaterials.8.065403",
    ),
)

BIBLIOGRAPHY: dict[str, Work] = {work.key: work for work in _WORKS}
"""Every work that can be cited, by key."""


def cited(keys: Iterable[str]) -> list[Work]:
    """The works of known keys, in the order given, each once."""
    return [BIBLIOGRAPHY[key] for key in dict.fromkeys(keys) if key in BIBLIOGRAPHY]


def bibtex(keys: Iterable[str]) -> str:
    """A BibTeX file of these works."""
    return "\n\n".join(work.bibtex for work in cited(keys)) + "\n"
