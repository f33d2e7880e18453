# pymoo's NSGA-II on 25,000 evaluations: CPU seconds and the front, by problem and seed.
import json
import sys
import time

import numpy as np
import pymoo
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from pymoo.problems import get_problem

given = json.load(sys.stdin)
runs = []
for name in given["problems"]:
    for seed in range(given["seeds"]):
        start = time.process_time()
        result = minimize(get_problem(name.lower()), NSGA2(pop_size=100), ("n_eval", given["evaluations"]), seed=seed)
        runs.append({"problem": name, "cpuSeconds": time.process_time() - start, "front": np.atleast_2d(result.F).tolist()})
json.dump({"version": pymoo.__version__, "runs": runs}, sys.stdout)
