# pymoo's NSGA-II, NSGA-III and SMS-EMOA on the tasks of the table: populations of 50, its own defaults otherwise.
import numpy as np
import pymoo
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from pymoo.util.ref_dirs import get_reference_directions

from record import Recorder, runs

POPULATION = 50


class Measured(Problem):
    def __init__(self, recorder):
        task = recorder.task
        super().__init__(
            n_var=len(task.lower), n_obj=task.objectives, xl=task.lower, xu=task.upper, vtype=int if task.discrete else float
        )
        self.recorder = recorder

    def _evaluate(self, X, out, *args, **kwargs):
        out["F"] = np.array([self.recorder.measure(x) for x in X])


def algorithm_of(name, task):
    # pymoo's documentation on integers: the operators for reals, then rounding.
    options = (
        dict(
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        )
        if task.discrete
        else {}
    )
    if name == "nsga3":
        # 50 directions of two objectives, 45 of three.
        directions = get_reference_directions("das-dennis", task.objectives, n_partitions=49 if task.objectives == 2 else 8)
        return NSGA3(directions, pop_size=POPULATION, **options)
    return {"nsga2": NSGA2, "sms-emoa": SMSEMOA}[name](pop_size=POPULATION, **options)


for task, algorithm, seed, evaluations, file in runs("pymoo", ["nsga2", "nsga3", "sms-emoa"], 800, 11):
    recorder = Recorder(task)
    minimize(Measured(recorder), algorithm_of(algorithm, task), ("n_eval", evaluations), seed=seed)
    recorder.save(file, f"pymoo {algorithm}", pymoo.__version__, seed)
