"""Times a Qwen3-0.6B-shaped model of random weights in PyTorch (transformers, bf16, FlashAttention-2 by SDPA): prompts, and tokens after them."""
import json
import statistics
import sys
import time

import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen3Config, Qwen3ForCausalLM

OUT, LIMIT = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 90.0
START = time.time()
config = Qwen3Config(
    vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
    num_key_value_heads=8, head_dim=128, max_position_embeddings=262144, rope_theta=1e6, tie_word_embeddings=True,
)
config._attn_implementation = "sdpa"
rows = []


def add(**row):
    rows.append(row)
    print(json.dumps(row), flush=True)
    with open(OUT, "w") as file:
        json.dump({"name": "torch-llm", "device": torch.cuda.get_device_name(), "torch": torch.__version__,
                   "transformers": transformers.__version__, "rows": rows}, file, indent=1)


torch.manual_seed(0)
with torch.device("cuda"):
    model = Qwen3ForCausalLM(config).to(torch.bfloat16).eval()


def timed(call):
    torch.cuda.synchronize()
    start = time.perf_counter()
    value = call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3, value


@torch.no_grad()
def measure(length, repeats, tokens):
    ids = torch.randint(0, config.vocab_size, (1, length), device="cuda")
    torch.cuda.reset_peak_memory_stats()

    def read():
        return model(input_ids=ids, use_cache=True, logits_to_keep=1)

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
        read()
        times = [timed(read)[0] for _ in range(repeats)]
        out = read()
    cache, step = out.past_key_values, out.logits[:, -1:].argmax(-1)
    steps = []
    for i in range(tokens + 8):
        ms, out = timed(lambda: model(input_ids=step, past_key_values=cache, use_cache=True))
        step = out.logits[:, -1:].argmax(-1)
        if i >= 8:
            steps.append(ms)
    add(what="torch", length=length, prefillMs=statistics.median(times), tokenMs=statistics.median(steps),
        peakMiB=torch.cuda.max_memory_allocated() / 2**20)


for length, repeats, tokens in [(2048, 5, 32), (32768, 3, 32), (131072, 1, 16)]:
    if time.time() - START > LIMIT:
        break
    try:
        measure(length, repeats, tokens)
    except Exception as error:  # another backend would be slower: say so
        add(what="torch", length=length, failure=str(error)[:300])
    torch.cuda.empty_cache()
