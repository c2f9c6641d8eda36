"""The command line: thin commands; everything heavy is imported inside them."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ldmd.caches import cache_folder, keep_compiled
from ldmd.errors import LONGEST_LINE, InputError, cut, printable
from ldmd.exit_codes import AGREE, CRASH, DISAGREE, INTERRUPTED, WRONG_INPUT
from ldmd.foreign import quiet

app = typer.Typer(
    help="Do lattice dynamics and molecular dynamics agree on a thermal conductivity, and if not, why?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog="--debug, anywhere on the line, adds details to the log and the traceback to an error.",
    pretty_exceptions_enable=False,
)
potential_app = typer.Typer(
    help="A potential by itself.", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.add_typer(potential_app, name="potential")

OF_THE_MACHINE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE,
    errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
)  # fmt: skip
TERMINATING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run as Ctrl-C does; the exit code is 128 and their number."""

CaseFolder = Annotated[Path, typer.Argument(metavar="CASE", help="Folder with a case.toml.")]
Member = Annotated[
    str | None, typer.Option("--potential", metavar="NAME", help="One of several potentials; default the first.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Short statistics for a first look; nothing systematic changes.")]


@app.command()
def compare(
    case: CaseFolder,
    quick: Quick = False,
    potential: Annotated[
        str | None, typer.Option("--potential", metavar="NAME", help="One of several; default all, and an overview.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of the report; default reports/NAME.")] = None,
) -> None:
    """Compute what is missing, compare the two methods, write the report.

    Exit code 0: they agree and every check passed. 1: they disagree, a check failed, or there is no verdict since the
    dynamics failed its checks. 3: undecided, the error bar is too wide to tell. 4: lattice dynamics does not apply,
    atoms diffuse. 2: the input cannot be used. Of several potentials the worst counts, in the order 0, 3, 1, 4, 2.
    """
    from ldmd.case import potentials_of

    command = " ".join(["ldmd", *sys.argv[1:]])
    if potential is None and potentials_of(case):
        from ldmd.commands import compare_potentials

        with quiet():
            outcome = compare_potentials(case, quick, output, command)
    else:
        from ldmd.commands import compare_one

        with quiet():
            outcome = compare_one(case, quick, output, command, potential)
    _say([_json(outcome.summary)] if as_json else outcome.lines)
    raise typer.Exit(outcome.exit_code)


@app.command()
def check(case: CaseFolder, quick: Quick = False, potential: Member = None) -> None:
    """Print the resolved settings, what the structure is like, and what a comparison will cost."""
    from ldmd.commands import check_case

    lines, sound = check_case(case, quick, potential)
    _say(lines)
    raise typer.Exit(AGREE if sound else DISAGREE)


@app.command()
def new(
    case: CaseFolder,
    name: Annotated[str, typer.Option(help="The material.")] = "a material",
    parameters: Annotated[str, typer.Option(help="Its LAMMPS .tersoff file, in the folder.")] = "potential.tersoff",
) -> None:
    """Write a commented case.toml that holds every default."""
    from ldmd.commands import new_case

    _say([new_case(case, name, parameters)])


@app.command()
def build(
    case: CaseFolder,
    kind: Annotated[str, typer.Option(help="network (continuous random network) or quench (of a melt).")] = "network",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of everything random in it.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=10**6, help="Tetrahedra: 8 m^3; 216 make 648 atoms.")] = 216,
    trials: Annotated[int, typer.Option(min=1, max=10**10, help="Trial bond switches.")] = 1_000_000,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the structure that is there.")] = False,
    potential: Member = None,
) -> None:
    """Build the glass of a case with its own potential: SiO2 or one element, relaxed at zero pressure."""
    from ldmd.commands import build_case

    _say(build_case(case, kind, seed, nodes, trials, replace, potential))


@app.command()
def relax(
    case: CaseFolder,
    potential: Member = None,
    volume: Annotated[
        bool,
        typer.Option("--volume", help="The cell too, at zero pressure: its volume, of a crystal its shape as well."),
    ] = False,
) -> None:
    """Relax the structure of a case with its own potential, in place: positions, and the cell if asked."""
    from ldmd.commands import relax_case

    _say(relax_case(case, potential, volume))


@app.command()
def widths(case: CaseFolder, quick: Quick = False, potential: Member = None) -> None:
    """Linewidths and conductivity for several widths of the kernel, and self-consistent ones without any."""
    from ldmd.commands import study_widths

    _say(study_widths(case, quick, " ".join(["ldmd", *sys.argv[1:]]), potential))


@app.command()
def diagnose(
    case: Annotated[Path | None, typer.Argument(metavar="[CASE]", help="Folder with a case.toml.")] = None,
    quick: Quick = False,
    potential: Member = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Another potential of the case, to hold its linewidths against; default the first one, if both have "
            "the same structure.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    fc3: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Third-order force constants made elsewhere: fc3.hdf5 or FORCES_FC3 of phono3py, FORCE_CONSTANTS_3RD "
            "of ShengBTE, or a folder of kALDo. With a case they are held against the exact ones of its potential.",
        ),
    ] = None,
    fc2: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The second order, if it is not beside them by its usual name.")
    ] = None,
    structure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="phono3py.yaml, CONTROL, or atoms, if not beside them by its usual name."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="K, with --fc3 alone; a case has its own.")] = 300.0,
    width: Annotated[float, typer.Option(help="Of the Gaussian kernel, rad/ps, with --fc3 alone.")] = 0.6,
    force_noise: Annotated[
        float | None, typer.Option(help="Of the forces that they were made of, eV/Angstrom, with --displacement.")
    ] = None,
    displacement: Annotated[
        float | None, typer.Option(help="Step of their finite differences, Angstrom, with --force-noise.")
    ] = None,
) -> None:
    """Why each low-frequency linewidth is what it is; exit code 1 where the force constants are to blame."""
    from ldmd.commands import diagnose_case, diagnose_imported

    if fc3 is not None:
        known = (force_noise, displacement)
        with quiet():
            lines, numbers, sound = diagnose_imported(fc3, fc2, structure, temperature, width, known, case, potential)
    elif case is not None:
        command = " ".join(["ldmd", *sys.argv[1:]])
        with quiet():
            lines, numbers, sound = diagnose_case(case, quick, command, potential, reference)
    else:
        raise typer.BadParameter("give a case folder, or force constants by --fc3", param_hint="CASE")
    _say([_json(numbers)] if as_json else lines)
    raise typer.Exit(AGREE if sound else DISAGREE)


@app.command()
def why(case: CaseFolder, quick: Quick = False, potential: Member = None) -> None:
    """For each stage: is its result there, and if not, which of its inputs changed."""
    from ldmd.commands import explain_stages

    _say(explain_stages(case, quick, potential))


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Of a published file; without it all of them are listed.")
    ] = "",
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Put a copy there.")] = None,
) -> None:
    """Published potentials and data: list them, or get one (into the cache, or a folder) and print its path."""
    from ldmd.fetch import fetch as fetched
    from ldmd.fetch import fetch_to, listing

    if name:
        _say([str(fetched(name) if to is None else fetch_to(name, to))])
    elif to is not None:
        raise typer.BadParameter("name the file to put there", param_hint="NAME")
    else:
        _say(listing())


@potential_app.command("check")
def check_potential(
    target: Annotated[str, typer.Argument(metavar="CASE_OR_POTENTIAL", help="A case folder, a file, or fetch:NAME.")],
    structure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="In place of the structure of the case.")
    ] = None,
    step: Annotated[
        float, typer.Option(help="Of finite differences, Angstrom: jumps within it of a pair count.")
    ] = 0.03,
    threshold: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="noise=1e-6, for example.")] = None,
    potential: Member = None,
) -> None:
    """Forces, symmetries, virials, noise and cutoffs of a potential; exit code 0 if all is sound, 1 if not."""
    from ldmd.commands import check_potential as checked

    lines, sound = checked(target, structure, step, threshold or [], potential)
    _say(lines)
    raise typer.Exit(AGREE if sound else DISAGREE)


@app.command()
def cite(case: CaseFolder) -> None:
    """Print BibTeX of the works that a comparison of this case rests on."""
    from ldmd.commands import citations_of

    _say([citations_of(case)])


@app.command()
def version() -> None:
    """Print the version."""
    from ldmd import __version__

    typer.echo(__version__)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2, a defect of ours exit code 70."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.argv[1:] = [word for word in arguments if word != "--debug"]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler])
    for noisy in ("jax._src", "matplotlib", "h5py", "filelock"):  # the level of "jax" itself is taken for XLA's
        logging.getLogger(noisy).setLevel(logging.WARNING)
    keep_compiled(cache_folder() / "compiled")
    before = sys.unraisablehook
    sys.unraisablehook = functools.partial(_interrupt_again, before)
    with _terminable() as received:
        code = _guarded(debug)
    sys.unraisablehook = before
    _flush()
    if code == INTERRUPTED:  # a compilation that was interrupted leaves JAX in a state in which its teardown crashes
        os._exit(128 + received[0] if received else code)
    sys.exit(code)


class _Plain(logging.Formatter):
    """One line for each message, of printable characters: names come from files."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return printable(text, kept="" if record.name.startswith("ldmd") else "\n\t")


def _say(lines: Iterable[str]) -> None:
    """Print lines; what is not printable in them is shown and not obeyed by the terminal."""
    typer.echo("\n".join(printable(line, kept="\n") for line in lines))


def _json(numbers: Mapping[str, Any]) -> str:
    """Numbers for programs; what is not a finite number is null."""
    from ldmd.report.summary import jsonable

    return json.dumps(jsonable(numbers), indent=2, allow_nan=False)


@contextlib.contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let signals that end a process end it as Ctrl-C does, which keeps the work; yields the signals that came.

    A signal that the caller ignores, as ``nohup`` does, is ignored.
    """
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    mine = [number for number in TERMINATING if here and signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _interrupt_again(otherwise: Callable[[Any], object], found: Any) -> None:
    """Python drops a Ctrl-C that comes during a callback of the garbage collector (JAX has one): send it once more."""
    if issubclass(found.exc_type, KeyboardInterrupt):
        main_thread = threading.main_thread().ident
        threading.Timer(0.1, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
    else:
        otherwise(found)


def _guarded(debug: bool) -> int:
    try:
        code = int(app(prog_name="ldmd", standalone_mode=False) or 0)
        sys.stdout.flush()
    except InputError as error:
        _report(_traceback() if debug else f"ldmd: {error}")
        return WRONG_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read the output wants no more of it
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 - the outermost frame: a crash is one line and its own exit code
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a mistake on the command line itself
            error.show()
            return WRONG_INPUT
        machine = _of_the_machine(error)
        reason = printable(cut((str(error).splitlines() or [""])[0], LONGEST_LINE))
        finding = machine or f"{type(error).__name__}: {reason} (a defect of ldmd; --debug shows where)"
        _report(_traceback() if debug else f"ldmd: {finding}")
        return WRONG_INPUT if machine else CRASH
    if code == INTERRUPTED:  # some versions of typer turn Ctrl-C into this code and say nothing
        fix = "finished stages and the checkpoints are kept, run the same command to go on"
        _report(f"ldmd: stopped; {fix}")
    return code


def _report(text: str) -> None:
    """Say on standard error what happened; where that is closed or full, the exit code has to do."""
    with contextlib.suppress(OSError):
        typer.echo(printable(text, kept="\n"), err=True)


def _flush() -> None:
    """Write out what was printed; a failure was told already, and Python would tell it once more at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _of_the_machine(error: Exception) -> InputError | None:
    """What the machine refuses - room, memory, permissions - is for the user to mend, wherever it shows."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)[:LONGEST_LINE]:
        fix = "used up; use a smaller cell, a shorter run or a larger machine, what is finished is kept"
        return InputError("memory", type(error).__name__, fix)
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        fix = f"{error.strerror}; make room or mend its permissions, what is finished is kept"
        return InputError("file", error.filename or "output", fix)
    return None


def _traceback() -> str:
    """Where the error of the moment came from; its last line names the error."""
    import traceback

    return traceback.format_exc().rstrip()
