"""`snnsim validate`: are these files what they should be?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, describe
from snnsim.cli.run import DataDir
from snnsim.errors import ExitCode, SnnError


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Configs, run directories, HDF5 files.")
    ],
    data: DataDir = None,
    json: Json = False,
) -> Reply:
    """Check configs, run directories, recordings and checkpoints without simulating anything.

    \b
    Examples:
      snnsim validate net.toml
      snnsim validate runs/* spikes.h5
    """
    from snnsim.validation import validate as check

    entries: list[dict[str, Any]] = []
    lines: list[str] = []
    first: SnnError | None = None
    for file in files:
        try:
            kind, facts = check(file, data)
        except SnnError as error:
            first = first or error
            entries.append({"file": file, "ok": False, "error": describe(error)})
            lines.append(f"{file}: NOT ok: {error}")
        else:
            entries.append({"file": file, "ok": True, "kind": kind, "facts": facts})
            lines.append(f"{file}: {kind}, ok")
    code = ExitCode.OK if first is None else ExitCode(first.exit_code)
    return Reply({"files": entries}, "\n".join(lines), error=first, exit_code=code)
