"""Tokens of SST-2 and of the books as data.npz; needs the package tokenizers. python3 prepare.py ../shared"""

import re
import sys

import numpy as np
from tokenizers import Tokenizer

S = sys.argv[1]
tok = Tokenizer.from_file(S + "/models/minilm-l6/tokenizer.json")
tok.no_padding()
tok.enable_truncation(64)


def enc(ts):
    out = np.zeros((len(ts), 64), np.uint16)
    n = np.zeros(len(ts), np.uint8)
    for i, e in enumerate(tok.encode_batch(ts)):
        out[i, : len(e.ids)] = e.ids
        n[i] = len(e.ids)
    return out, n


def tsv(n):
    r = [l.rstrip("\n").rsplit("\t", 1) for l in open(f"{S}/data/sst2/{n}.tsv", encoding="utf8").read().split("\n")[1:] if l]
    return [a for a, _ in r], np.array([int(b) for _, b in r], np.int8)


tt, ty = tsv("train")
dt, dy = tsv("dev")
rng = np.random.default_rng(0)
long = [i for i, t in enumerate(tt) if len(t.split()) >= 16]
held = rng.permutation(long)[:1000]
ph = set()
for i in held:
    w = tt[i].split()
    for a in range(len(w)):
        for b in range(a + 3, len(w) + 1):
            ph.add(" ".join(w[a:b]))
keep = [i for i, t in enumerate(tt) if " ".join(t.split()) not in ph]
print(len(tt), len(long), len(keep), len(dt))
X, N = enc([tt[i] for i in keep])
H, HN = enc([tt[i] for i in held])
D, DN = enc(dt)
print("len pct", np.percentile(N, [50, 75, 90, 95, 99, 100]), np.percentile(DN, [50, 90, 100]))


def book(n):
    t = re.sub(r"\s+", " ", open(f"{S}/data/books/{n}.txt", encoding="utf8").read())
    f = re.findall(r'[^.!?]+[.!?]+["”’\')]*', t)
    f = [s.strip() for s in f]
    f = [s for s in dict.fromkeys(f) if len(s.split(" ")) >= 4]
    return f


W = book("leo-tolstoy_war-and-peace_louise-maude_aylmer-maude")
M = book("herman-melville_moby-dick")
WX, WN = enc(W)
MX, MN = enc(M)
print(len(W), len(M), np.percentile(WN, [50, 90, 95, 100]), np.percentile(MN, [50, 90, 95, 100]))
np.savez_compressed("data.npz", X=X, N=N, y=ty[keep], H=H, HN=HN, hy=ty[held], D=D, DN=DN, dy=dy, WX=WX, WN=WN, MX=MX, MN=MN)
