"""Writing an integer network as a Lava-DL NetX file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.loihi.netx_chain import Link, chain
from snnsim.hardware.loihi.netx_file import text_of, write_datasets
from snnsim.hardware.loihi.netx_neurons import NEVER, NO_MEMORY, write_unit
from snnsim.hardware.loihi.netx_notes import NetxNetwork, NetxNotes
from snnsim.network import Network

MOST_DELAY = 62
_FLOATS = ("weight", "weight_rec", "bias", "delay")
_FREE = ("inFeatures", "outFeatures", "inChannels", "outChannels", "bias", "delay")
"""Fields that a file may lack: what they say is said elsewhere, or they are 0."""
_LIF = ("CUBA", "LOIHI")


def write_netx(network: Network, path: Path | str) -> None:
    """Write an integer network for Lava's NetX reader, whole or not at all.

    network  a chain: one Analogue input, then populations of IntegerLIF of the rule "loihi2", or of
             SigmaDelta, joined by dense matrices, convolutions and sums over windows, which become
             convolutions; a population may feed itself by a dense matrix.  A projection takes 1 step and
             its delay on top; an `into` without delay from the input makes an input layer.
    Of a network that `read_netx` gave, all datasets are written as they were, but for what has been changed.
    Raises TargetError for what such a file cannot say, and StorageError.
    """
    notes = network.notes if isinstance(network, NetxNetwork) else NetxNotes()
    links = chain(network)
    if [link.name for link in links] != list(notes.layers):
        notes = NetxNotes(spike_exp=notes.spike_exp)
    found: dict[str, np.ndarray] = {}
    for i, fields in enumerate(_Layers(links, notes).all()):
        found |= {f"layer/{i}/{key}": value for key, value in fields.items()}
    others = {name: value for name, value in notes.datasets.items() if not name.startswith("layer/")}
    write_datasets(path, found | others)


@dataclass
class _Layers:
    """The layers of a file one by one; `waiting` are those of the notes that no population has."""

    links: list[Link]
    notes: NetxNotes
    waiting: list[int] = field(default_factory=list)

    def all(self) -> Iterator[Mapping[str, np.ndarray]]:
        numbers = {int(name.split("/")[1]) for name in self.notes.datasets if name.startswith("layer/")}
        self.waiting = sorted(numbers - set(self.notes.layers.values()))
        shape = self.links[0].source_shape
        if len(shape) == 3 and not self.waiting and self.links[0].kind != "input":
            yield {"type": _kind("input"), "shape": np.array(shape)}
        for link in self.links:
            flat = len(shape) == 1
            for i in self._before(self.notes.layers.get(link.name, 0)):
                flat = flat or text_of(self._kept(i)["type"]) == "flatten"
                yield self._kept(i)
            if not flat and link.kind.startswith("dense") and not self._was_dense(link):
                yield {"type": _kind("flatten"), "shape": np.array([prod(shape), 1, 1])}
            yield self._one(link)
            shape = link.shape
        for i in self.waiting:
            yield self._kept(i)

    def _was_dense(self, link: Link) -> bool:
        """In the file, which then did without a flatten layer."""
        if not self.notes.layers:
            return False
        return (text_of(self._kept(self.notes.layers[link.name])["type"]) or "").startswith("dense")

    def _before(self, number: int) -> list[int]:
        found = [i for i in self.waiting if i < number]
        self.waiting = self.waiting[len(found) :]
        return found

    def _kept(self, number: int) -> dict[str, np.ndarray]:
        head = f"layer/{number}/"
        return {k.removeprefix(head): v for k, v in self.notes.datasets.items() if k.startswith(head)}

    def _one(self, link: Link) -> dict[str, np.ndarray]:
        """The layer of a population: what the network says, and beyond it what the notes have."""
        where = f"populations.{link.name}.neuron"
        neuron, mantissas = write_unit(link.unit, where, self.notes.spike_exp)
        bias = np.broadcast_to(mantissas, (prod(link.shape),))
        kept = self._kept(self.notes.layers[link.name]) if self.notes.layers else {}
        if kept and text_of(kept["type"]) != link.kind:  # pooling, which was lowered
            kept = {key: value for key, value in kept.items() if key.startswith("neuron/") or key == "shape"}
        says: dict[str, Any] = {"shape": list(link.shape), **link.fields}
        if link.kind != "input":
            says["bias"] = _by_channel(bias, link, where)
            says["delay"] = _delay(link, kept.get("delay"))
        elif np.any(bias):
            raise TargetError(
                "the bias of an input layer is its input", where=f"{where}.bias", got=float(bias.max()),
                expected="0", fix="add the bias to the input",
            )  # fmt: skip
        found = {"type": _kind(link.kind)}
        for key, value in says.items():
            if key in kept:
                found[key] = _like(np.asarray(value, np.float64), kept[key], key)
            elif key not in _FREE or (np.any(value) if key in _FLOATS else not kept):
                found[key] = np.asarray(value, np.float32 if key in _FLOATS else np.int64)
        return kept | found | _neuron(neuron, kept)


_DEFAULTS = ("refDelay", "gradedSpike", "activation")
"""What the network says nothing about; of fields without use, a file need not have them."""


def _neuron(says: dict[str, object], kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for key, value in says.items():
        old = kept.get(f"neuron/{key}")
        if kept and (key in _DEFAULTS or (old is not None and _unsaid(key, says, old))):
            continue
        if isinstance(value, str):
            found[f"neuron/{key}"] = np.array(value, h5py.string_dtype())
        elif old is not None:
            found[f"neuron/{key}"] = _like(np.asarray(value), old, key)
        else:
            found[f"neuron/{key}"] = np.asarray(NO_MEMORY if value is None else value)
    return found


def _unsaid(key: str, says: dict[str, object], old: np.ndarray) -> bool:
    """Does the network say nothing about this field of the file, or the same in other words?"""
    if key == "type":
        return {text_of(old), says["type"]} <= set(_LIF)
    if key == "iDecay":
        return says["iDecay"] is None
    if key == "vThMant":
        return "sigma_output" in says or (says[key] == NEVER and bool(np.all(old >= NEVER // 2)))
    return False


def _kind(name: str) -> np.ndarray:
    return np.array([name.encode()], "S10")


def _like(value: np.ndarray, old: np.ndarray, key: str) -> np.ndarray:
    """`value` with the shape that the file had, and with its type, where that holds what has been changed."""
    if key == "shape" and value.size != old.size and np.prod(value) == np.prod(old):
        return old
    if value.size == old.size:
        value = value.reshape(old.shape)
    elif old.size == 1 and np.unique(value).size == 1:
        value = np.full(old.shape, value.flat[0])
    with np.errstate(invalid="ignore"):
        same = value.astype(old.dtype)
    return same if np.array_equal(same, value) else value.astype(np.float32 if key in _FLOATS else np.int64)


def _by_channel(bias: np.ndarray, link: Link, where: str) -> np.ndarray:
    """float64[channels], or [n] of what is no map."""
    maps = bias.reshape(link.shape[0], -1)
    if np.any(maps != maps[:, :1]):
        raise TargetError(
            "neurons of a channel share their bias in a NetX file", where=f"{where}.bias",
            fix="give one value a channel",
        )  # fmt: skip
    return maps[:, 0]


def _delay(link: Link, old: np.ndarray | None) -> np.ndarray:
    """Steps beyond the first, as a number, or for each source or target."""
    linked, steps = link.steps >= 0, link.steps.astype(np.float64)
    if steps.max(initial=0) > MOST_DELAY:
        raise TargetError(
            "a delay that is too long", where=f"the projections to populations.{link.name}",
            got=f"{int(steps.max()) + 1} steps", expected=f"at most {MOST_DELAY + 1} steps",
        )  # fmt: skip
    if steps.ndim == 0:
        return steps
    if old is not None:
        for shape in ((-1, 1), (1, -1)) if old.size > 1 else ((1, 1),):
            given = old.reshape(shape).astype(np.float64)
            if given.shape[0] in (1, steps.shape[0]) and given.shape[1] in (1, steps.shape[1]):
                if not np.any((given != steps) & linked):
                    return old.astype(np.float64)
                break
    for axis in (None, 0, 1):
        longest = steps.max(axis=axis, keepdims=True, initial=0)
        if not np.any((longest != steps) & linked):
            if axis == 0 and steps.shape[0] == steps.shape[1]:
                continue  # Lava would take them for those of targets
            return longest.squeeze() if axis is None else longest.ravel()
    raise TargetError(
        "delays differ by source and by target", where=f"the projections to populations.{link.name}",
        expected="one delay for each source, or for each target",
    )  # fmt: skip
