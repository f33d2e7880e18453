# What both peers' scripts share: which runs to make, and the file that each leaves behind.
import argparse
import json
import time
from pathlib import Path

from tasks import TASKS


def runs(package, algorithms, evaluations, seeds):
    """Every (task, algorithm, seed) asked for whose file is not there yet; seed by seed, so that what is cut short is even."""
    parser = argparse.ArgumentParser(description=f"Measures the table's tasks with {package}")
    parser.add_argument("out", type=Path, help="folder of one JSON file a run; runs that are there are not made again")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--algorithms", default=",".join(algorithms))
    parser.add_argument("--evaluations", type=int, default=evaluations)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for seed in range(given.first, given.first + given.seeds):
        for algorithm in given.algorithms.split(","):
            for name in given.tasks.split(","):
                file = given.out / f"{name}-{package}-{algorithm}-{seed}.json".replace(" ", "_")
                if not file.exists():
                    if name not in tasks:
                        tasks[name] = TASKS[name]()
                    yield tasks[name], algorithm, seed, given.evaluations, file


class Recorder:
    """Objectives of every candidate in the order of measuring."""

    def __init__(self, task):
        self.task, self.rows, self.start = task, [], time.process_time()

    def measure(self, x):
        objectives = self.task.evaluate(x)
        self.rows.append(objectives)
        return objectives

    def save(self, file, algorithm, version, seed):
        document = {
            "task": self.task.name,
            "algorithm": algorithm,
            "version": version,
            "seed": seed,
            "cpuSeconds": round(time.process_time() - self.start, 2),
            "objectives": [[float(f"{v:.9g}") for v in row] for row in self.rows],
        }
        # Written whole or not at all.
        part = file.with_suffix(".part")
        part.write_text(json.dumps(document))
        part.rename(file)
