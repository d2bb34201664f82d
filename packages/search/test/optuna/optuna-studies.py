"""Makes the studies of Optuna that the tests import: studies.db and studies.log. Needs optuna 5.0.0.

python optuna-studies.py FOLDER
"""

import os
import sys
import warnings

import optuna

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)
folder = sys.argv[1]


def conditional(trial):
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    share = trial.suggest_float("share", 0.0, 1.0, step=0.25)
    width = trial.suggest_int("width", 16, 256, log=True)
    layers = trial.suggest_int("layers", 1, 9, step=2)
    kind = trial.suggest_categorical("kind", ["sgd", "adam", None, True, 3])
    loss = (rate - 0.1) ** 2 + share + width / 256 + layers
    if kind == "sgd":
        loss += trial.suggest_float("momentum", 0.0, 0.99)
    if trial.number == 3:
        raise ValueError("it is too hot")
    for step in (1, 2):
        trial.report(loss / step, step)
    if trial.number == 4:
        raise optuna.TrialPruned()
    if trial.number == 5:
        loss = float("inf")
    trial.set_user_attr("note", {"number": trial.number})
    trial.set_constraint("width", width - 128)
    return loss


def make(storage):
    study = optuna.create_study(study_name="conditional", storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_user_attr("who", "a test")
    study.enqueue_trial({"rate": 0.5, "kind": "adam"})
    study.optimize(conditional, n_trials=8, catch=(ValueError,))
    study.ask()  # Stays running.
    study.enqueue_trial({"rate": 0.25})  # Stays waiting.
    several = optuna.create_study(
        study_name="several", storage=storage, directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=2)
    )
    several.set_metric_names(["error", "speed"])
    several.optimize(lambda trial: (trial.suggest_float("x", -1, 1) ** 2, trial.suggest_int("n", 0, 5)), n_trials=3)
    optuna.create_study(study_name="empty", storage=storage)


for name in ("studies.db", "studies.log"):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        os.remove(path)
make("sqlite:///" + os.path.join(folder, "studies.db"))
make(optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(os.path.join(folder, "studies.log"))))
