"""Published potentials and reference data, pinned by address and SHA-256: ``ldmd fetch`` and ``fetch:NAME``.

A file is looked for in the folder that ``LDMD_DATA`` names, then in the cache (``LDMD_CACHE``, else the platform's
folder for caches), and only then downloaded into the cache. Every file is checked against its SHA-256 whenever it is
used; a damaged one in the cache is replaced. None of them is part of this package: their licences are their authors'.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from ldmd.caches import cache_folder
from ldmd.case import FETCH
from ldmd.errors import InputError

logger = logging.getLogger(__name__)

SECONDS_WITHOUT_ANSWER = 30.0
"""After which a server counts as out of reach."""
CHUNK = 2**16
"""Bytes taken from a server at a time."""
FIELD = "published file"


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """One file as its authors published it."""

    name: str
    what: str
    repository: str
    """On GitHub, owner/name."""
    commit: str
    path: str
    """In that repository."""
    place: str
    """In the folder of LDMD_DATA and in the cache."""
    size: int
    """Bytes."""
    sha256: str
    licence: str
    """Of the repository."""

    @property
    def url(self) -> str:
        """Where these very bytes can be had."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"

    @property
    def source(self) -> str:
        """The same for people."""
        return f"{self.repository}: {self.path} @ {self.commit[:8]}"


GPUMD = ("brucefan1983/GPUMD", "d98135deee27068f4f30605fbc581d4c613fff99")
TUTORIALS = ("brucefan1983/GPUMD-Tutorials", "bca2d7e87c087ec90e8b5d0940a515d847eb09a2")
LI3PS4 = "examples/28_thermal_transport_superionic_EMD/Li3PS4/nepA"
PHONO3PY = ("phonopy/phono3py", "2dc8200a65dc3a4dd3824d248af50545f03f8ea2")

REGISTRY = (
    PublishedFile(
        "silicon-nep4-3body",
        "NEP4 potential of silicon",
        *GPUMD,
        "potentials/nep/Si_2022_NEP4_3body.txt",
        "nep/Si_2022_NEP4_3body.txt",
        50446,
        "ad5c2c273a95684d2b19b5b26295b2914e6412a2fe2c377e09ece399b7fa22ca",
        "GPL-3.0",
    ),
    PublishedFile(
        "silicon-nep4-5body",
        "NEP4 potential of silicon with invariants up to five bodies",
        *GPUMD,
        "potentials/nep/Si_2022_NEP4_5body.txt",
        "nep/Si_2022_NEP4_5body.txt",
        68398,
        "e962a82cecc7e1a153d28a8026a87ce8b0dcc280ca7588b12b793bd5315cf78c",
        "GPL-3.0",
    ),
    PublishedFile(
        "carbon-nep4",
        "NEP4 potential of carbon (2024)",
        *GPUMD,
        "potentials/nep/C_2024_NEP4.txt",
        "nep/C_2024_NEP4.txt",
        116974,
        "add6b3f64fdd3cecebb3aae511816fe4183e4c4a22b058f108f3f0ea1c531623",
        "GPL-3.0",
    ),
    PublishedFile(
        "lead-telluride-nep3",
        "NEP3 potential of PbTe, one network for both elements",
        *TUTORIALS,
        "examples/25_lattice_dynamics_kappa/nep.txt",
        "nep/PbTe_nep3.txt",
        21693,
        "9517a126fd5a64f696cf08879a44bf8affc86d1d7efa33705c0c1c2085d8f081",
        "GPL-3.0",
    ),
    PublishedFile(
        "mgsbbi-nep4",
        "NEP4 potential of Mg3(Sb,Bi)2",
        "Danieloyp/MgSbBi-alloy-MTP-potential",
        "3d835a50d5281075af9271e0b8ad2a04dde066b3",
        "NEP/NEMD/nep.txt",
        "nep/MgSbBi_nep4.txt",
        158688,
        "a0f1a72b270e2192ae2ffceab42ef01dc1c192601aa44f48e62780c28e25ce76",
        "BSD-3-Clause",
    ),
    PublishedFile(
        "li3ps4-nep-a",
        "NEP potential A of Li3PS4 (arXiv:2512.04718)",
        *TUTORIALS,
        f"{LI3PS4}/input/nep.txt",
        "li3ps4/nepA.txt",
        133922,
        "6d76de4d31b9c8c4826e15993964d0801143f8a0f8d0e8aa98306a9c240db62d",
        "GPL-3.0",
    ),
    PublishedFile(
        "li3ps4-alpha",
        "alpha-Li3PS4, 6144 atoms, extended XYZ",
        *TUTORIALS,
        f"{LI3PS4}/input/model.xyz",
        "li3ps4/alpha_6144.xyz",
        387237,
        "a9f9a2997bde7fed8f2b10fd07d7a92b5933ca54c2439f1d1c584017d94d8c79",
        "GPL-3.0",
    ),
    PublishedFile(
        "li3ps4-onsager-650k",
        "Onsager coefficients of Li3PS4 with potential A at 650 K",
        *TUTORIALS,
        f"{LI3PS4}/Reference/Temperature_kappa_650K.txt",
        "li3ps4/nepA_reference_650K.txt",
        369,
        "4f98e7167e85aae5b3d3cc290eb0dab4812d647b377fe6159347b874c3cc8d11",
        "GPL-3.0",
    ),
    PublishedFile(
        "silica-bks-flux",
        "heat flux of amorphous SiO2, 216 atoms, 983 K, 1 fs",
        "sissaschool/sportran",
        "677d2bb5108ba05906cb3aa580d3a974efc77793",
        "examples/data/Silica/Silica.dat",
        "fluxes/silica_bks_216.dat",
        4106032,
        "3961d517773f777835057d40f05f17c5bf88fbd3323f1484f94b10982807d1d2",
        "GPL-3.0",
    ),
    PublishedFile(
        "argon-70k-flux",
        "heat flux of Lennard-Jones argon, 256 atoms, 70 K",
        "AtomicTessellator/fhi-vibes",
        "3f7d77cc3f5a495cfe13e59ae128aa3d77e9e153",
        "tests/green_kubo/lammps/flux.csv.bz2",
        "fluxes/argon_70K_flux.csv.bz2",
        1363676,
        "54d34adacafef5eeb5cbdb72294bf1b8aa7312763cf6539bb048b48c489c3c8d",
        "MIT",
    ),
    PublishedFile(
        "silicon-pbesol-phono3py",
        "phono3py supercell and displacements of silicon",
        *PHONO3PY,
        "test/phono3py_si_pbesol.yaml",
        "phono3py/phono3py_si_pbesol.yaml",
        32800,
        "8dcdb72429ebe439455c5f1fc9658c3bcef875dced3521336d3a9da38b45c660",
        "BSD-3-Clause",
    ),
    PublishedFile(
        "silicon-pbesol-forces",
        "forces (FORCES_FC3) for those displacements, PBEsol",
        *PHONO3PY,
        "test/FORCES_FC3_si_pbesol",
        "phono3py/FORCES_FC3_si_pbesol",
        357907,
        "a8d1aba00d8a33e07785182669958218356d6b6c680c70cae02f3f459fb92c1c",
        "BSD-3-Clause",
    ),
)


def published(name: str) -> PublishedFile:
    """The file of a name.

    Raises
    ------
    InputError
        Where there is none; with the nearest name.
    """
    known = {file.name: file for file in REGISTRY}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        fix = f"did you mean {near[0]}?" if near else "unknown; `ldmd fetch` lists the names"
        raise InputError(FIELD, name, fix)
    return known[name]


def found(file: PublishedFile) -> tuple[str, Path] | None:
    """Where a sound copy lies already: ("LDMD_DATA" or "cache", path). Damaged copies are named and passed over."""
    folders = [("cache", cache_folder())]
    if os.environ.get("LDMD_DATA"):
        folders.insert(0, ("LDMD_DATA", Path(os.environ["LDMD_DATA"]).expanduser()))
    for place, folder in folders:
        path = folder / file.place
        if not path.is_file():
            continue
        if _sha256(path) == file.sha256:
            return place, path
        logger.warning("%s is not the published file (its SHA-256 differs)", path)
    return None


def fetch(name: str) -> Path:
    """A sound copy of a published file on this machine, downloaded if need be.

    Raises
    ------
    InputError
        Where the name is unknown, the file cannot be downloaded or written, or what comes is not what was published.
    """
    file = published(name)
    here = found(file)
    return here[1] if here else _download(file)


def fetch_to(name: str, folder: Path) -> Path:
    """Put a copy into a folder under its published name; a different file of that name is not replaced.

    Raises
    ------
    InputError
        As ``fetch``, and where the folder holds another file of that name or cannot be written.
    """
    from ldmd.store import write_atomically

    file = published(name)
    target = folder / Path(file.place).name
    if target.exists():
        if target.is_file() and _sha256(target) == file.sha256:
            return target
        raise InputError("--to", target, "another file of this name is there already; move it away first")
    write_atomically(target, fetch(name).read_bytes(), "--to")
    return target


def resolve(name_or_path: str, folder: Path) -> Path:
    """The file that a case names: ``fetch:NAME``, or a path relative to its folder (which need not exist).

    Raises
    ------
    InputError
        As ``fetch``.
    """
    if name_or_path.startswith(FETCH):
        return fetch(name_or_path.removeprefix(FETCH).strip())
    return folder / name_or_path


def listing() -> list[str]:
    """All published files: name, size, licence, where it is found, and below what it is and where it is from."""
    width = max(len(file.name) for file in REGISTRY)
    lines = [f"{'name':<{width}}  {'size':>8}  {'licence':<12}  found"]
    for file in REGISTRY:
        here = found(file)
        place = f"{here[0]} ({here[1]})" if here else "not here yet"
        lines.append(f"{file.name:<{width}}  {_readable(file.size):>8}  {file.licence:<12}  {place}")
        lines.append(f"{'':<{width}}  {file.what}; {file.source}")
    return [*lines, "", 'In a case: parameters = "fetch:NAME". A copy for yourself: ldmd fetch NAME --to FOLDER.']


def _download(file: PublishedFile) -> Path:
    """Into the cache, checked before it gets its name there: what was there before stays until then."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it is said here, in our own words
    folder = cache_folder()
    logger.info("downloading %s (%s) from %s", file.name, _readable(file.size), file.url)
    store = pooch.create(
        path=folder, base_url="", registry={file.place: f"sha256:{file.sha256}"}, urls={file.place: file.url}
    )
    try:
        try:
            path = store.fetch(file.place, downloader=_stream_of(file))
        except ValueError:
            logger.info("what came is not what was published: downloading it once more")
            path = store.fetch(file.place, downloader=_stream_of(file))
    except OSError as error:
        if error.errno is not None and not _from_network(error):
            fix = f"cannot be written ({error.strerror}); make room, or let LDMD_CACHE name another folder"
            raise InputError(FIELD, folder / file.place, fix) from error
        fix = f"cannot be downloaded ({_reason(error)}); get {file.url} elsewhere and save it as {folder / file.place}"
        raise InputError(FIELD, file.name, fix) from error
    except ValueError as error:
        fix = f"what {file.url} gives has another SHA-256 than what was published; it was not kept"
        raise InputError(FIELD, file.name, fix) from error
    return Path(path)


def _stream_of(file: PublishedFile) -> Callable[[str, str, object], None]:
    """What brings an address to a path, and takes no more than the file may have."""
    import requests

    def bring(url: str, path: str, _: object) -> None:
        taken = 0
        with requests.get(url, stream=True, timeout=SECONDS_WITHOUT_ANSWER) as response, open(path, "wb") as target:
            response.raise_for_status()
            for part in response.iter_content(CHUNK):
                taken += len(part)
                if taken > file.size:
                    raise ValueError(f"more than {file.size} bytes")
                target.write(part)

    return bring


def _from_network(error: OSError) -> bool:
    """Whether an error came from the library that speaks HTTP; its errors are errors of the system by inheritance."""
    return any(kind.__module__.partition(".")[0] in ("requests", "urllib3") for kind in type(error).__mro__)


def _reason(error: OSError) -> str:
    """A few words: the library's own text is a paragraph. Its answer is closed, which it leaves to chance."""
    response = getattr(error, "response", None)
    if response is None:
        return type(error).__name__
    response.close()
    return f"HTTP status {response.status_code}"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(FIELD, path, f"cannot be read ({error.strerror}); mend its permissions") from error


def _readable(size: int) -> str:
    """Bytes for people, in powers of ten."""
    return f"{size} B" if size < 1000 else f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
