# The tasks of the peers' table in Python: the same functions as ../src/peers/tasks.ts, which compares both before it measures.
import csv
import json
import math
import re
from pathlib import Path

import numpy as np
from pymoo.problems import get_problem

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nas"


class Task:
    """A black box: bounds of every variable, whether all are integers, and objectives that are all minimised."""

    def __init__(self, name, lower, upper, discrete, evaluate, objectives=2, active=None):
        self.name, self.discrete, self.objectives = name, discrete, objectives
        self.lower, self.upper = np.array(lower, float), np.array(upper, float)
        self.evaluate = evaluate
        # Which variables matter for a candidate; a peer whose samplers know conditional variables is not asked for the others.
        self.active = active


def bert_synth():
    heads, widths = [6, 8, 10, 12], [1024, 2048, 3072]
    weights = [1 + 0.5 * math.sin(1.7 * l) for l in range(12)]
    total = sum(weights)

    def evaluate(x):
        layers, macs, capacity = 6 + int(x[0]), 768 * 768 + 2 * 768, 0.0
        for l in range(layers):
            h, f = heads[int(x[1 + l])], widths[int(x[13 + l])]
            macs += 64 * (4 * 128 * 768 + 2 * 128 * 128) * h + 2 * 128 * 768 * f
            capacity += weights[l] * (0.4 * math.sqrt(h / 12) + 0.6 * (f / 3072) ** 0.7)
        return [macs / 1e9, -93 * (1 - math.exp(-4 * capacity / total)) / (1 - math.exp(-4))]

    def active(x):
        return [True] + [l < 6 + int(x[0]) for l in range(12)] * 2

    return Task("BERT-synth", [0] * 25, [6] + [3] * 12 + [2] * 12, True, evaluate, active=active)


class KernelRidge:
    """Gaussian kernel; length scale twice the mean squared distance, noise 2e-3 of the variance."""

    def __init__(self, X, y, lengths=2.0, noise=2e-3):
        self.X = np.array(X, float)
        y = np.array(y, float)
        self.mean, self.deviation = y.mean(), y.std()
        D = self._distances(self.X)
        n = len(y)
        self.scale = 1 / (2 * lengths * D.sum() / (n * (n - 1)))
        K = np.exp(-D * self.scale) + noise * np.eye(n)
        self.alpha = np.linalg.solve(K, (y - self.mean) / self.deviation)

    def _distances(self, Z):
        D = (Z * Z).sum(1)[:, None] + (self.X * self.X).sum(1)[None, :] - 2 * Z @ self.X.T
        return np.maximum(D, 0)

    def __call__(self, z):
        k = np.exp(-self._distances(np.array([z], float))[0] * self.scale)
        return float(self.mean + self.deviation * (k @ self.alpha))


OFA_KERNELS, OFA_RATIOS, OFA_DEPTHS = [3, 5, 7], [3, 4, 6], [2, 3, 4]


def ofa_active(x):
    used = [b % 4 < OFA_DEPTHS[int(x[40 + b // 4])] for b in range(20)]
    return used + used + [True] * 5


def ofa_features(x):
    features = np.zeros(3 * len(x))
    for i, (gene, used) in enumerate(zip(x, ofa_active(x))):
        if used:
            features[3 * i + int(gene)] = 1
    return features


def ofa():
    found = {}
    for file in sorted((DATA / "dynas-t").glob("*.csv")):
        with open(file, newline="") as stream:
            for row in list(csv.reader(stream))[1:]:
                read = lambda key: json.loads(re.search(rf"'{key}': (\[[^\]]*\])", row[0])[1])
                genes = [OFA_KERNELS.index(v) for v in read("ks")]
                genes += [OFA_RATIOS.index(v) for v in read("e")]
                genes += [OFA_DEPTHS.index(v) for v in read("d")]
                key = tuple(g if used else 0 for g, used in zip(genes, ofa_active(genes)))
                found.setdefault(key, (float(row[4]), []))[1].append(float(row[5]))
    X = np.array([ofa_features(key) for key in found])
    accuracy = KernelRidge(X, [np.mean(top1) for _, top1 in found.values()])
    # MACs are a sum over blocks: 200 sweeps of Gauss-Seidel on the normal equations of the one-hot features, ridge .001.
    macs = np.array([m / 1e6 for m, _ in found.values()])
    mean, weights = macs.mean(), np.zeros(X.shape[1])
    residual, squares = macs - mean, (X * X).sum(0) + 1e-3
    for _ in range(200):
        for k in range(len(weights)):
            step = (X[:, k] @ residual - 1e-3 * weights[k]) / squares[k]
            weights[k] += step
            residual -= step * X[:, k]
    evaluate = lambda x: [-accuracy(ofa_features(x)), float(mean + ofa_features(x) @ weights)]
    return Task("OFA-MobileNetV3", [0] * 45, [2] * 45, True, evaluate, active=ofa_active)


HAT_WIDTHS, HAT_FFN, HAT_HEADS = [512, 640], [512, 1024, 2048, 3072], [4, 8]


def hat_table_row(x):
    """The nine columns of the table that vary: a candidate's choices, averaged over the layers that it uses."""
    layers = 1 + int(x[2])
    average = lambda values, count: sum(values[:count]) / count
    ffn = lambda at: [HAT_FFN[int(g)] for g in x[at : at + 6]]
    heads = lambda at: [HAT_HEADS[int(g)] for g in x[at : at + 6]]
    return [
        HAT_WIDTHS[int(x[0])],
        average(ffn(3), 6),
        average(heads(9), 6),
        HAT_WIDTHS[int(x[1])],
        layers,
        average(ffn(15), layers),
        average(heads(21), layers),
        average(heads(27), layers),
        average([1 + int(g) for g in x[33:39]], layers),
    ]


def hat_parameters(row):
    """Millions of weights in the layers: attention of width 512, biases and norms included, embeddings not."""
    e, encoder_ffn, _, d, layers, decoder_ffn = row[:6]
    attention = lambda width, other: 2 * 512 * width + 2 * 512 * other + 3 * 512 + width
    feed_forward = lambda width, inner: 2 * width * inner + inner + width
    encoder = 6 * (attention(e, e) + feed_forward(e, encoder_ffn) + 4 * e)
    decoder = layers * (attention(d, d) + attention(d, e) + feed_forward(d, decoder_ffn) + 6 * d)
    return (encoder + decoder) / 1e6


def hat(device):
    with open(DATA / "hat" / f"wmt14ende_{device}_all.csv", newline="") as stream:
        rows = np.array(list(csv.reader(stream))[1:], float)
    X, y = np.delete(rows[:, :10], 1, axis=1), rows[:, 10] + rows[:, 11]
    mean, deviation = X.mean(0), X.std(0)
    latency = KernelRidge((X - mean) / deviation, y)

    def evaluate(x):
        row = hat_table_row(x)
        return [latency((np.array(row) - mean) / deviation), -hat_parameters(row)]

    def active(x):
        used = [l < 1 + int(x[2]) for l in range(6)]
        return [True] * 15 + used * 4

    upper = [1, 1, 5] + [3] * 6 + [1] * 6 + [3] * 6 + [1] * 12 + [2] * 6
    return Task(f"HAT {device}", [0] * 39, upper, True, evaluate, active=active)


def black_box(name, **sizes):
    problem = get_problem(name.lower(), **sizes)
    evaluate = lambda x: [float(v) for v in problem.evaluate(np.array([x], float), return_values_of=["F"])[0]]
    return Task(name, problem.xl, problem.xu, False, evaluate, problem.n_obj)


TASKS = {
    "BERT-synth": bert_synth,
    "OFA-MobileNetV3": ofa,
    "HAT cpu_xeon": lambda: hat("cpu_xeon"),
    "HAT gpu_titanxp": lambda: hat("gpu_titanxp"),
    **{name: (lambda name=name: black_box(name)) for name in ("ZDT1", "ZDT3", "ZDT4", "ZDT6")},
    "DTLZ2": lambda: black_box("DTLZ2", n_var=12, n_obj=3),
    "DTLZ7": lambda: black_box("DTLZ7", n_var=22, n_obj=3),
    **{name: (lambda name=name: black_box(name, n_var=24, n_obj=2, k=4)) for name in ("WFG4", "WFG9")},
}
