"""Tracing a torch model into ATen operations, and loading one from a file without running code from it."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snnsim.errors import ConversionError, FileError

if TYPE_CHECKING:
    import torch

MAX_FILE_BYTES = 16 * 2**30
SAMPLES = 8
"""Samples of the example that are traced and compared."""


class Traced(NamedTuple):
    """A model as operations: its graph module with weights, the samples it was traced with, their output."""

    module: Any
    example: torch.Tensor
    output: torch.Tensor

    def intermediates(self) -> dict[str, np.ndarray]:
        """Values of all operations for the example, by the names of the trace."""
        import torch

        found: dict[str, np.ndarray] = {}

        class Recorder(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                result = super().run_node(n)
                if isinstance(result, torch.Tensor):
                    found[n.name] = result.detach().double().numpy()
                return result

        Recorder(self.module).run(self.example)
        return found


def import_torch() -> Any:
    """The torch package; ConversionError that names what to install when it is missing."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ConversionError(
            "torch is not installed",
            where="read_torch",
            fix="pip install 'snnsim[train]'",
            code="conversion.missing_package",
        ) from error


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """model.eval() for a while; the mode of every module is as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def trace(model: torch.nn.Module, example: np.ndarray | torch.Tensor) -> Traced:
    """The operations of a model on the example, by torch.export; by torch.fx first where that alone fails.

    In-place operations are made plain ones. Raises ConversionError when the model does not run on the
    example or cannot be traced.
    """
    import torch

    samples = _samples(model, example)
    try:
        output = model(samples)
    except Exception as error:
        raise _failure(model, error, "the model does not run on the example", "conversion.example") from error
    if not isinstance(output, torch.Tensor):
        raise ConversionError(
            "the model has no single output",
            where=type(model).__name__,
            got=type(output).__name__,
            expected="one tensor",
            fix="wrap the model in a module that returns one tensor",
            code="conversion.output",
        )
    with _quiet():
        try:
            program = torch.export.export(model, (samples,))
        except Exception as error:
            program = _export_by_fx(model, samples, error)
        module = program.run_decompositions({}).module(check_guards=False)
    module.graph.eliminate_dead_code()
    return Traced(module, samples, output)


def _export_by_fx(model: torch.nn.Module, samples: torch.Tensor, first: Exception) -> Any:
    """torch.fx runs forward() on symbols, so that Python code in it which torch.export refuses is gone."""
    import torch

    try:
        return torch.export.export(torch.fx.symbolic_trace(model), (samples,))
    except Exception:  # whatever forward() and torch raise, it means: not traceable
        problem = "the model cannot be traced"
        said = str(first).lower()
        if "data-dependent" in said or "control flow" in said:
            problem += ": what it computes depends on the data"
        raise _failure(model, first, problem, "conversion.trace") from first


def _samples(model: torch.nn.Module, example: np.ndarray | torch.Tensor) -> torch.Tensor:
    import torch

    samples = (
        example.detach().cpu() if isinstance(example, torch.Tensor) else torch.as_tensor(np.asarray(example))
    )
    if samples.ndim < 2 or samples.numel() == 0:
        raise ConversionError(
            "the example is no batch of samples",
            where="example",
            got=tuple(samples.shape),
            expected="an array [n, *shape of a sample]",
            fix="add an axis in front: example[None]",
            code="conversion.example",
        )
    takes_indices = any(isinstance(m, torch.nn.Embedding | torch.nn.EmbeddingBag) for m in model.modules())
    if not takes_indices:
        weight = next((p for p in model.parameters() if p.is_floating_point()), None)
        samples = samples.to(torch.float32 if weight is None else weight.dtype)
    samples = samples[:SAMPLES]
    if len(samples) == 1:  # one sample would hide what mixes the samples of a batch
        second = samples if takes_indices else 0.5 * samples
        samples = torch.cat([samples, second])
    return samples.clone()


def _failure(model: torch.nn.Module, error: Exception, problem: str, code: str) -> ConversionError:
    """Names the innermost module whose forward() was running, and the line of its code."""
    paths = {id(module): name for name, module in model.named_modules()}
    where, line = type(model).__name__, ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = paths.get(id(frame.f_locals.get("self")))
        if name is not None and frame.f_code.co_name == "forward":
            where = f"{name or 'model'} ({type(frame.f_locals['self']).__name__})"
            line = f"{Path(frame.f_code.co_filename).name}:{number}"
    said = str(error).strip().split("\n")[0][:300] or type(error).__name__
    fix = {
        "conversion.example": "give an example with the shape that the model is used with",
        "conversion.trace": "use no `if` or loop over values of activations, and torch operations only",
    }[code]
    if line:
        fix += f"; see {line}"
    return ConversionError(f"{problem} ({said})", where=where, fix=fix, code=code)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch reports its own deprecations and its failed attempts; ours are errors with a place."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def load_torch_file(path: Path | str, builder: str) -> torch.nn.Module:
    """A model with the weights of a file: a state_dict that torch.save wrote, loaded without running code.

    builder   "package.module:function", a function of yours that returns the torch.nn.Module
    Raises FileError: missing, damaged, not a state_dict, or weights that do not fit the model;
    ConversionError: the builder cannot be imported or returns something else.
    """
    torch = import_torch()
    path = Path(path)
    state = _load_state(torch, path)
    model = _build(torch, builder)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise FileError(
            f"the weights do not fit the model ({' '.join(str(error).split())[:400]})",
            where=str(path),
            fix=f"check that {builder} builds the model that was saved",
            code="file.state_dict",
        ) from error
    return model


def _load_state(torch: Any, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileError("no such file", where=str(path), fix="check the path")
    if not 0 < path.stat().st_size <= MAX_FILE_BYTES:
        raise FileError(
            "the file is empty or too large",
            where=str(path),
            got=f"{path.stat().st_size:,} bytes",
            expected=f"at most {MAX_FILE_BYTES:,} bytes",
        )
    if path.suffix == ".pt2":
        raise FileError(
            "a .pt2 file can run code when it is loaded",
            where=str(path),
            expected="a state_dict, or an ONNX file",
            fix="save model.state_dict() with torch.save, or export the model to ONNX",
            code="file.unsafe",
        )
    release = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if release < (2, 10):
        raise FileError(
            "this torch has a known fault in loading files safely (CVE-2026-24747)",
            where=str(path),
            got=torch.__version__,
            expected="torch >= 2.10",
            fix="pip install --upgrade torch",
            code="file.unsafe",
        )
    try:
        with _quiet():
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise FileError(
            f"not a file of weights alone ({repr(error)[:200]})",
            where=str(path),
            expected="a state_dict",
            fix="save the weights with torch.save(model.state_dict(), path)",
            code="file.unsafe",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise FileError(
            "the file holds something else than named tensors",
            where=str(path),
            got=type(state).__name__,
            expected="a state_dict",
            fix="save the weights with torch.save(model.state_dict(), path)",
            code="file.state_dict",
        )
    return state


def _build(torch: Any, builder: str) -> torch.nn.Module:
    module, _, function = builder.partition(":")
    fix = "write it as package.module:function, where the function returns a torch.nn.Module"
    try:
        model = getattr(importlib.import_module(module), function)()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConversionError(
            f"the model cannot be built ({reason[:300]})",
            where=builder,
            fix=f"{fix}; folders searched: {', '.join(sys.path[:3])}",
            code="conversion.builder",
        ) from error
    if not isinstance(model, torch.nn.Module):
        got = type(model).__name__
        raise ConversionError("not a torch model", where=builder, got=got, fix=fix, code="conversion.builder")
    return model
