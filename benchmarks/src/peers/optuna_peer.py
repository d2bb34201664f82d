"""Optuna on the same problems: regret over seeds, and the time of ask and tell in studies that have trials already."""

import json
import math
import os
import random
import sys
import tempfile
import time
import warnings

import optuna

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)

COUNTS = [100, 1000, 10000]
AFTER = [25, 50, 100]
ROUNDS = 10
LONGEST = 2.0


def branin(trial):
    x = trial.suggest_float("x", -5, 10)
    y = trial.suggest_float("y", 0, 15)
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


WEIGHTS = [1, 1.2, 3, 3.2]
SCALES = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
CENTRES = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann6(trial):
    x = [trial.suggest_float(f"x{index}", 0, 1) for index in range(6)]
    total = 0.0
    for weight, scales, centres in zip(WEIGHTS, SCALES, CENTRES):
        total += weight * math.exp(-sum(a * (value - c) ** 2 for a, value, c in zip(scales, x, centres)))
    return -total


PROBLEMS = {"Branin": (branin, 0.397887357729739), "Hartmann-6": (hartmann6, -3.32236801141551)}
SAMPLERS = {
    "Optuna random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "Optuna TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna TPE, multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
}
try:
    import cmaes  # noqa: F401

    SAMPLERS["Optuna CMA-ES"] = lambda seed: optuna.samplers.CmaEsSampler(seed=seed)
except ImportError:
    pass


def regrets(seeds):
    rows = []
    for sampler, make in SAMPLERS.items():
        for problem, (function, minimum) in PROBLEMS.items():
            found = [[] for _ in AFTER]
            for seed in range(seeds):
                study = optuna.create_study(sampler=make(seed))
                study.optimize(function, n_trials=AFTER[-1])
                values = [trial.value for trial in study.trials]
                for place, count in enumerate(AFTER):
                    found[place].append(min(values[:count]) - minimum)
            for place, count in enumerate(AFTER):
                rows.append({"sampler": sampler, "problem": problem, "after": count, "values": found[place]})
    return rows


def finished(count):
    draws = random.Random(count)
    domains = {"x": optuna.distributions.FloatDistribution(-5, 10), "y": optuna.distributions.FloatDistribution(0, 15)}
    for _ in range(count):
        params = {"x": draws.uniform(-5, 10), "y": draws.uniform(0, 15)}
        yield optuna.trial.create_trial(params=params, distributions=domains, value=draws.random())


def bookkeeping():
    rows = []
    for storage in ["memory", "SQLite"]:
        for sampler, make in SAMPLERS.items():
            for count in COUNTS if storage == "memory" else COUNTS[:2]:
                with tempfile.TemporaryDirectory() as folder:
                    url = None if storage == "memory" else "sqlite:///" + os.path.join(folder, "study.db")
                    study = optuna.create_study(sampler=make(0), storage=url)
                    study.add_trials(list(finished(count)))
                    study.tell(study.ask({**domains()}), 1.0)
                    seconds = []
                    for _ in range(ROUNDS):
                        start = time.perf_counter()
                        trial = study.ask(domains())
                        study.tell(trial, 1.0)
                        seconds.append(time.perf_counter() - start)
                rows.append({"sampler": sampler, "storage": storage, "trials": count, "seconds": seconds})
                if sorted(seconds)[len(seconds) // 2] > LONGEST:
                    break
    return rows


def domains():
    return {"x": optuna.distributions.FloatDistribution(-5, 10), "y": optuna.distributions.FloatDistribution(0, 15)}


print(json.dumps({"version": optuna.__version__, "bookkeeping": bookkeeping(), "regrets": regrets(int(sys.argv[1]))}))
