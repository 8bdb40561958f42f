"""The `snnsim` command: which commands there are, and how each ends.

Imports nothing heavy: every command imports its work when it is called, so `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from snnsim import __version__
from snnsim.cli import (
    bench,
    convert,
    doctor,
    emulate,
    export,
    inspect,
    models,
    plot,
    report,
    resume,
    run,
    validate,
    verify,
)
from snnsim.cli.output import Reply, Stopped, Usage, as_known, failed, present
from snnsim.errors import ExitCode
from snnsim.jit_cache import configure

COMMANDS: dict[str, Callable[..., Reply]] = {
    "run": run.run,
    "resume": resume.resume,
    "validate": validate.validate,
    "inspect": inspect.inspect,
    "plot": plot.plot,
    "report": report.report,
    "convert": convert.convert,
    "export": export.export,
    "verify": verify.verify,
    "emulate": emulate.emulate,
    "bench": bench.bench,
    "models": models.models,
    "doctor": doctor.doctor,
}

EXIT_CODES = {
    ExitCode.OK: "done",
    ExitCode.BUG: "a bug in snnsim; please report it",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.CONFIG: "the config is wrong, or its network does not fit into memory",
    ExitCode.FILE: "an input file is missing, damaged or unsafe",
    ExitCode.NOT_CONVERTIBLE: "not convertible, or does not fit the target",
    ExitCode.NUMERIC: "the simulation is no longer a number",
    ExitCode.DISK: "disk full, no permission, out of memory while running, or the folder exists already",
    ExitCode.DIFFERS: "verification found a difference",
    ExitCode.INTERRUPTED: "Ctrl-C, after a checkpoint",
    ExitCode.TERMINATED: "SIGTERM, after a checkpoint",
}
_EXIT_TABLE = "\b\nExit codes:\n" + "\n".join(f"  {code:3d}  {text}" for code, text in EXIT_CODES.items())
_BROKEN_PIPE = 141  # what shells report for a program that SIGPIPE ended


class Snnsim(TyperGroup):
    """The group of commands. `main` is the one place where a reply or an error becomes output."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and exit with its code; never a traceback, except with --debug."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        options = given[: given.index("--")] if "--" in given else given
        command = next((word for word in given if word in COMMANDS), "")
        try:
            reply = self._answer(given, prog_name or "snnsim", complete_var, "--debug" in options, extra)
            code = (
                present(reply, command, "--json" in options) if isinstance(reply, Reply) else int(reply or 0)
            )
        except BrokenPipeError:  # `snnsim models | head` is no error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = _BROKEN_PIPE
        sys.exit(code)

    def _answer(
        self, args: list[str], prog_name: str, complete_var: str | None, debug: bool, extra: dict[str, Any]
    ) -> Any:
        """What the command returned, an exit code (after --help), or the error as a reply."""
        try:
            found = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            # Typer turns a Ctrl-C into this number.
            return found if found != ExitCode.INTERRUPTED else failed(Stopped("interrupted"))
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else prog_name
            return failed(Usage(error.format_message(), where=path, fix=f"see `{path} --help`"))
        except (KeyboardInterrupt, typer.Abort):
            return failed(Stopped("interrupted"))
        except BrokenPipeError:
            raise
        except Exception as error:
            if debug:
                traceback.print_exc()
            return failed(as_known(error))


app = typer.Typer(
    name="snnsim",
    cls=Snnsim,
    rich_markup_mode=None,  # plain help: half the time, and examples keep their lines
    pretty_exceptions_enable=False,
    epilog=_EXIT_TABLE,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"snnsim {__version__}")
        raise typer.Exit


@app.callback()
def snnsim(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Describe a spiking network once; simulate it fast and reproducibly.

    \b
    Example:
      snnsim run examples/digits_stdp.toml
    """
    configure()  # before a command imports the first kernel


for _name, _function in COMMANDS.items():
    app.command(_name)(_function)


def main() -> NoReturn:
    """The entry point of the `snnsim` command."""
    app()
    sys.exit(0)
