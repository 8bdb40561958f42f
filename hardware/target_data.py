"""The targets: numbers and where they come from."""

from __future__ import annotations

from snnsim.hardware.targets import Format, Mesh, Target, limits
from snnsim.integer_rule import RULES

_NENGO = "nengo-loihi"
_BLOCK = f"{_NENGO} block.py"
_VALIDATE = f"{_NENGO} hardware/validate.py"
_LAVA = "Lava proc/lif/models.py"
_LOGS = "compile logs of Intel's compiler, printed in lava-dl's netx notebooks"
_UNITS = ("integer_lif", "relay", "readout")
_LAYERS = ("dense", "conv", "sum_pool", "into")
_LOIHI_NEURON = (
    ("connection", "one_of", _LAYERS, "", "Lava-DL netx/hdf5.py", "read"),
    ("weight", "least", -256, "", "Lava utils/weightutils.py", "read"),
    ("weight", "most", 255, "", "Lava utils/weightutils.py", "read"),
    ("weight", "multiple", 1, "", "Lava utils/weightutils.py", "read"),
    ("weight_mixed", "multiple", 2, "", "Lava utils/weightutils.py: MIXED has no lowest bit", "read"),
    ("threshold", "least", 0, "", _LAVA, "read"),
    ("threshold", "most", 131071 * 64, "", f"{_LAVA}: a 17-bit mantissa times 2^6", "read"),
    ("threshold", "multiple", 64, "", f"{_LAVA}: a 17-bit mantissa times 2^6", "read"),
    ("bias", "least", -4095 * 128, "", f"{_NENGO} BIAS_MAN_MAX, BIAS_EXP_MAX", "read"),
    ("bias", "most", 4095 * 128, "", f"{_NENGO} BIAS_MAN_MAX, BIAS_EXP_MAX", "read"),
    ("bias_mantissa", "most", 4095, "", f"{_NENGO} BIAS_MAN_MAX: mantissa times 2^0 to 2^7", "read"),
    ("decay_u", "least", 1, "4096ths", f"{_LAVA}: the register is du = decay - 1", "read"),
    ("decay_u", "most", 4096, "4096ths", _LAVA, "read"),
    ("decay_v", "least", 0, "4096ths", _LAVA, "read"),
    ("decay_v", "most", 4095, "4096ths", f"{_LAVA}: 12 bits", "read"),
    ("refractory", "most", 63, "steps", f"{_NENGO} REFRACT_DELAY_MAX", "read"),
    ("delay", "least", 1, "steps", "Lava: every synapse costs a step", "read"),
    ("delay", "most", 63, "steps", "Lava-DL netx/hdf5.py: 62 and the step of the synapse", "read"),
)  # fmt: skip

LOIHI1 = Target(
    name="loihi1",
    title="Intel Loihi 1, one chip",
    limits=limits((
        ("cores", "most", 128, "a chip", f"{_NENGO} hardware/allocators.py; SANA-FE arch/loihi.yaml", "read"),
        ("neurons", "most", 1024, "a core", f"{_BLOCK} MAX_COMPARTMENTS", "read"),
        ("input_axons", "most", 4096, "a core", _BLOCK, "read"),
        ("output_axons", "most", 4096, "a core", _BLOCK, "read"),
        ("synaptic_words", "most", 16384, "words of 64 bits a core", _BLOCK, "read"),
        ("neuron_groups", "most", 32, "decay and refractory settings a core", _VALIDATE, "read"),
        ("thresholds", "most", 16, "a core",
         f"{_VALIDATE} asserts 16; nxsdk_objects.py has room for 8: stay at 8 where you can", "read"),
        ("spikes_per_step", "most", 1, "", "spikes carry no payload", "read"),
        ("unit", "one_of", _UNITS, "", "the neuron of section 1.2", "ours"),
        *_LOIHI_NEURON,
    )),
    mesh=Mesh(8, 4, 4, f"{_NENGO}; SANA-FE arch/loihi.yaml", "read"),
    storage=Format(64, (1, 2, 3, 4, 5, 6, 8), (6, 7, 8, 9, 10, 11, 12), header_bits=10, run=64),
    notes=("bits of an axon: nengo-loihi SynapseConfig.bits_per_axon",),
)  # fmt: skip

LOIHI2 = Target(
    name="loihi2",
    title="Intel Loihi 2, one chip",
    limits=limits((
        ("cores", "most", 128, "a chip", "open-neuromorphic.org; 120 in other texts", "read"),
        ("neurons", "most", 4095, "a core", f"{_LOGS}: 3584 neurons print as 87.52 %", "inferred"),
        ("input_axons", "most", 16000, "a core", f"{_LOGS}: 784 axons print as 4.90 %", "inferred"),
        ("output_axons", "most", 16384, "a core", f"{_LOGS}: AxonMap, 64 print as 0.40 %", "inferred"),
        ("synaptic_words", "most", 12000, "words of 32 bits a core",
         f"{_LOGS}: registers[SynMem]=12000; width of a word from rows like 10 x 8 bits = 3 words",
         "inferred"),
        ("neuron_groups", "most", 8, "layers a core", f"{_LOGS}: 1 group prints as 12.5 %", "inferred"),
        ("unit", "one_of", (*_UNITS, "sigma_delta"), "", "the neurons of Lava-DL netx", "read"),
        *_LOIHI_NEURON,
    )),
    mesh=Mesh(8, 16, 1, "press report of 2021: 128 cores in a mesh of 8 x 16", "read"),
    storage=Format(32, (1, 2, 3, 4, 5, 6, 7, 8), (6, 7, 8, 9, 10, 11, 12)),
    notes=("Intel has not published how Loihi 2 encodes synapses: core counts hold under the budgets that "
           "Intel's own compile logs show, with the encodings named in docs/hardware.md",),
)  # fmt: skip

_XYLO = "rockpool devices/xylo xylo_mapper.py, xylo_sim.py"
XYLO = Target(
    name="xylo",
    title="SynSense Xylo A2 (Audio 2)",
    limits=limits((
        ("unit", "one_of", _UNITS, "", _XYLO, "read"),
        ("connection", "one_of", ("dense", "into"), "", _XYLO, "read"),
        ("inputs", "most", 16, "channels", _XYLO, "read"),
        ("hidden", "most", 1000, "neurons", _XYLO, "read"),
        ("outputs", "most", 8, "neurons", _XYLO, "read"),
        ("weight", "least", -128, "", f"{_XYLO}: 8 bits", "read"),
        ("weight", "most", 127, "", f"{_XYLO}: 8 bits", "read"),
        ("weight", "multiple", 1, "", f"{_XYLO}: 8 bits", "read"),
        ("threshold", "least", 1, "", f"{_XYLO}: 16 bits", "read"),
        ("threshold", "most", 32767, "", f"{_XYLO}: 16 bits", "read"),
        ("bias", "least", -32768, "", f"{_XYLO}: 16 bits", "read"),
        ("bias", "most", 32767, "", f"{_XYLO}: 16 bits", "read"),
        ("decay_u", "least", 0, "shift", f"{_XYLO}: dash of the synapse", "read"),
        ("decay_u", "most", 15, "shift", f"{_XYLO}: dash of the synapse; 4 bits", "recalled"),
        ("decay_v", "least", 0, "shift", f"{_XYLO}: dash of the membrane", "read"),
        ("decay_v", "most", 15, "shift", f"{_XYLO}: dash of the membrane; 4 bits", "recalled"),
        ("refractory", "most", 0, "steps", f"{_XYLO}: neurons have none", "read"),
        ("spikes_per_step", "most", 31, "", "xylosim XyloIAFNeuron.cpp", "read"),
        ("delay", "most", 1, "steps", f"{_XYLO}: no delays but those of recurrence", "read"),
    )),
)  # fmt: skip

_ODIN = "tinyODIN doc and lif_neuron.v"
TINYODIN = Target(
    name="tinyodin",
    title="tinyODIN, one core",
    limits=limits((
        ("unit", "one_of", _UNITS, "", _ODIN, "read"),
        ("connection", "one_of", _LAYERS, "", "any rule: written out, synapse by synapse", "ours"),
        ("network", "most", 256, "neurons", _ODIN, "read"),
        ("inputs", "most", 256, "addresses", _ODIN, "read"),
        ("weight", "least", -8, "", f"{_ODIN}: 4 bits", "read"),
        ("weight", "most", 7, "", f"{_ODIN}: 4 bits", "read"),
        ("weight", "multiple", 1, "", f"{_ODIN}: 4 bits", "read"),
        ("threshold", "least", 1, "", f"{_ODIN}: 12 bits", "read"),
        ("threshold", "most", 2047, "", f"{_ODIN}: 12 bits, of which a potential reaches 0x7FF", "read"),
        ("bias", "least", 0, "", f"{_ODIN}: neurons have none", "read"),
        ("bias", "most", 0, "", f"{_ODIN}: neurons have none", "read"),
        ("decay_v", "least", 0, "a step", f"{_ODIN}: 7 bits", "read"),
        ("decay_v", "most", 127, "a step", f"{_ODIN}: 7 bits", "read"),
        ("refractory", "most", 0, "steps", f"{_ODIN}: neurons have none", "read"),
        ("spikes_per_step", "most", 1, "", _ODIN, "read"),
        ("delay", "most", 1, "steps", f"{_ODIN}: no delays", "read"),
    )),
)  # fmt: skip

_RANC = "RANC Core.v, simulator/README.md"
RANC = Target(
    name="ranc",
    title="RANC (TrueNorth-like), cores of 256 x 256",
    limits=limits((
        ("unit", "one_of", _UNITS, "", _RANC, "read"),
        ("connection", "one_of", _LAYERS, "", "any rule: written out as a crossbar", "ours"),
        ("fan_in", "most", 256, "axons a core", _RANC, "read"),
        ("weight", "least", -256, "", f"{_RANC}: 9 bits", "read"),
        ("weight", "most", 255, "", f"{_RANC}: 9 bits", "read"),
        ("weight", "multiple", 1, "", f"{_RANC}: 9 bits", "read"),
        ("threshold", "least", 0, "", f"{_RANC}: 9 bits", "read"),
        ("threshold", "most", 255, "", f"{_RANC}: 9 bits", "read"),
        ("bias", "least", -256, "", f"{_RANC}: the leak, 9 bits", "read"),
        ("bias", "most", 255, "", f"{_RANC}: the leak, 9 bits", "read"),
        ("refractory", "most", 0, "ticks", f"{_RANC}: neurons have none", "read"),
        ("spikes_per_step", "most", 1, "", _RANC, "read"),
        ("delay", "least", 1, "ticks", f"{_RANC}: 4 bits of tick", "read"),
        ("delay", "most", 15, "ticks", f"{_RANC}: 4 bits of tick", "read"),
    )),
    notes=("256 neurons and 256 axons of 4 types a core, one axon for a neuron to send to: placement cuts "
           "populations and copies neurons for that, and refuses what it cannot",),
)  # fmt: skip

_SPIN = "sPyNNaker constants.py, synapse_dynamics_static.py; SpiNNMachine version_spin1.py"
SPINNAKER1 = Target(
    name="spinnaker1",
    title="SpiNNaker 1 by a PyNN script; larger populations are split by its own tools",
    limits=limits((
        ("weight_magnitude", "most", 65535, "", f"{_SPIN}: 16 bits, the sign is the receptor's", "read"),
        ("weight", "multiple", 1, "", _SPIN, "read"),
        ("delay", "least", 1, "steps", f"{_SPIN}: 16 slots", "read"),
        ("delay", "most", 144, "steps", f"{_SPIN}: 16 slots and 8 more blocks of 16", "read"),
    )),
    notes=("256 neurons a core (8-bit index); 17 of 18 cores of a chip are for the application",),
)  # fmt: skip

_SPECK = "sinabs backend/dynapcnn chips/dynapcnn.py, docs/speck/overview.md"
SPECK = Target(
    name="speck",
    title="SynSense Speck (DYNAP-CNN): single limits only, layers are not matched to its nine cores",
    limits=limits((
        ("connection", "one_of", ("conv", "sum_pool", "dense"), "", _SPECK, "read"),
        ("layers", "most", 9, "one a core", _SPECK, "read"),
        ("population", "most", 65536, "neurons", _SPECK, "read"),
        ("kernel", "most", 16, "points a side", _SPECK, "read"),
        ("stride", "one_of", ("1", "2", "4", "8"), "", _SPECK, "read"),
        ("channels", "most", 1024, "", _SPECK, "read"),
        ("map", "most", 128, "points a side", _SPECK, "read"),
        ("fan_out", "most", 2, "layers", _SPECK, "read"),
        ("weight", "least", -128, "", f"{_SPECK}: 8 bits", "read"),
        ("weight", "most", 127, "", f"{_SPECK}: 8 bits", "read"),
        ("weight", "multiple", 1, "", f"{_SPECK}: 8 bits", "read"),
        ("threshold", "most", 32767, "", f"{_SPECK}: 16 bits", "read"),
        ("delay", "most", 1, "steps", f"{_SPECK}: no delays", "read"),
    )),
)  # fmt: skip


def _generic(bits: int) -> Target:
    high, mine = 2 ** (bits - 1) - 1, f"weights of {bits} bits, state of {2 * bits}: snn/integer_rule.py"
    rule = RULES[f"generic-int{bits}"]
    return Target(
        name=f"generic-int{bits}",
        title=f"a processor without floating point: weights of {bits} bits, state of {2 * bits}",
        limits=limits((
            ("unit", "one_of", _UNITS, "", mine, "ours"),
            ("connection", "one_of", _LAYERS, "", mine, "ours"),
            ("weight", "least", -high - 1, "", mine, "ours"),
            ("weight", "most", high, "", mine, "ours"),
            ("weight", "multiple", 1, "", mine, "ours"),
            ("threshold", "least", 1, "", mine, "ours"),
            ("threshold", "most", rule.v_high, "", mine, "ours"),
            ("bias", "least", rule.v_low, "", mine, "ours"),
            ("bias", "most", rule.v_high, "", mine, "ours"),
            ("delay", "most", 255, "steps", "a ring of 8-bit slots", "ours"),
        )),
    )  # fmt: skip


TARGETS = {
    target.name: target
    for target in (LOIHI1, LOIHI2, XYLO, TINYODIN, RANC, SPINNAKER1, SPECK, _generic(8), _generic(16))
}
