# The peers' table as jobs of one thread each, the most important first: python3 search-jobs.py FOLDER OUT LANES [OPTION...]. Ends at SIGTERM;
# what is done stays, and a second call goes on. --tiny tries it. --linas ZDT1,ZDT3 makes LINAS's runs on these tasks alone, --linas those on all;
# --evaluations and --seeds say how many.
import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("lanes", type=int)
parser.add_argument("--tiny", action="store_true")
parser.add_argument("--linas", nargs="?", const="all")
parser.add_argument("--evaluations", type=int, default=800)
parser.add_argument("--seeds", type=int, default=11)
arguments = parser.parse_args()
HERE, OUT, LANES, TINY = arguments.folder.resolve(), arguments.out.resolve(), arguments.lanes, arguments.tiny
NODE = os.environ["NODE"]
PEERS = HERE / "repo/benchmarks/peers/optuna_runs.py"
TASKS = [
    "ZDT4", "WFG9", "BERT-synth", "OFA-MobileNetV3", "HAT cpu_xeon", "HAT gpu_titanxp",
    "ZDT1", "ZDT3", "ZDT6", "DTLZ2", "DTLZ7", "WFG4",
]  # fmt: skip
SEEDS = arguments.seeds
ONLY = TASKS if arguments.linas in (None, "all") else arguments.linas.split(",")
unknown = [task for task in ONLY if task not in TASKS]
if unknown:
    parser.error(f"no task {', '.join(unknown)}: use {', '.join(TASKS)}")


def ours(seeds, evaluations, tasks=TASKS):
    where = OUT / f"linas-{evaluations}"
    for seed in seeds:
        for task in tasks:
            yield (
                f"{where.name} {task} {seed}",
                where / f"{task}-ours-linas-{seed}.json".replace(" ", "_"),
                [NODE, HERE / "repo/search.mjs", "run", task, "linas", seed, evaluations, where],
            )


def optuna(algorithm, seeds, evaluations):
    where = OUT / f"{algorithm}-{evaluations}"
    for seed in seeds:
        for task in TASKS:
            command = [sys.executable, PEERS, where, "--tasks", task, "--algorithms", algorithm]
            command += ["--evaluations", evaluations, "--first", seed, "--seeds", 1]
            yield f"{where.name} {task} {seed}", where / f"{task}-optuna-{algorithm}-{seed}.json".replace(" ", "_"), command


def bench(name):
    file = OUT / f"bench-{name}.json"
    yield f"bench {name}", file, [NODE, HERE / "repo/search.mjs", "bench", name, file, *(["quick"] if TINY else [])]


def jobs():
    if arguments.linas:
        yield from ours(range(SEEDS), arguments.evaluations, ONLY)
        return
    if TINY:
        yield from ours([0], 30, ["ZDT4", "OFA-MobileNetV3", "HAT cpu_xeon"])
        yield from list(optuna("nsga2", [0], 60))[:4]
        yield from list(optuna("tpe", [0], 20))[1:2]
        yield from list(optuna("gp", [0], 15))[:1]
        yield from bench("search-trials")
        return
    every = range(SEEDS)
    for name in ["linas", "search-lanes", "search-trials"]:
        yield from bench(name)
    yield from ours(range(5), 800)
    yield from optuna("nsga2", every, 800)
    yield from optuna("tpe", range(3), 800)
    yield from ours(range(5, SEEDS), 800)
    yield from optuna("gp", range(3), 100)
    yield from optuna("tpe", range(3, SEEDS), 200)
    yield from optuna("tpe", range(3, SEEDS), 800)
    yield from optuna("gp", range(3), 200)


queue, lock, running, stopping = jobs(), threading.Lock(), set(), threading.Event()
start = time.time()


def work():
    while not stopping.is_set():
        with lock:
            job = next(queue, None)
        if job is None:
            return
        name, file, command = job
        if file.exists():
            continue
        with open(OUT / "jobs.log", "a") as log:
            begun = time.time()
            child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=log)
            running.add(child)
            code = child.wait()
            running.discard(child)
            log.write(f"{time.time() - start:.0f} s: {name}: {'done' if code == 0 else f'FAILED {code}'} in {time.time() - begun:.1f} s\n")


def stop(*_):
    stopping.set()
    for child in list(running):
        child.terminate()


OUT.mkdir(parents=True, exist_ok=True)
signal.signal(signal.SIGTERM, stop)
lanes = [threading.Thread(target=work) for _ in range(LANES)]
for lane in lanes:
    lane.start()
for lane in lanes:
    lane.join()
(OUT / ("stopped" if stopping.is_set() else "finished")).write_text(f"{time.time() - start:.0f} s\n")
