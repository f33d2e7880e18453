"""A six-layer BERT in JAX whose lanes train side by side: recipes are swept here before a study in tfjs is run with one.

Lanes are models of one shape that differ in their numbers (rate, drop-out, masks of heads, units and layers); a step of all of them is one program.
"""

import json
import os
import struct
import time

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_prng_impl", "unsafe_rbg")
D, HN, HD, F, L = 384, 12, 32, 1536, 6
CT = jnp.float32 if os.environ.get("TINY") else jnp.bfloat16


def rows_to(path):
    """Writes rows with the seconds since now, each at once, and prints them."""
    rows = open(path, "a")
    begun = time.time()

    def say(**r):
        r["t"] = round(time.time() - begun, 1)
        rows.write(json.dumps(r) + "\n")
        rows.flush()
        print(json.dumps(r), flush=True)

    return say


def load(path):
    f = open(path, "rb")
    n = struct.unpack("<Q", f.read(8))[0]
    h = json.loads(f.read(n))
    raw = f.read()

    def g(k):
        m = h[k]
        a, b = m["data_offsets"]
        return np.frombuffer(raw[a:b], np.float16).reshape(m["shape"]).astype(np.float32)

    p = {
        "tok": g("embeddings.word_embeddings.weight"),
        "pos": g("embeddings.position_embeddings.weight")[:64] + g("embeddings.token_type_embeddings.weight")[0],
        "eg": g("embeddings.LayerNorm.weight"),
        "eb": g("embeddings.LayerNorm.bias"),
        "pw": g("pooler.dense.weight").T,
        "pb": g("pooler.dense.bias"),
    }

    def st(k, t=True):
        a = np.stack([g(f"encoder.layer.{i}.{k}") for i in range(L)])
        return a.transpose(0, 2, 1) if a.ndim == 3 and t else a

    for s, k in dict(
        q="attention.self.query",
        k="attention.self.key",
        v="attention.self.value",
        o="attention.output.dense",
        u="intermediate.dense",
        d="output.dense",
    ).items():
        p[s + "w"] = st(k + ".weight")
        p[s + "b"] = st(k + ".bias")
    for s, k in dict(a="attention.output.LayerNorm", f="output.LayerNorm").items():
        p[s + "g"] = st(k + ".weight")
        p[s + "n"] = st(k + ".bias")
    return p


STACKED = ["qw", "qb", "kw", "kb", "vw", "vb", "ow", "ob", "uw", "ub", "dw", "db", "ag", "an", "fg", "fn"]


def ln(x, g, b):
    x = x.astype(jnp.float32)
    m = x.mean(-1, keepdims=True)
    v = ((x - m) ** 2).mean(-1, keepdims=True)
    return ((x - m) * jax.lax.rsqrt(v + 1e-12) * g + b).astype(CT)


def drop(x, rate, key):
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate).astype(x.dtype), 0).astype(x.dtype)


def encode(p, ids, n, mask, rate=None, key=None):
    """ids [B,T]; mask: hm [L,HN], fm [L,F], lm [L]. Returns last hidden [B,T,D], all layers' [L,B,T,D], acts"""
    B, T = ids.shape
    c = lambda a: a.astype(CT)
    real = jnp.arange(T)[None] < n[:, None]
    bias = jnp.where(real, 0.0, -1e9)[:, None, None, :]
    x = ln(p["tok"][ids] + p["pos"][:T], p["eg"], p["eb"])
    if rate is not None:
        x = drop(x, rate, jax.random.fold_in(key, 99))

    def layer(x, w):
        i = w["i"]
        k = None if rate is None else jax.random.split(jax.random.fold_in(key, i), 3)
        h = lambda n_: (x @ c(w[n_ + "w"]) + c(w[n_ + "b"])).reshape(B, T, HN, HD)
        s = jnp.einsum("bqhd,bkhd->bhqk", h("q"), h("k")).astype(jnp.float32) / np.sqrt(HD) + bias
        a = jax.nn.softmax(s, -1).astype(CT)
        if rate is not None:
            a = drop(a, rate, k[0])
        o = jnp.einsum("bhqk,bkhd->bqhd", a, h("v"))
        o = o * c(w["hm"])[None, None, :, None]
        oo = o.reshape(B, T, D) @ c(w["ow"]) + c(w["ob"])
        if rate is not None:
            oo = drop(oo, rate, k[1])
        y = ln(x + oo, w["ag"], w["an"])
        u = jax.nn.gelu((y @ c(w["uw"]) + c(w["ub"])).astype(jnp.float32), approximate=False).astype(CT) * c(w["fm"])
        z = u @ c(w["dw"]) + c(w["db"])
        if rate is not None:
            z = drop(z, rate, k[2])
        z = ln(y + z, w["fg"], w["fn"])
        out = jnp.where(w["lm"] > 0, z, x)
        r = real.astype(jnp.float32)
        # importance: mean |activation| of units, of heads
        au = (jnp.abs(u.astype(jnp.float32)) * r[..., None]).sum((0, 1))
        ah = ((o.astype(jnp.float32) ** 2).sum(-1) * r[..., None]).sum((0, 1))
        return out, (out, au, ah)

    ws = {k: p[k] for k in STACKED}
    ws.update(mask)
    ws["i"] = jnp.arange(L)
    x, (hs, au, ah) = jax.lax.scan(layer, x, ws)
    return x, hs, real, au, ah


def mean_pool(x, real):
    r = real.astype(jnp.float32)[..., None]
    return (x.astype(jnp.float32) * r).sum(1) / jnp.maximum(r.sum(1), 1)


def logits(p, h, ids, n, mask, rate=None, key=None):
    x, hs, real, _, _ = encode(p, ids, n, mask, rate, key)
    z = jnp.where(h["mean"] > 0, mean_pool(x, real), x[:, 0].astype(jnp.float32))
    z = jnp.where(h["pooler"] > 0, jnp.tanh(z @ p["pw"] + p["pb"]), z)
    if rate is not None:
        z = drop(z, rate, jax.random.fold_in(key, 77))
    return z @ p["hw"] + p["hb"], hs, real


NODECAY = ("tok", "pos", "eg", "eb", "pb", "qb", "kb", "vb", "ob", "ub", "db", "ag", "an", "fg", "fn", "hb")


def adam(p, m, v, g, h, t):
    """t: step from 0; h: lr, T, warm (share), wd, ld"""
    gn = jnp.sqrt(sum((a.astype(jnp.float32) ** 2).sum() for a in g.values()))
    sc = jnp.minimum(1.0, 1.0 / jnp.maximum(gn, 1e-12))
    w = jnp.maximum(1.0, jnp.round(h["warm"] * h["T"]))
    tt = t.astype(jnp.float32)
    left = jnp.clip((h["T"] - tt) / (h["T"] - w), 0, 1)
    lin = left
    cos = 0.5 - 0.5 * jnp.cos(np.pi * left)
    lr = h["lr"] * jnp.where(tt < w, (tt + 1) / w, jnp.where(h["cos"] > 0, cos, lin))
    b1, b2 = 0.9, 0.999
    c1 = 1 - b1 ** (tt + 1)
    c2 = 1 - b2 ** (tt + 1)
    P, M, V = {}, {}, {}
    for k in p:
        gg = g[k] * sc
        M[k] = b1 * m[k] + (1 - b1) * gg
        V[k] = b2 * v[k] + (1 - b2) * gg * gg
        u = (M[k] / c1) / (jnp.sqrt(V[k] / c2) + 1e-8)
        if k in STACKED:
            f = (h["ld"] ** (L - jnp.arange(L))).reshape((L,) + (1,) * (p[k].ndim - 1))
        elif k in ("tok", "pos", "eg", "eb"):
            f = h["ld"] ** (L + 1)
        else:
            f = 1.0
        keep = 1.0 if k in NODECAY else 1 - lr * f * h["wd"]
        P[k] = p[k] * keep - lr * f * u
    return P, M, V


def full_mask():
    return {"hm": np.ones((L, HN), np.float32), "fm": np.ones((L, F), np.float32), "lm": np.ones(L, np.float32)}


def orders(N, B, steps, K, seeds, subset=None, chunk=64, longs=12):
    """indices [steps,K,B] and length (32/64) per step; chunks sorted by length so that `longs` of `chunk` steps are long."""
    rng = np.random.default_rng(1234)
    out = np.empty((steps, K, B), np.int32)
    L_ = np.empty(steps, np.int32)
    st = [None] * K
    for s0 in range(0, steps, chunk):
        pos = rng.permutation(chunk)
        for k in range(K):
            if st[k] is None:
                st[k] = [np.random.default_rng(seeds[k]), np.zeros(0, np.int64)]
            need = chunk * B
            while len(st[k][1]) < need:
                st[k][1] = np.concatenate([st[k][1], st[k][0].permutation(len(N))])
            own, st[k][1] = st[k][1][:need], st[k][1][need:]
            own = own[np.argsort(N[own], kind="stable")].reshape(chunk, B)
            # place: sorted batch j -> position; the longest `longs` to the first `longs` of pos
            for j in range(chunk):
                s = s0 + pos[chunk - 1 - j]
                if s < steps:
                    out[s, k] = own[j]
        for j in range(chunk):
            if s0 + pos[j] < steps:
                L_[s0 + pos[j]] = 64 if j < longs else 32
    return out, L_
