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
    faults: list[SnnError] = []
    warnings: list[str] = []
    for file in files:
        try:
            kind, facts = check(file, data)
        except SnnError as error:
            faults.append(error)
            entries.append({"file": file, "ok": False, "error": describe(error)})
            lines.append(f"{file}: NOT ok")  # what is wrong follows on stderr
        else:
            entries.append({"file": file, "ok": True, "kind": kind, "facts": facts})
            warnings += [f"{file}: {warning}" for warning in facts.get("warnings", ())]
            lines.append(f"{file}: {kind}, ok")
    code = ExitCode(faults[0].exit_code) if faults else ExitCode.OK
    first = faults[0] if faults else None
    return Reply({"files": entries}, "\n".join(lines), warnings, first, code, faults[1:])
