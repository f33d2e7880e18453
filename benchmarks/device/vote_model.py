"""Small Llamas for vote_study.py, from GGUF or safetensors, with any attention function."""
import json
import os
import struct

import numpy as np
import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
torch.backends.cuda.matmul.allow_tf32 = False


class Model:
    """Llama's architecture with tied embeddings; vectors are rotated half against half."""

    def __init__(self, heads, kv_heads, size, theta, eps, embedding, norm, layers):
        self.heads, self.kv_heads, self.size, self.theta, self.eps = heads, kv_heads, size, theta, eps
        self.embedding, self.norm = embedding.to(DEVICE), norm.to(DEVICE)
        self.layers = [[w.to(DEVICE) for w in layer] for layer in layers]

    @torch.no_grad()
    def hidden(self, ids, attend):
        """Final hidden states [T, D]; attend(layer, q [T, H, d], k, v [T, Hkv, d]) -> [T, H, d]."""
        x = self.embedding[ids]
        for i, (n1, q, k, v, o, n2, gate, up, down) in enumerate(self.layers):
            h = self.rms(x, n1)
            split = lambda y, n: y.view(len(ids), n, self.size)
            query = self.rotated(split(h @ q.T, self.heads))
            key = self.rotated(split(h @ k.T, self.kv_heads))
            x = x + attend(i, query, key, split(h @ v.T, self.kv_heads)).reshape(len(ids), -1) @ o.T
            h = self.rms(x, n2)
            x = x + (torch.nn.functional.silu(h @ gate.T) * (h @ up.T)) @ down.T
        return self.rms(x, self.norm)

    def rms(self, x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * weight

    def rotated(self, x):
        half = self.size // 2
        frequencies = self.theta ** (-torch.arange(0, half, device=DEVICE, dtype=torch.float64) / half)
        angles = torch.arange(x.shape[0], device=DEVICE, dtype=torch.float64)[:, None] * frequencies
        cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def gguf_tensors(path):
    """Metadata and float32 tensors of a GGUF file; F32, Q8_0 and Q4_1 only."""
    data, at = np.memmap(path, dtype=np.uint8, mode='r'), 0

    def number(form):
        nonlocal at
        size = struct.calcsize(form)
        value = struct.unpack(form, data[at:at + size].tobytes())[0]
        at += size
        return value

    def text():
        nonlocal at
        size = number('<Q')
        value = data[at:at + size].tobytes().decode('utf8', 'replace')
        at += size
        return value

    scalars = {0: '<B', 1: '<b', 2: '<H', 3: '<h', 4: '<I', 5: '<i', 6: '<f', 7: '<?', 10: '<Q', 11: '<q', 12: '<d'}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = number('<I'), number('<Q')
            return [value(inner) for _ in range(count)]
        return number(scalars[kind])

    assert number('<I') == 0x46554747, f'{path} is no GGUF file'
    number('<I')
    tensors, pairs = number('<Q'), number('<Q')
    metadata = {}
    for _ in range(pairs):
        name = text()
        metadata[name] = value(number('<I'))
    infos = []
    for _ in range(tensors):
        name, dims = text(), number('<I')
        shape = [number('<Q') for _ in range(dims)]
        infos.append((name, shape, number('<I'), number('<Q')))
    alignment = metadata.get('general.alignment', 32)
    base = (at + alignment - 1) // alignment * alignment
    halves = lambda bytes_: bytes_.copy().view(np.float16).astype(np.float32)
    found = {}
    for name, shape, kind, offset in infos:
        count, start = int(np.prod(shape)), base + offset
        if kind == 0:
            weights = data[start:start + 4 * count].view(np.float32).copy()
        elif kind == 8:
            rows = data[start:start + count // 32 * 34].reshape(-1, 34)
            weights = halves(rows[:, :2]) * rows[:, 2:].copy().view(np.int8).astype(np.float32)
        elif kind == 3:
            rows = data[start:start + count // 32 * 20].reshape(-1, 20)
            nibbles = np.concatenate([rows[:, 4:] & 15, rows[:, 4:] >> 4], 1).astype(np.float32)
            weights = halves(rows[:, 0:2]) * nibbles + halves(rows[:, 2:4])
        else:
            raise ValueError(f'{name} is of ggml type {kind}: F32, Q8_0 or Q4_1 are read')
        found[name] = torch.from_numpy(np.ascontiguousarray(weights.reshape(shape[::-1])))
    return metadata, found


def load(path):
    """A Llama of a .gguf file, or of a folder with config.json and safetensors."""
    if path.endswith('.gguf'):
        metadata, w = gguf_tensors(path)
        heads, kv_heads = metadata['llama.attention.head_count'], metadata['llama.attention.head_count_kv']
        # GGUF keeps rotated pairs side by side.
        apart = lambda x, n: x.reshape(n, x.shape[0] // n // 2, 2, -1).swapaxes(1, 2).reshape(x.shape)
        layers = []
        for i in range(metadata['llama.block_count']):
            get = lambda name: w[f'blk.{i}.{name}.weight']
            layers.append([get('attn_norm'), apart(get('attn_q'), heads), apart(get('attn_k'), kv_heads), get('attn_v'),
                           get('attn_output'), get('ffn_norm'), get('ffn_gate'), get('ffn_up'), get('ffn_down')])
        size = w['blk.0.attn_q.weight'].shape[0] // heads
        return Model(heads, kv_heads, size, metadata['llama.rope.freq_base'], metadata['llama.attention.layer_norm_rms_epsilon'],
                     w['token_embd.weight'], w['output_norm.weight'], layers)
    from safetensors.torch import load_file
    w = {}
    for file in sorted(os.listdir(path)):
        if file.endswith('.safetensors'):
            w.update(load_file(os.path.join(path, file)))
    with open(os.path.join(path, 'config.json')) as file:
        config = json.load(file)
    names = ('input_layernorm', 'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
             'post_attention_layernorm', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj')
    layers = [[w[f'model.layers.{i}.{name}.weight'].float() for name in names] for i in range(config['num_hidden_layers'])]
    return Model(config['num_attention_heads'], config['num_key_value_heads'], config['head_dim'],
                 config['rope_parameters']['rope_theta'], config['rms_norm_eps'],
                 w['model.embed_tokens.weight'].float(), w['model.norm.weight'].float(), layers)
