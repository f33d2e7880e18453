"""Distance from dense attention by what a vote is made of (docs/guide/ablation.md): every variant as dense masks in PyTorch.

python3 vote_study.py --model FILE.gguf|FOLDER --windows IDS.safetensors --texts IDS.safetensors [--decode PROMPT…] [--only TEXT] [--out FILE]

--windows holds token ids NAME.input_ids or NAME, measured on their second half; --texts ids of other text, for the budgets. One JSON
line a variant. Scores of 512 rows and all keys exist at once: 8,192 tokens take some 2 GiB, 32,768 some 20.
"""
import argparse
import json
import math
import time

import torch

from vote_model import DEVICE, load

NEVER = float('-inf')
ROWS = 512  # computed at once
pad = torch.nn.functional.pad

# What VOTE_CONFIG of @hip/mask-search does, with budgets by head; variants change it.
BASE = dict(
    block_q=64, block_k=2, k=320, window=64, sink=16, dense=2, budgets=True,
    chunk=64, chunk_keep=4096, chunk_score='deviation', deviations=2.0, means=8,
    candidates=1536, candidate_chunk=16, candidate_score='exact', candidate_stride=1, candidate_half=True,
    vote_half=True, vote_all=False, power=1.0,
    remainder=True, base=64, most=32, tail='drop',
    prompt=None, refresh=8, decode_keys='selected', decode_candidates=None,
)

VARIANTS = {
    'shipped': {}, 'equal budgets': dict(budgets=False),
    'all dimensions': dict(candidate_half=False, vote_half=False), 'half in the second stage': dict(vote_half=False),
    'every key': dict(chunk_keep=None, candidates=None, vote_half=False),
    'every key, half': dict(chunk_keep=None, candidates=None),
    **{f'{n} keys a block, every key': dict(block_k=n, chunk_keep=None, candidates=None, vote_half=False) for n in (1, 4, 8)},
    **{f'{n} rows a mask': dict(block_q=n) for n in (16, 32)},
    **{f'k = {n}': dict(k=n) for n in (192, 224, 352, 448)},
    **{f'window {w}, k = {n}': dict(window=w, k=n) for w, n in ((32, 352), (128, 256))},
    'no remainder': dict(remainder=False), 'exact tail': dict(tail='exact'),
    **{f'at most {n} pseudo-keys': dict(most=n) for n in (16, 64)},
    'bound': dict(chunk_score='bound'), 'all chunks': dict(chunk_keep=None), '6,144 tokens': dict(chunk_keep=6144),
    **{f'{n} deviations': dict(deviations=n) for n in (0.5, 1.0, 3.0)},
    **{f'means of {n} rows': dict(means=n) for n in (1, 2, 4, 16, 64)},
    **{f'{n}-key chunks': dict(chunk=n) for n in (16, 32)},
    **{f'{n} candidates': dict(candidates=n) for n in (1024, 2048)},
    **{f'every {n}th row in the second stage': dict(candidate_stride=n) for n in (2, 4)},
    'second stage by deviations': dict(candidate_score='deviation', candidates=2048),
    'one stage': dict(chunk_keep=2048, candidates=None), 'normalised over all keys': dict(vote_all=True),
    **{f'power {p}': dict(power=p) for p in (0.5, 0.75)},
}
DECODE = {
    'shipped': {}, **{f'refresh {n}': dict(refresh=n) for n in (1, 4, 16)}, **{f'k = {n}': dict(k=n) for n in (448, 640)},
    **{f'of {n} candidates': dict(decode_candidates=n) for n in (2048, 3072)},
    **{f'all {n} candidates': dict(decode_candidates=n, decode_keys='candidates') for n in (1024, 2048, 4096)},
    'all 1024, refresh 1': dict(decode_candidates=1024, decode_keys='candidates', refresh=1),
}


def slow_half(x):
    """The slower half of the rotary pairs, of [..., d]."""
    d = x.shape[-1]
    return torch.cat([x[..., d // 4:d // 2], x[..., 3 * d // 4:]], -1)


def scores(model, q, k):
    """q [rows, H, d] by k [keys, Hkv, d] -> [H, rows, keys], scaled."""
    rows, heads, d = q.shape
    grouped = q.transpose(0, 1).reshape(model.kv_heads, heads // model.kv_heads, rows, d)
    product = torch.einsum('kgrd,ktd->kgrt', grouped, k.transpose(0, 1))
    return product.reshape(heads, rows, -1) * model.size ** -0.5


def weighted(model, weights, v):
    """[H, rows, n] by [Hkv, n, d] -> [rows, H, d]."""
    heads, rows, n = weights.shape
    out = torch.einsum('kgrt,ktd->kgrd', weights.view(model.kv_heads, heads // model.kv_heads, rows, n), v)
    return out.reshape(heads, rows, -1).transpose(0, 1)


def dense(model, _, q, k, v):
    out = torch.empty_like(q)
    for start in range(0, len(q), ROWS):
        end = min(len(q), start + ROWS)
        s = scores(model, q[start:end], k[:end])
        s.masked_fill_(torch.arange(end, device=DEVICE)[None] > torch.arange(start, end, device=DEVICE)[:, None], NEVER)
        out[start:end] = weighted(model, s.softmax(-1), v[:end].transpose(0, 1))
    return out


def largest(score, keep):
    """A mask of the `keep` largest along the last axis; keep may be [H, 1, 1]. -inf is never taken."""
    if not torch.is_tensor(keep):
        keep = torch.tensor(keep, device=DEVICE)
    most = int(min(score.shape[-1], keep.max()))
    index = score.topk(most, -1).indices
    taken = (torch.arange(most, device=DEVICE) < keep).expand(index.shape)
    return torch.zeros_like(score, dtype=torch.bool).scatter_(-1, index, taken) & (score > NEVER)


class Vote:
    """One variant as an attention function; counts the keys and pseudo-keys of rows from `rows_from` on."""

    def __init__(self, model, config, budgets, rows_from):
        self.model, self.c, self.budgets, self.rows_from = model, argparse.Namespace(**config), budgets, rows_from
        self.keys = self.pseudo = self.rows = 0

    def __call__(self, layer, q, k, v):
        if layer < self.c.dense:
            return dense(self.model, layer, q, k, v)
        out, c = torch.empty_like(q), self.c
        start = 0
        while start < len(q):
            decoding = c.prompt is not None and start >= c.prompt
            end = min(len(q), start + ROWS, len(q) if decoding or c.prompt is None else c.prompt)
            out[start:end] = self.rows_of(layer, q, k[:end], v[:end], start, end, decoding)
            start = end
        return out

    def rows_of(self, layer, q, k, v, start, end, decoding):
        model, c = self.model, self.c
        rows = torch.arange(start, end, device=DEVICE)
        block_q = 1 if decoding else c.block_q
        blocks = -(-(end - start) // block_q)
        # While decoding, the first stage runs for every `refresh`-th row, and the window grows from there.
        source = c.prompt + (rows - c.prompt) // c.refresh * c.refresh if decoding else rows
        window_start = (source + 1 - c.window).clamp(min=0)
        last = torch.minimum(torch.arange(blocks, device=DEVICE) * block_q + block_q - 1, torch.tensor(end - start - 1, device=DEVICE))
        search_end, first_start = window_start[last], window_start[torch.arange(blocks, device=DEVICE) * block_q]
        width = -(-(end - c.sink) // 256) * 256  # keys from the sinks on, padded
        padded = lambda x: pad(x[c.sink:], (0, 0, 0, 0, 0, width - (end - c.sink)))
        keys = padded(k)
        per_block = lambda x: pad(x, (0, 0, 0, blocks * block_q - x.shape[1]), value=NEVER).view(x.shape[0], blocks, block_q, -1)
        spread = lambda x: x.repeat_interleave(block_q, 1)[:, :end - start]
        exact = scores(model, q[start:end], k)
        future = torch.arange(end, device=DEVICE)[None] > rows[:, None]
        exact.masked_fill_(future, NEVER)
        from_sink = lambda s: pad(s[:, :, c.sink:], (0, width - (end - c.sink)), value=NEVER)
        half = None
        if c.candidate_half or c.vote_half:
            half = scores(model, slow_half(q[start:end]), slow_half(k)).masked_fill_(future, NEVER)
        candidates = self.candidates(q, keys, exact, half, start, end, source, search_end, decoding, per_block, from_sink, width)
        column = torch.arange(width, device=DEVICE) + c.sink
        is_below = column[None] < window_start[:, None]
        if decoding and c.decode_keys == 'candidates':
            selected = candidates
        else:
            s = from_sink(half if c.vote_half else exact)
            allowed = spread(candidates) & is_below[None]
            normaliser = s if c.vote_all else torch.where(allowed | ~is_below[None], s, NEVER)
            total = torch.logsumexp(normaliser, -1)
            if c.sink:
                total = torch.logaddexp(total, torch.logsumexp((half if c.vote_half else exact)[:, :, :c.sink], -1))
            p = torch.exp(c.power * (s - total[..., None])).masked_fill(~allowed, 0)
            p = pad(p, (0, 0, 0, blocks * block_q - (end - start)))
            mass = p.view(model.heads, blocks, block_q, -1, c.block_k).sum((2, 4))
            possible = candidates.view(model.heads, blocks, -1, c.block_k).any(-1)
            late = c.sink + c.block_k * torch.arange(width // c.block_k, device=DEVICE) >= search_end[:, None]
            keep = self.budgets[layer].to(DEVICE).view(-1, 1, 1) // c.block_k if self.budgets else c.k // c.block_k
            selected = largest(mass.masked_fill(~possible | late[None], NEVER), keep).repeat_interleave(c.block_k, 2)
        allow = spread(selected) & is_below[None] | ~is_below[None]
        logits = from_sink(exact)
        values = torch.cat([v[:c.sink], padded(v)]).transpose(0, 1)
        pseudo = None
        if c.remainder:
            pseudo, means, exact_from = self.pseudo_keys(q, keys, padded(v), selected, first_start, start, end, spread, width)
            values = torch.cat([values, means], 1)
            if c.tail == 'exact':
                allow |= spread((column[None] >= exact_from[:, None])[None].expand(model.heads, -1, -1)) & is_below[None]
        logits = logits.masked_fill(~allow, NEVER)
        counted = max(0, self.rows_from - start)
        if counted < end - start:
            self.keys += (logits[:, counted:] > NEVER).sum().item() + c.sink * model.heads * (end - start - counted)
            self.rows += model.heads * (end - start - counted)
            if pseudo is not None:
                self.pseudo += (pseudo[:, counted:] > NEVER).sum().item()
        whole = [exact[:, :, :c.sink], logits] + ([pseudo] if pseudo is not None else [])
        return weighted(model, torch.cat(whole, -1).softmax(-1), values)

    def candidates(self, q, keys, exact, half, start, end, source, search_end, decoding, per_block, from_sink, width):
        """Which keys from the sinks on the vote may choose from: [H, blocks of rows, width]."""
        model, c = self.model, self.c
        group = model.heads // model.kv_heads
        blocks = len(search_end)
        if decoding:
            means = q[source].transpose(0, 1)[:, :, None]
        else:
            count = min(c.means, c.block_q)
            whole = pad(q[start:end], (0, 0, 0, 0, 0, blocks * c.block_q - (end - start)))
            means = whole.view(blocks, c.block_q // count, count, model.heads, model.size).mean(2).permute(2, 0, 1, 3)

        def summary(size, score, keep, inside):
            chunks = keys.view(width // size, size, model.kv_heads, model.size)
            spread = lambda x: x.permute(1, 0, 2).repeat_interleave(group, 0)
            if score == 'deviation':
                mean, variance = spread(chunks.mean(1)), spread(chunks.var(1, unbiased=False))
                deviation = torch.einsum('hbmd,hcd->hbmc', means.pow(2), variance).clamp(min=0).sqrt()
                found = torch.einsum('hbmd,hcd->hbmc', means, mean) + c.deviations * deviation
            else:
                found = torch.einsum('hbmd,hcd->hbmc', means.clamp(min=0), spread(chunks.amax(1)))
                found = found + torch.einsum('hbmd,hcd->hbmc', means.clamp(max=0), spread(chunks.amin(1)))
            return chosen(found.amax(2), size, keep, inside)

        def chosen(score, size, keep, inside):
            late = c.sink + size * torch.arange(width // size, device=DEVICE) >= search_end[:, None]
            score = score.masked_fill(late[None], NEVER)
            if inside is not None:
                score = score.masked_fill(~inside.view(model.heads, blocks, -1, size).any(-1), NEVER)
            taken = largest(score, keep // size) if keep else score > NEVER
            return taken.repeat_interleave(size, 2)

        left = summary(c.chunk, c.chunk_score, c.chunk_keep, None)
        keep = c.decode_candidates if decoding and c.decode_candidates else c.candidates
        if not keep:
            return left
        if c.candidate_score == 'deviation':
            return summary(c.candidate_chunk, 'deviation', keep, left)
        if decoding and c.decode_keys == 'candidates':
            s = scores(model, q[source], keys)  # what is found serves until the next refresh
        else:
            s = from_sink(half if c.candidate_half else exact)
        s = per_block(s)[:, :, c.candidate_stride - 1::c.candidate_stride] if not decoding else per_block(s)
        return chosen(s.amax(2).view(model.heads, blocks, -1, c.candidate_chunk).amax(-1), c.candidate_chunk, keep, left)

    def pseudo_keys(self, q, keys, values, selected, first_start, start, end, spread, width):
        """Logits [H, rows, n] and mean values [Hkv, n, d] of what stands for the rest, and the first key after it, by block."""
        model, c = self.model, self.c
        reach = (first_start - c.sink).clamp(min=0)
        size = torch.full_like(reach, c.base)
        while (reach // size > c.most).any():
            size = torch.where(reach // size > c.most, size * 2, size)
        whole, covered = reach // size * size, reach // c.base * c.base
        logits, means = [], []

        def add(block, there):
            count = width // block
            cut = lambda x: x[:count * block].view(count, block, model.kv_heads, model.size).mean(1)
            left = block - selected[:, :, :count * block].reshape(model.heads, len(reach), count, block).sum(-1)
            logit = scores(model, q[start:end], cut(keys)) + spread(torch.log(left.float()))
            logits.append(logit.masked_fill(~spread(there(torch.arange(count, device=DEVICE))[None].expand(model.heads, -1, -1)), NEVER))
            means.append(cut(values).transpose(0, 1))

        for block in sorted(set(size.tolist())):
            add(block, lambda index: (size == block)[:, None] & ((index + 1)[None] * block <= whole[:, None]))
        # What is left after whole blocks: here block by block, in the kernels by ever smaller ones.
        add(c.base, lambda index: (index[None] * c.base >= whole[:, None]) & ((index + 1)[None] * c.base <= covered[:, None]))
        return torch.cat(logits, -1), torch.cat(means, 1), c.sink + covered


def calibrated(model, texts, config):
    """Keys by head, by layer: greedily by the mass of key blocks over blocks of 64 rows, one threshold a layer, 4 blocks at least."""
    c, sums, entries = argparse.Namespace(**config), {}, 1024

    def attend(layer, q, k, v):
        if layer >= c.dense:
            curves, blocks = torch.zeros(model.heads, entries, device=DEVICE), 0
            for start in range(len(q) // 2, len(q) - 63, 64):
                rows, column = torch.arange(start, start + 64, device=DEVICE)[:, None], torch.arange(start + 64, device=DEVICE)[None]
                p = scores(model, q[start:start + 64], k[:start + 64]).masked_fill_(column > rows, NEVER).softmax(-1)
                p = p.masked_fill((column >= rows + 1 - c.window) | (column < c.sink), 0)[:, :, c.sink:]
                n = p.shape[-1] // c.block_k
                mass = p[:, :, :n * c.block_k].reshape(model.heads, 64, n, c.block_k).sum((1, 3)) / 64
                best = mass.topk(min(entries, n), -1).values
                curves[:, :best.shape[1]] += best
                blocks += 1
            sums[layer] = sums.get(layer, 0) + curves / blocks
        return dense(model, layer, q, k, v)

    for ids in texts:
        model.hidden(ids, attend)
    budgets = {}
    for layer, curves in sums.items():
        order = curves.flatten().sort(descending=True).values
        threshold = order[min(c.k // c.block_k * model.heads, len(order) - 1)]
        budgets[layer] = (curves > threshold).sum(-1).clamp(min=4).cpu() * c.block_k
    return budgets


def compare(model, exact, other, ids, first, end):
    """Perplexity ratio, KL in 10^-3 nats and share of equal argmax over rows first … end - 2."""
    kl = loss = exact_loss = equal = 0.0
    for start in range(first, end - 1, ROWS):
        stop = min(end - 1, start + ROWS)
        a, b = ((hidden[start:stop] @ model.embedding.T).log_softmax(-1) for hidden in (exact, other))
        target = ids[start + 1:stop + 1, None]
        kl += (a.exp() * (a - b)).sum().item()
        exact_loss -= a.gather(1, target).sum().item()
        loss -= b.gather(1, target).sum().item()
        equal += (a.argmax(-1) == b.argmax(-1)).sum().item()
    n = end - 1 - first
    return math.exp((loss - exact_loss) / n), 1e3 * kl / n, equal / n


def main():
    from safetensors.torch import load_file
    parser = argparse.ArgumentParser()
    for name in ('model', 'windows', 'texts'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--decode', type=int, nargs='*', default=[])
    parser.add_argument('--fed', type=int, default=1024)
    parser.add_argument('--tokens', type=int, default=None)
    parser.add_argument('--only', default='')
    parser.add_argument('--out', default='/dev/stdout')
    args = parser.parse_args()
    model = load(args.model)
    read = lambda path: {name.replace('.input_ids', ''): ids.long()[:args.tokens].to(DEVICE)
                         for name, ids in load_file(path).items() if not name.endswith('.nll')}
    windows, texts = read(args.windows), list(read(args.texts).values())
    exact = {name: model.hidden(ids, lambda *given: dense(model, *given)) for name, ids in windows.items()}
    known = {}

    def budgets_of(config):
        key = (config['k'], config['block_k'], config['window'])
        if key not in known:
            known[key] = calibrated(model, texts, config)
        return known[key]

    jobs = [(name, changes, None) for name, changes in VARIANTS.items()]
    jobs += [(name, changes, prompt) for prompt in args.decode for name, changes in DECODE.items()]
    begin = time.time()
    with open(args.out, 'a') as out:
        for name, changes, prompt in jobs:
            if args.only not in name:
                continue
            config = {**BASE, **changes, 'prompt': prompt}
            each, keys, pseudo = [], 0.0, 0.0
            for window, ids in windows.items():
                first, end = (len(ids) // 2, len(ids)) if prompt is None else (prompt, min(len(ids), prompt + args.fed))
                vote = Vote(model, config, budgets_of(config) if config['budgets'] else None, first)
                each.append(compare(model, exact[window][:end], model.hidden(ids[:end], vote), ids, first, end))
                keys, pseudo = keys + vote.keys / vote.rows, pseudo + vote.pseudo / vote.rows
            ratio, kl, equal = (sum(one[i] for one in each) / len(each) for i in range(3))
            row = dict(part='prefill' if prompt is None else 'decode', name=name, windows=len(each), **changes,
                       perplexityRatio=round(ratio, 4), kl=round(kl, 2), equalArgmax=round(equal, 4),
                       keysPerRow=round(keys / len(each), 1), pseudoKeysPerRow=round(pseudo / len(each), 1),
                       seconds=round(time.time() - begin))
            out.write(json.dumps({**row, **({'prompt': prompt} if prompt else {})}) + '\n')
            out.flush()


if __name__ == '__main__':
    main()
