# llama.cpp for llm-cpu: one request a line (JSON) in, one answer a line out. pip install llama-cpp-python
import json
import sys
import time

from llama_cpp import Llama, __version__

path, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = time.perf_counter()
model = Llama(model_path=path, n_threads=threads, n_threads_batch=threads, n_ctx=context, n_batch=512, verbose=False)
print(json.dumps({'version': __version__, 'ms': 1e3 * (time.perf_counter() - start)}), flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if ask['op'] == 'reset':
        model.reset()
    start = time.perf_counter()
    if ask['op'] == 'eval':
        model.eval(ask['ids'])
    times = []
    if ask['op'] == 'steps':
        for token in ask['ids']:
            begin = time.perf_counter()
            model.eval([token])
            times.append(1e3 * (time.perf_counter() - begin))
    print(json.dumps({'ms': 1e3 * (time.perf_counter() - start), 'times': times}), flush=True)
