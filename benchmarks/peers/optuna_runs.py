# Optuna's TPE, NSGA-II, GP and random sampler on the tasks of the table: its own defaults, a population of 50 for NSGA-II.
import warnings

import optuna

from record import Recorder, runs



def limit(name, seed, evaluations):
    """Measurements of a run: a Gaussian process takes seconds a proposal."""
    if name == "gp":
        return min(evaluations, 200) if seed < 3 else 0
    return evaluations


def sampler_of(name, seed):
    return {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=50),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[name]()


def objective(recorder, conditional):
    task = recorder.task

    def suggest(trial, i):
        low, high = task.lower[i], task.upper[i]
        return trial.suggest_int(f"x{i}", int(low), int(high)) if task.discrete else trial.suggest_float(f"x{i}", low, high)

    def measure(trial):
        x = [None] * len(task.lower)
        if not (conditional and task.active):
            return recorder.measure([suggest(trial, i) for i in range(len(x))])
        # Define-by-run: first what decides which others matter, then those.
        always = [i for i, used in enumerate(task.active(list(task.lower))) if used]
        for i in always:
            x[i] = suggest(trial, i)
        filled = [int(low) if v is None else v for v, low in zip(x, task.lower)]
        for i, used in enumerate(task.active(filled)):
            if used and x[i] is None:
                x[i] = suggest(trial, i)
        return recorder.measure([int(low) if v is None else v for v, low in zip(x, task.lower)])

    return measure


optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
for task, algorithm, seed, evaluations, file in runs("optuna", ["random", "nsga2", "tpe", "gp"], 800, 11):
    measurements = limit(algorithm, seed, evaluations)
    if measurements == 0:
        continue
    recorder = Recorder(task)
    study = optuna.create_study(directions=["minimize"] * task.objectives, sampler=sampler_of(algorithm, seed))
    # TPE treats each variable by itself and takes conditional ones; the others want the same variables in every trial.
    study.optimize(objective(recorder, algorithm == "tpe"), n_trials=measurements)
    recorder.save(file, f"optuna {algorithm}", optuna.__version__, seed)
