# moocore's exact hypervolume of sets of fronts (minimised, reference 1), or what each point adds to it: the values, and the least CPU time a front of
# the repeats in half a second.
import json
import sys
import time

import moocore
import numpy as np

given = json.load(sys.stdin)
measure = {"hypervolume": moocore.hypervolume, "contributions": moocore.hv_contributions}[given["what"]]
rows = []
for fronts in given["sets"]:
    sets = [np.array(front) for front in fronts]
    reference = np.ones(sets[0].shape[1])
    seconds = []
    while len(seconds) < 3 or sum(seconds) * len(sets) < 0.5:
        start = time.process_time()
        values = [measure(points, ref=reference) for points in sets]
        seconds.append((time.process_time() - start) / len(sets))
    rows.append({"values": [np.atleast_1d(value).tolist() for value in values], "seconds": min(seconds)})
json.dump({"version": moocore.__version__, "rows": rows}, sys.stdout)
