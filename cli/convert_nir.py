"""NIR on the command line: from a file into a network, and from a network into a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from snnsim.cli.output import Reply, Usage, columns

if TYPE_CHECKING:
    from snnsim.network import Network

DURATION_MS = 1000.0
"""Of the configs that are written; `snnsim run --duration-ms` changes it."""


@dataclass(frozen=True)
class Source:
    """A network, its step, and what a reader should know."""

    network: Network
    dt_ms: float
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def from_nir(path: Path, dt_ms: float | None, dialect: str, reset: str | None) -> Source:
    """The network of a NIR file."""
    from snnsim.converters.nir import read_nir

    if dt_ms is None:
        problem = "a NIR file has no time step"
        raise Usage(problem, where="--dt-ms", fix="--dt-ms MS: the step of the simulator that it comes from")
    with _noted() as notes:
        network = read_nir(path, dt_ms=dt_ms, dialect=dialect, reset=reset)
    facts = {"source": path.name, "dialect": dialect, "reset": reset, "dt_ms": dt_ms}
    return Source(network, dt_ms, facts, notes)


def from_file(path: Path, kind: str, dt_ms: float | None) -> Source:
    """The network of a config, or of a file that `snnsim convert` wrote."""
    if kind == "config":
        from snnsim.config import load_config

        config = load_config(path)
        return Source(config.network, config.run.dt_ms if dt_ms is None else dt_ms)
    from snnsim.layer_neurons import LayerNeuron
    from snnsim.networkfile import read_network

    network, facts = read_network(path)
    if dt_ms is None:
        dt_ms = facts.get("dt_ms")
        if not isinstance(dt_ms, float) and any(
            isinstance(p.unit, LayerNeuron) for p in network.populations.values()
        ):
            dt_ms = 1.0  # layered networks know steps only
    if not isinstance(dt_ms, float):
        raise Usage("the file does not say its time step", where="--dt-ms", fix="--dt-ms MS")
    return Source(network, dt_ms)


def to_nir(source: Source, output: Path, lower_soft_reset: bool, dry_run: bool) -> Reply:
    """Write NIR, or refuse with all reasons; with dry_run into a folder that is thrown away."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "dry.nir" if dry_run else output
        notes = write_strictly(source.network, path, source.dt_ms, lower_soft_reset)
    facts = {"dt_ms": source.dt_ms, "lower_soft_reset": lower_soft_reset}
    return _reply(source, output, f"NIR, dt {source.dt_ms:g} ms", facts, [output], dry_run, notes)


def write_strictly(network: Network, path: Path, dt_ms: float, lower_soft_reset: bool) -> list[str]:
    """`write_nir`, whose refusals name the options of the command."""
    from snnsim.converters.nir import write_nir
    from snnsim.errors import ConversionError

    try:
        return write_nir(network, path, dt_ms=dt_ms, lower_soft_reset=lower_soft_reset)
    except ConversionError as error:
        error.fix = error.fix.replace("lower_soft_reset=True", "--lower-soft-reset")
        if any(p.unit.KIND == "signed_if" for p in network.populations.values()):
            error.fix = "signed spikes of exact conversions are not in NIR: use --method rate"
        elif "v_init_mv" in error.problem and "rate" not in error.fix:
            error.fix += "; of a trained network: --normalisation snntoolbox starts from 0"
        raise


def to_network(source: Source, output: Path, dry_run: bool) -> Reply:
    """Write a config with its arrays beside it, or a network file."""
    how = f"{source.facts['dialect']}, dt {source.dt_ms:g} ms"
    if output.suffix.lower() == ".toml":
        from snnsim.config import Config, Run, save_config

        run = Run(duration_ms=DURATION_MS, dt_ms=source.dt_ms)
        config = Config(name=output.stem, run=run, network=source.network)
        files = [output, output.with_suffix(".npz")]
        if not dry_run:
            save_config(config, output)
            files = [file for file in files if file.exists()]
        return _reply(source, output, how, source.facts, files, dry_run, (), _next(source.network, output))
    from snnsim.networkfile import write_network

    if not dry_run:
        write_network(output, source.network, source.facts)
    return _reply(source, output, how, source.facts, [output], dry_run, ())


def _reply(
    source: Source, output: Path, how: str, facts: dict[str, Any], files: list[Path], dry_run: bool,
    notes: list[str] | tuple[str, ...], hint: str = "",
) -> Reply:  # fmt: skip
    network = source.network
    sizes = {name: p.n for name, p in network.populations.items()}
    inputs = {name: getattr(s, "n", None) for name, s in network.stimuli.items()}
    links = {name: _synapses(p) for name, p in network.projections.items()}
    answer = facts | {"output": output, "files": files, "populations": sizes, "inputs": inputs,
                      "synapses": links, "probes": list(network.probes)}  # fmt: skip
    rows = [
        *((name, "input", n) for name, n in inputs.items()),
        *((name, p.unit.KIND, p.n) for name, p in network.populations.items()),
    ]
    lines = [f"{output}: {how}", columns(rows, ("population", "kind", "units"))]
    known = [n for n in links.values() if n is not None]
    if known:
        lines.append(f"{len(links):,} projections, {sum(known):,} synapses")
    if dry_run:
        lines.append(f"would write {', '.join(map(str, files))}\nnothing was written")
    elif len(files) > 1 or hint:
        lines.append(f"written: {', '.join(map(str, files))}{hint}")
    return Reply(answer, "\n".join(lines), [*source.warnings, *notes])


def _synapses(projection: Any) -> int | None:
    source = getattr(projection.rule, "source", None)
    return None if source is None else len(source)


def _next(network: Network, output: Path) -> str:
    """Inputs of a NIR file are silent: how to let them fire."""
    silent = [name for name, s in network.stimuli.items() if getattr(s, "rate_hz", None) == 0.0]
    if not silent:
        return f"\nnext: snnsim run {quote(str(output))}"
    changes = " ".join(f"--set stimuli.{name}.rate_hz=50" for name in silent)
    return f"\ninputs are silent; next: snnsim run {quote(str(output))} {changes}"


@contextmanager
def _noted() -> Iterator[list[str]]:
    """What NirWarning says, as sentences."""
    from snnsim.converters.nir import NirWarning

    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NirWarning)
        yield notes
    notes += [str(one.message) for one in caught if issubclass(one.category, NirWarning)]
