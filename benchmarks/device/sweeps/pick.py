"""The best recipe of a sweep of SST-2 (rows of sst2.py) as a part of a recipe in tfjs. python3 pick.py rows.jsonl BATCH STEPS_PER_EPOCH

By the mean accuracy on the dev set over its seeds, of the last weights or of their average. Without such rows: what was best on 2026-11-30.
"""

import json
import os
import sys

rows, batch, epoch = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
EPOCHS = float(os.environ.get("EPOCHS", "4"))
best, lane, table = -1.0, {"lr": 2e-4, "ld": 0.8, "drop": 0.1, "len": 3 / EPOCHS}, {}
averaged = False
for line in open(rows) if os.path.exists(rows) else []:
    row = json.loads(line)
    # R-Drop, masked words and smoothed labels are no recipes of tfjs.
    if row.get("what") in ("plain-end", "plain-ema") and not any(row.get(k) for k in ("rdrop", "mask", "smooth")):
        given = {k: row[k] for k in ("lr", "ld", "drop", "mean", "len") if k in row}
        table.setdefault((row["what"], json.dumps(given, sort_keys=True)), []).append(row["dev"])
for (what, given), dev in table.items():
    mean = sum(dev) / len(dev)
    if mean > best + (1e-9 if what == "plain-end" else 2e-3):
        best, lane, averaged = mean, json.loads(given), what == "plain-ema"
rate = lane.get("drop", 0.1)
labels = {
    "batchSize": batch,
    "dropout": {"hidden": rate, "attention": rate, "classifier": rate},
    "optimizer": {"weightDecay": 0.01, "layerDecay": lane.get("ld", 1)},
    "schedule": {"kind": "linear", "warmup": 0.08},
}
if averaged:
    labels["average"] = {"decay": 0.999}
steps = round(epoch * EPOCHS * lane.get("len", 1))
found = {"labels": labels, "learningRate": lane["lr"], "steps": steps, "dev": best}
found["table"] = [[*key, *dev] for key, dev in table.items()]
print(json.dumps(found))
