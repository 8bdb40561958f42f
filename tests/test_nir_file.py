"""NIR files that are old, unusual, damaged or malicious."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from nir_examples import FIXTURES, WORD, chain, graph, lif, needs_fixtures, node, save

from snnsim.converters.nir_file import NirWarning, read_file
from snnsim.converters.nir_read import read_nir
from snnsim.errors import ConversionError, FileError, SnnError


def small(path: Path) -> Path:
    """A file with every type of node that can be read."""
    nodes = {
        "input": node("Input", shape=[1, 6, 6]),
        "conv": node("Conv2d", input_shape=[6, 6], weight=np.ones((2, 1, 3, 3)), stride=[1, 1],
                     padding="same", dilation=[1, 1], groups=1, bias=[0.1, 0.2]),
        "if": node("IF", r=np.ones((2, 6, 6)), v_threshold=np.ones((2, 6, 6))),
        "pool": node("SumPool2d", kernel_size=[2, 2], stride=[2, 2], padding=[0, 0]),
        "avg": node("AvgPool2d", kernel_size=[1, 1], stride=[1, 1], padding=[0, 0]),
        "flat": node("Flatten", start_dim=0, end_dim=-1, input_type=[2, 3, 3]),
        "fc": node("Affine", weight=np.ones((4, 18)), bias=np.zeros(4)),
        "later": node("Delay", delay=np.full(4, 1e-3)),
        "lif": lif(4),
        "rec": node("Linear", weight=np.eye(4)),
        "scale": node("Scale", scale=np.full(4, 0.5)),
        "cuba": node("CubaLIF", tau_syn=np.full(4, 0.002), tau_mem=np.full(4, 0.01), r=np.ones(4),
                     v_leak=np.zeros(4), v_threshold=np.ones(4), w_in=1.0),
        "li": node("LI", tau=np.full(4, 0.01), r=np.ones(4), v_leak=np.zeros(4)),
        "output": node("Output", shape=[4]),
    }  # fmt: skip
    edges = [("input", "conv"), ("conv", "if"), ("if", "pool"), ("pool", "avg"), ("avg", "flat"),
             ("flat", "fc"), ("fc", "later"), ("later", "lif"), ("lif", "rec"), ("rec", "lif"),
             ("lif", "scale"), ("scale", "cuba"), ("cuba", "li"), ("li", "output")]  # fmt: skip
    return save(path, graph(nodes, edges, dt=1e-4))


@needs_fixtures
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("01_lif/lif_norse", {"n1": 1}),  # written by 0.1.1
        ("01_lif/lif_rockpool", {"n1_LIFNeuronTorch": 1}),
        ("02_cnn/cnn_sinabs", {"n1": 4096, "n10": 256, "n12": 10, "n3": 4096, "n6": 512}),
        ("03_rnn/braille_noDelay_bias_zero", {"lif1_lif": 38, "lif2": 7}),
        ("03_rnn/braille_noDelay_noBias_subtract", {"lif1_lif": 40, "lif2": 7}),
    ],
)
def test_files_of_the_paper(name: str, sizes: dict[str, int]) -> None:
    network = read_nir(FIXTURES / f"{name}.nir", dt_ms=0.1, dialect="snntorch")
    assert {name: p.n for name, p in network.populations.items()} == sizes


@pytest.mark.parametrize("version", ["0.1.1", "0.2.0", "1.0.6", "1.0.99", "17"])
def test_the_version_does_not_matter(version: str, tmp_path) -> None:
    assert read_nir(save(tmp_path / "a.nir", chain(lif(1)), version), dt_ms=1.0).populations["n0"].n == 1


def test_unknown_fields_are_told_and_left_out(tmp_path) -> None:
    file = save(tmp_path / "a.nir", chain(lif(1, gamma=3.0)))
    with pytest.warns(NirWarning, match="0 \\(LIF\\): unknown field gamma"):
        read_nir(file, dt_ms=1.0)


def test_an_edge_given_twice_counts_once(tmp_path) -> None:
    content = chain(node("Linear", weight=[[2.0]]), lif(1))
    once = read_nir(save(tmp_path / "a.nir", content), dt_ms=1.0)
    content["edges"].append(("input", "0"))
    with pytest.warns(NirWarning, match="given twice"):
        assert read_nir(save(tmp_path / "b.nir", content), dt_ms=1.0) == once


def test_single_numbers_stand_for_all(tmp_path) -> None:
    file = save(tmp_path / "a.nir", chain(node("Linear", weight=np.ones((3, 2))), lif(), n=2))
    plain = save(tmp_path / "b.nir", chain(node("Linear", weight=np.ones((3, 2))), lif(3), n=2))
    assert read_nir(file, dt_ms=1.0) == read_nir(plain, dt_ms=1.0)


def test_everything_that_cannot_be_is_told_at_once(tmp_path) -> None:
    file = save(tmp_path / "a.nir", chain(node("Fancy", x=1), lif(1), node("Threshold", threshold=[1.0])))
    with pytest.raises(ConversionError) as caught:
        read_nir(file, dt_ms=1.0)
    assert all(part in str(caught.value) for part in ("0: nodes of type Fancy", "2: a Threshold outside"))


def faulty(tmp_path: Path, change) -> Path:
    path = small(tmp_path / "bad.nir")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(file: h5py.File, key: str, value) -> None:
    del file[key]
    file.create_dataset(key, data=value, dtype=WORD if isinstance(value, str) else None)


FAULTS = {
    "no graph": lambda f: f.__delitem__("node"),
    "no nodes": lambda f: f.__delitem__("node/nodes"),
    "no edges": lambda f: f.__delitem__("node/edges"),
    "no type": lambda f: f.__delitem__("node/nodes/lif/type"),
    "no tau": lambda f: f.__delitem__("node/nodes/lif/tau"),
    "a node that is a number": lambda f: replace(f, "node/nodes/lif", 1.0),
    "a type that is a number": lambda f: replace(f, "node/nodes/lif/type", 1.0),
    "text for numbers": lambda f: replace(f, "node/nodes/lif/tau", "fast"),
    "not finite": lambda f: replace(f, "node/nodes/lif/tau", np.full(4, np.nan)),
    "complex": lambda f: replace(f, "node/nodes/lif/tau", np.full(4, 1j)),
    "empty": lambda f: replace(f, "node/nodes/lif/tau", np.zeros(0)),
    "another size": lambda f: replace(f, "node/nodes/lif/tau", np.ones(3)),
    "negative tau": lambda f: replace(f, "node/nodes/lif/tau", -np.ones(4)),
    "tau 0": lambda f: replace(f, "node/nodes/lif/tau", np.zeros(4)),
    "a threshold below the reset": lambda f: replace(f, "node/nodes/lif/v_threshold", -np.ones(4)),
    "r 0": lambda f: replace(f, "node/nodes/cuba/r", np.zeros(4)),
    "negative delay": lambda f: replace(f, "node/nodes/later/delay", -np.ones(4)),
    "delay off the grid": lambda f: replace(f, "node/nodes/later/delay", np.full(4, 1.5e-4)),
    "huge delay": lambda f: replace(f, "node/nodes/later/delay", np.full(4, 1e300)),
    "stride 0": lambda f: replace(f, "node/nodes/conv/stride", np.zeros(2)),
    "stride 1.5": lambda f: replace(f, "node/nodes/conv/stride", np.full(2, 1.5)),
    "groups": lambda f: replace(f, "node/nodes/conv/groups", 3),
    "huge dilation": lambda f: replace(f, "node/nodes/conv/dilation", np.full(2, 2**40)),
    "unknown padding": lambda f: replace(f, "node/nodes/conv/padding", "reflect"),
    "huge padding": lambda f: replace(f, "node/nodes/conv/padding", np.full(2, 2**30)),
    "weight of 3 dimensions": lambda f: replace(f, "node/nodes/conv/weight", np.ones((2, 1, 3))),
    "huge kernel": lambda f: replace(f, "node/nodes/pool/kernel_size", np.full(2, 2**30)),
    "no such dimension": lambda f: replace(f, "node/nodes/flat/end_dim", 9),
    "matrix of another size": lambda f: replace(f, "node/nodes/fc/weight", np.ones((4, 17))),
    "weight that is a vector": lambda f: replace(f, "node/nodes/rec/weight", np.ones(4)),
    "huge input": lambda f: replace(f, "node/nodes/input/shape", np.full(3, 2**40)),
    "input of 0": lambda f: replace(f, "node/nodes/input/shape", np.zeros(3, int)),
    "unknown node": lambda f: replace(f, "node/nodes/lif/type", "Izhikevich"),
    "edges of numbers": lambda f: replace(f, "node/edges", np.ones((3, 2))),
    "no edges at all": lambda f: replace(f, "node/edges", np.zeros((0, 2))),
    "not utf-8": lambda f: replace(f, "node/nodes/lif/type", np.bytes_(b"\xff\xfe")),
    "soft link": lambda f: f["node/nodes"].__setitem__("more", h5py.SoftLink("/version")),
    "external link": lambda f: f["node/nodes"].__setitem__("more", h5py.ExternalLink("/etc/passwd", "/")),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_errors_with_a_place(name: str, tmp_path) -> None:
    with pytest.raises(SnnError) as caught:
        read_nir(faulty(tmp_path, FAULTS[name]), dt_ms=0.1)
    assert isinstance(caught.value, FileError | ConversionError)


def test_the_file_without_faults_is_read(tmp_path) -> None:
    network = read_nir(small(tmp_path / "a.nir"), dt_ms=0.1)
    assert list(network.populations) == ["cuba", "if", "li", "lif"]
    assert network.probes["output"].variable == "v_mv"


def test_an_edge_to_nowhere(tmp_path) -> None:
    content = chain(lif(1))
    content["edges"].append(("0", "nobody"))
    with pytest.raises(FileError, match="an edge to a node that is not there; got 'nobody'"):
        read_file(save(tmp_path / "a.nir", content))


def test_names_that_are_too_long(tmp_path) -> None:
    with pytest.raises(FileError, match="too long"):
        read_file(save(tmp_path / "a.nir", chain(node("L" * 5000))))


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_not_even_hdf5(content: bytes, tmp_path) -> None:
    path = tmp_path / "a.nir"
    path.write_bytes(content)
    with pytest.raises(FileError):
        read_nir(path, dt_ms=0.1)


@pytest.mark.parametrize("n_files", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_no_damaged_file_is_a_traceback(n_files: int, tmp_path) -> None:
    """Bytes changed anywhere, pieces cut out, ends cut off: an error of ours, or a network."""
    whole = np.frombuffer(small(tmp_path / "whole.nir").read_bytes(), np.uint8)
    rng = np.random.default_rng(n_files)
    path, refused = tmp_path / "damaged.nir", 0
    for k in range(n_files):
        data = whole.copy()
        if k % 10 == 0:
            data = data[: rng.integers(1, data.size)]
        else:
            at = rng.integers(0, data.size, rng.integers(1, 60 if k % 2 else 6))
            data[at] = rng.choice([0, 1, 0x7F, 0xFF, *rng.integers(0, 256, 4)], at.size)
        path.write_bytes(data.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NirWarning)
            try:
                read_nir(path, dt_ms=0.1)
            except SnnError:
                refused += 1
    assert refused > n_files // 10


@pytest.mark.parametrize("n_files", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_no_changed_value_is_a_traceback(n_files: int, tmp_path) -> None:
    """Files that are sound HDF5, in which some values, types, names or edges are others."""
    path, refused = tmp_path / "changed.nir", 0
    rng = np.random.default_rng(n_files)
    values = [0, -1, 1, 2, 1e-300, 1e300, np.inf, 2**40, np.zeros(0), np.ones(4), np.ones((2, 2)), "same",
              "LIF", "Input", "", np.arange(3), -np.ones(4), np.full(4, 1e-9)]  # fmt: skip
    for _ in range(n_files):
        small(path)
        with h5py.File(path, "r+") as file:
            found: list[str] = []
            file.visit(found.append)
            for _ in range(rng.integers(1, 4)):
                key = found[rng.integers(len(found))]
                if key not in file:
                    continue
                if rng.random() < 0.2:
                    del file[key]
                elif isinstance(file[key], h5py.Dataset):
                    replace(file, key, values[rng.integers(len(values))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NirWarning)
            try:
                read_nir(path, dt_ms=0.1, dialect=["exact", "norse", "spyx"][rng.integers(3)])
            except SnnError:
                refused += 1
    assert refused > n_files // 4
