"""Times PyTorch's FlashAttention-2 and cuDNN attention (scaled_dot_product_attention): 32 heads, 8 key heads, d=128, causal, f16."""
import json
import statistics
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

OUT, LIMIT = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
START = time.time()
HEADS, KEY_HEADS, DIM = 32, 8, 128
rows = []


def median_ms(call, repeats):
    call()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        call()
        b.record()
        torch.cuda.synchronize()
        times.append(a.elapsed_time(b))
    return statistics.median(times)


def measure(what, name, backend, queries, keys, causal, repeats):
    if time.time() - START > LIMIT:
        return
    row = {"what": what, "backend": name, "queries": queries, "keys": keys}
    try:
        q = torch.randn(1, HEADS, queries, DIM, device="cuda", dtype=torch.float16)
        k = torch.randn(1, KEY_HEADS, keys, DIM, device="cuda", dtype=torch.float16)
        v = torch.randn(1, KEY_HEADS, keys, DIM, device="cuda", dtype=torch.float16)
        with sdpa_kernel([backend]), torch.no_grad():
            call = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
            row["ms"] = median_ms(call, repeats)
        if causal:
            row["tflops"] = 2 * HEADS * queries * (queries + 1) * DIM / row["ms"] / 1e9
    except Exception as error:  # a backend may refuse a shape
        row["failure"] = str(error)[:200]
    rows.append(row)
    print(json.dumps(row), flush=True)


BACKENDS = {"FlashAttention-2": SDPBackend.FLASH_ATTENTION, "cuDNN": SDPBackend.CUDNN_ATTENTION}
for tokens, repeats in [(8192, 10), (16384, 7), (32768, 5), (131072, 2)]:
    for name, backend in BACKENDS.items():
        measure("prefill", name, backend, tokens, tokens, True, repeats)
for keys in [32768, 131072]:
    for name, backend in BACKENDS.items():
        measure("decode", name, backend, 1, keys, False, 30)
with open(OUT, "w") as file:
    json.dump({"name": "torch", "device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}, file, indent=1)
