"""Small config files that between them use every field of every description class."""

NEURONS = """\
schema = 1
name = "neurons"
precision = "float32"

[run]
duration_ms = 100.0
dt_ms = 0.1
seed = 3
threads = 2
checkpoint_every_s = 5.0

[populations.exc]
n = 4

[populations.exc.neuron]
kind = "lif"
tau_m_ms = 10.0
v_rest_mv = -65.0
v_th_mv = [-50.0, -51.0, -52.0, -53.0]
v_reset_mv = -65.0
reset = "value"
c_m_pf = 250.0
t_ref_ms = 2.0
i_bias_pa = 10.0
v_init_mv = { kind = "normal", mean = -58.0, std = 5.0, low = -70.0, high = -51.0 }

[populations.exc.neuron.synapse]
kind = "exponential"
tau_exc_ms = 0.5
tau_inh_ms = 0.7

[populations.exc.neuron.threshold]
theta_plus_mv = 0.1
tau_theta_ms = 1000.0
theta_init_mv = { kind = "uniform", low = 0.0, high = 1.0 }

[populations.out]
n = 3

[populations.out.neuron]
kind = "if"
v_th_mv = 15.0
v_reset_mv = 0.0
reset = "subtract"
c_m_pf = { kind = "lognormal", mean = 200.0, std = 20.0, low = 100.0, high = 300.0 }
t_ref_ms = 0.0
i_bias_pa = 0.0
v_init_mv = 1.0
synapse = { kind = "delta" }

[populations.out.neuron.threshold]
theta_plus_mv = 0.1
tau_theta_ms = 100.0
"""

RULES = """\
schema = 1
name = "rules"

[run]
duration_ms = 100.0

[populations.exc]
n = 4

[populations.exc.neuron]
kind = "if"
v_th_mv = 15.0
v_reset_mv = 0.0
synapse = { kind = "exponential", tau_exc_ms = 0.5, tau_inh_ms = 0.7 }

[populations.out]
n = 3
neuron = { kind = "if", v_th_mv = 15.0, v_reset_mv = 0.0 }

[projections.all]
source = "exc"
target = "exc"
weight_pa = 20.0
delay_ms = { kind = "uniform", low = 0.5, high = 2.0 }
receptor = "exc"
rule = { kind = "all_to_all", autapses = false }

[projections.one]
source = "exc"
target = "out"
weight_mv = 1.0
delay_ms = [1.0, 1.1]
rule = { kind = "arrays", source = [0, 3], target = [2, 1] }

[projections.same]
source = "exc"
target = "exc"
weight_pa = -20.0
delay_ms = 0.1
rule = { kind = "one_to_one" }

[projections.in]
source = "exc"
target = "out"
weight_mv = 0.5
delay_ms = 0.1
rule = { kind = "fixed_in_degree", n = 2, autapses = true, multapses = false }

[projections.to]
source = "exc"
target = "out"
weight_mv = 0.5
delay_ms = 0.1
rule = { kind = "fixed_out_degree", n = 2, autapses = true, multapses = true }

[projections.total]
source = "exc"
target = "out"
weight_mv = 0.5
delay_ms = 0.1
rule = { kind = "fixed_total_number", n = 5, autapses = true, multapses = true }
"""

LEARNING = """\
schema = 1
name = "learning"

[run]
duration_ms = 100.0

[populations.exc]
n = 4

[populations.exc.neuron]
kind = "if"
v_th_mv = 15.0
v_reset_mv = 0.0
synapse = { kind = "exponential", tau_exc_ms = 0.5, tau_inh_ms = 0.7 }

[stimuli.source]
kind = "poisson"
n = 6
rate_hz = 100.0
start_ms = 10.0
stop_ms = 50.0

[projections.pairs]
source = "source"
target = "exc"
weight_pa = 30.0
delay_ms = 1.0
rule = { kind = "pairwise_bernoulli", p = 0.5, autapses = true }

[projections.pairs.plasticity]
kind = "stdp"
tau_plus_ms = 20.0
tau_minus_ms = 20.0
a_plus = 0.01
a_minus = 0.012
w_max = 60.0
w_min = 0.0
dependence = "power"
mu_plus = 0.5
mu_minus = 0.6
w_0 = 1.0
pairing = "nearest"

[projections.pairs.normalisation]
total = 100.0
every_ms = 10.0

[probes.weights]
target = "pairs"
variable = "weight"
every_ms = 10.0
"""

INPUTS = """\
schema = 1
name = "inputs"

[run]
duration_ms = 100.0

[populations.exc]
n = 4

[populations.exc.neuron]
kind = "if"
v_th_mv = 15.0
v_reset_mv = 0.0
synapse = { kind = "exponential", tau_exc_ms = 0.5, tau_inh_ms = 0.7 }

[populations.out]
n = 3
neuron = { kind = "if", v_th_mv = 15.0, v_reset_mv = 0.0 }

[stimuli.given]
kind = "spike_trains"
n = 2
times_ms = [1.0, 2.0, 2.5]
ids = [0, 1, 0]

[stimuli.drive]
kind = "poisson_drive"
target = "exc"
n_inputs = 100
rate_hz = 8.0
weight_pa = 87.8
start_ms = 0.0
stop_ms = 90.0

[stimuli.kicks]
kind = "poisson_drive"
target = "out"
rate_hz = 50.0
weight_mv = 0.5

[stimuli.step]
kind = "current"
target = "out"
amplitude_pa = [100.0, 0.0]
times_ms = [0.0, 40.0]

[probes.spikes]
target = "exc"

[probes.potential]
target = "exc"
variable = "v_mv"
every_ms = 0.5
ids = [0, 2]
"""

DIGITS = """\
schema = 1
name = "digits"

[run]
dt_ms = 0.5

[populations.out]
n = 10

[populations.out.neuron]
kind = "lif"
tau_m_ms = 100.0
v_rest_mv = -65.0
v_th_mv = -52.0
v_reset_mv = -60.0

[stimuli.digits]
kind = "images"
dataset = "digits"
test_fraction = 0.3
split_seed = 1
coding = "rate"
max_rate_hz = 60.0
threshold = 0.1
normalise = true
present_ms = 350.0
rest_ms = 150.0

[[stimuli.digits.phases]]
name = "train"
split = "train"
repeats = 2
learning = true
shuffle = true

[[stimuli.digits.phases]]
name = "label"
split = "train"

[[stimuli.digits.phases]]
name = "test"
split = "test"

[stimuli.pictures]
kind = "images"
images = [[0.0, 1.0], [0.5, 0.25]]
present_ms = 10.0

[projections.input]
source = "digits"
target = "out"
weight_mv = { kind = "uniform", low = 0.0, high = 0.3 }
delay_ms = 1.0
rule = { kind = "all_to_all" }

[task]
kind = "classify"
stimulus = "digits"
readout = "out"
assign_phase = "label"
test_phase = "test"
readout_rule = "vote"
"""

CONDUCTANCES = """\
schema = 1
name = "conductances"

[run]
duration_ms = 100.0

[populations.exc]
n = 4

[populations.exc.neuron]
kind = "lif"
tau_m_ms = 20.0
v_rest_mv = -60.0
v_th_mv = -50.0
v_reset_mv = -60.0

[populations.exc.neuron.synapse]
kind = "conductance"
tau_exc_ms = 5.0
tau_inh_ms = 10.0
e_exc_mv = 0.0
e_inh_mv = -80.0
g_exc_init_ns = 40.0
g_inh_init_ns = { kind = "clipped_normal", mean = 200.0, std = 120.0, low = 0.0, high = 500.0 }

[projections.self]
source = "exc"
target = "exc"
weight_ns = 6.0
receptor = "exc"
delay_ms = 0.1
rule = { kind = "all_to_all" }

[stimuli.drive]
kind = "poisson_drive"
target = "exc"
rate_hz = 50.0
weight_ns = 2.0
receptor = "inh"

[probes.conductance]
target = "exc"
variable = "g_inh_ns"
"""

EXAMPLES = {
    "neurons": NEURONS, "rules": RULES, "learning": LEARNING, "inputs": INPUTS, "digits": DIGITS,
    "conductances": CONDUCTANCES,
}  # fmt: skip
