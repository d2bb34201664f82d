"""Optuna on the same problems: the time of ask and tell in studies that have trials already, and regret over seeds.

Reads what is wanted from standard input and writes what was measured to standard output, both as JSON; says what it does on standard error.
"""

import importlib.util
import json
import math
import os
import random
import sys
import tempfile
import time
import warnings

import optuna
import sqlalchemy
from optuna.storages._rdb import models

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)

ROUNDS = 20


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


def end_of(table):
    settings = len(table["values"]) // len(table["choices"])
    places = {choice: place for place, choice in enumerate(table["choices"])}

    def value(trial):
        choice = trial.suggest_categorical("choice", table["choices"])
        return table["values"][places[choice] * settings + trial.suggest_int("setting", 0, settings - 1)]

    return value


SAMPLERS = {
    "Optuna random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "Optuna TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna TPE, multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
}
if importlib.util.find_spec("cmaes"):
    SAMPLERS["Optuna CMA-ES"] = lambda seed: optuna.samplers.CmaEsSampler(seed=seed)
if importlib.util.find_spec("torch"):
    SAMPLERS["Optuna GP"] = lambda seed: optuna.samplers.GPSampler(seed=seed)


def say(text):
    print(text, file=sys.stderr, flush=True)


def regrets(samplers, problems, after, seeds):
    rows = []
    for sampler in samplers:
        for problem, (function, minimum) in problems.items():
            say(f"{sampler}: {problem}")
            found = [[] for _ in after]
            for seed in range(seeds):
                study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
                study.optimize(function, n_trials=after[-1])
                values = [trial.value for trial in study.trials]
                for place, count in enumerate(after):
                    found[place].append(min(values[:count]) - minimum)
            for place, count in enumerate(after):
                rows.append({"sampler": sampler, "problem": problem, "after": count, "values": found[place]})
    return rows


def domains():
    return {"x": optuna.distributions.FloatDistribution(-5, 10), "y": optuna.distributions.FloatDistribution(0, 15)}


def drawn(count):
    draws = random.Random(count)
    for _ in range(count):
        yield {"x": draws.uniform(-5, 10), "y": draws.uniform(0, 15)}, draws.random()


def fill_memory(study, count):
    study.add_trials(
        optuna.trial.create_trial(params=params, distributions=domains(), value=value)
        for params, value in drawn(count)
    )


def fill_tables(engine, study_id, count):
    """Rows as Optuna would have made them; making each by Optuna takes hours for 100,000 trials."""
    tables = [model.__table__ for model in (models.TrialModel, models.TrialParamModel, models.TrialValueModel)]
    now = optuna.trial.create_trial(value=0.0).datetime_complete
    texts = {name: optuna.distributions.distribution_to_json(domain) for name, domain in domains().items()}
    with engine.begin() as connection:
        first = connection.execute(sqlalchemy.select(sqlalchemy.func.max(models.TrialModel.trial_id))).scalar() or 0
        rows = [[], [], []]
        for number, (params, value) in enumerate(drawn(count)):
            trial = first + number + 1
            rows[0].append(
                {
                    "trial_id": trial,
                    "number": number,
                    "study_id": study_id,
                    "state": optuna.trial.TrialState.COMPLETE,
                    "datetime_start": now,
                    "datetime_complete": now,
                }
            )
            rows[1] += [
                {"trial_id": trial, "param_name": name, "param_value": each, "distribution_json": texts[name]}
                for name, each in params.items()
            ]
            rows[2].append(
                {
                    "trial_id": trial,
                    "objective": 0,
                    "value": value,
                    "value_type": models.TrialValueModel.TrialValueType.FINITE,
                }
            )
        for table, given in zip(tables, rows):
            for start in range(0, len(given), 10_000):
                connection.execute(table.insert(), given[start : start + 10_000])
        if engine.dialect.name == "postgresql":
            connection.execute(
                sqlalchemy.text("select setval(pg_get_serial_sequence('trials', 'trial_id'), max(trial_id)) from trials")
            )


def bookkeeping(storages, samplers, counts, longest):
    rows = []
    for where, address in storages.items():
        stopped = {}
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{os.path.join(folder, 'study.db')}" if address == "sqlite" else address
                name = f"of {count}"
                storage = optuna.storages.InMemoryStorage() if url is None else optuna.storages.RDBStorage(url)
                say(f"Optuna: filling {where} with {count} trials")
                study = optuna.create_study(storage=storage, study_name=name)
                if url is None:
                    fill_memory(study, count)
                else:
                    fill_tables(storage.engine, study._study_id, count)
                for sampler in samplers:
                    row = {"sampler": sampler, "storage": where, "trials": count}
                    if sampler in stopped:
                        rows.append({**row, "error": stopped[sampler]})
                        continue
                    say(f"{sampler}: ask and tell with {count} trials in {where}")
                    given = storage if url is None else optuna.storages.RDBStorage(url)
                    first, seconds = asked(optuna.load_study(study_name=name, storage=given, sampler=SAMPLERS[sampler](0)), longest)
                    median = sorted(seconds)[len(seconds) // 2]
                    if median > longest["ask"]:
                        stopped[sampler] = f"left out: {median:.1f} s at {count}"
                    elif first > longest["first"]:
                        stopped[sampler] = f"left out: {first:.0f} s for the first ask at {count}"
                    rows.append({**row, "seconds": seconds})
    return rows


def asked(study, longest):
    def turn():
        start = time.perf_counter()
        study.tell(study.ask(domains()), 1.0)
        return time.perf_counter() - start

    first = turn()
    seconds = []
    while len(seconds) < ROUNDS and sum(seconds) < 5 * longest["ask"]:
        seconds.append(turn())
    return first, seconds


def main():
    wanted = json.load(sys.stdin)
    samplers = [name for name in wanted["samplers"] if name in SAMPLERS]
    problems = {"Branin": (branin, 0.397887357729739), "Hartmann-6": (hartmann6, -3.32236801141551)}
    problems |= {table["name"]: (end_of(table), table["minimum"]) for table in wanted["tables"]}
    print(
        json.dumps(
            {
                "version": optuna.__version__,
                "bookkeeping": bookkeeping(wanted["storages"], samplers, wanted["counts"], wanted["longest"]),
                "regrets": regrets(samplers, problems, wanted["after"], wanted["seeds"]) if wanted["seeds"] else [],
            }
        )
    )


main()
