"""The least spikes x hops of small graphs of cores, by CP-SAT of OR-tools, to measure arrangements by."""

from __future__ import annotations

import numpy as np


def small_graph(seed: int, n_cores: int) -> np.ndarray:
    """int64[n_cores, n_cores]: traffic in whole numbers, from each core to two of the next layer."""
    rng = np.random.Generator(np.random.PCG64(seed))
    layer = np.arange(n_cores) * 4 // n_cores
    traffic = np.zeros((n_cores, n_cores), np.int64)
    for core in np.flatnonzero(layer < 3):
        following = np.flatnonzero(layer == layer[core] + 1)
        chosen = rng.permutation(following)[:2]
        traffic[core, chosen] = rng.integers(1, 100, chosen.size)
    return traffic


def optimum(traffic: np.ndarray, width: int, height: int, seconds: float) -> tuple[float, float, bool]:
    """(best cost found, proven lower bound, is it proven) on a mesh with a core at each router.

    traffic  int64[n, n]
    """
    from ortools.sat.python import cp_model

    n, model = len(traffic), cp_model.CpModel()
    x = [model.new_int_var(0, width - 1, f"x{i}") for i in range(n)]
    y = [model.new_int_var(0, height - 1, f"y{i}") for i in range(n)]
    model.add_all_different([x[i] + width * y[i] for i in range(n)])
    both, terms = traffic + traffic.T, []
    for i in range(n):
        for j in range(i):
            if both[i, j]:
                hops = model.new_int_var(1, width + height - 2, f"hops{i},{j}")
                dx, dy = model.new_int_var(0, width - 1, ""), model.new_int_var(0, height - 1, "")
                model.add_abs_equality(dx, x[i] - x[j])
                model.add_abs_equality(dy, y[i] - y[j])
                model.add(hops == dx + dy)
                terms.append(int(both[i, j]) * hops)
    busiest = int(np.argmax(both.sum(axis=0)))  # one of the mirrored arrangements
    model.add(2 * x[busiest] <= width - 1)
    model.add(2 * y[busiest] <= height - 1)
    model.minimize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise RuntimeError(f"CP-SAT found nothing in {seconds:g} s")
    return solver.objective_value, solver.best_objective_bound, status == cp_model.OPTIMAL
