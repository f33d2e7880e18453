"""Sub-networks of a sentence encoder, distilled without labels from its texts' embeddings and hidden states.

DATA=data.npz MODEL=model.safetensors LANES='[{"l":6,"h":12,"f":600,"lr":5e-4,"aug":2,"hid":1,"kl":0}]' python3 embeddings.py rows.jsonl BATCH STEPS
"""

import functools
import sys

from network import *

out, B, S = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tiny = os.environ.get("TINY")
d = np.load(os.environ["DATA"])
WX, WN, MX, MN = d["WX"], d["WN"].astype(np.int32), d["MX"], d["MN"].astype(np.int32)
r0 = np.random.default_rng(0)
o = r0.permutation(len(WX))
WX, WN = WX[o], WN[o]
SX, SN = WX[:1000], WN[:1000]
WX, WN = WX[1000:], WN[1000:]
if tiny:
    SX, SN, MX, MN, WX, WN = SX[:16], SN[:16], MX[:16], MN[:16], WX[:40], WN[:40]
p = load(os.environ["MODEL"])
p = {k: jnp.array(v) for k, v in p.items() if k not in ("pw", "pb")}
FM = {k: jnp.array(v) for k, v in full_mask().items()}
say = rows_to(out)


def unit(x):
    return x / jnp.sqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-24))


@jax.jit
def teach(p, ids, n):
    x, hs, real, au, ah = encode(p, ids, n, FM)
    return unit(mean_pool(x, real)), au, ah


# augmented texts: spans of sentences, joins of two, some tokens replaced
def spans(n, rng, repl):
    X = np.zeros((n, 64), np.uint16)
    N = np.zeros(n, np.int32)
    a = rng.integers(0, len(WX), n)
    for i in range(n):
        t = WX[a[i], 1 : WN[a[i]] - 1]
        if rng.random() < 0.3 and len(t) < 40:
            b = rng.integers(0, len(WX))
            t = np.concatenate([t, WX[b, 1 : WN[b] - 1]])
        if len(t) > 6 and rng.random() < 0.7:
            k = rng.integers(4, len(t) + 1)
            s = rng.integers(0, len(t) - k + 1)
            t = t[s : s + k]
        t = t[:62].copy()
        if repl:
            m = rng.random(len(t)) < repl
            t[m] = rng.integers(1996, 30522, m.sum())
        X[i, 0] = 101
        X[i, 1 : 1 + len(t)] = t
        X[i, 1 + len(t)] = 102
        N[i] = len(t) + 2
    return X, N


G = json.loads(os.environ["LANES"])
K = len(G)
na = 60000 if not tiny else 20
augX, augN = spans(na, np.random.default_rng(5), 0.0)
reX, reN = spans(na, np.random.default_rng(6), 0.15)
AX = np.concatenate([WX, augX, reX])
AN = np.concatenate([WN, augN, reN])
parts = [np.arange(len(WX)), len(WX) + np.arange(na), len(WX) + na + np.arange(na)]
Xd, Nd = jnp.array(AX.astype(np.int32)), jnp.array(AN)
say(what="data", train=len(WX), search=len(SX), report=len(MX))
CH = 64 if tiny else 2048


def embed_all(f, X, N):
    o = []
    for i in range(0, len(X), CH):
        a = np.minimum(np.arange(i, i + CH), len(X) - 1)
        o.append(f(jnp.array(X[a].astype(np.int32)), jnp.array(N[a])))
    return jnp.concatenate(o, -2)[..., : len(X), :]


TE = embed_all(lambda i, n: teach(p, i, n)[0], AX, AN)
TS = embed_all(lambda i, n: teach(p, i, n)[0], SX, SN)
TM = embed_all(lambda i, n: teach(p, i, n)[0], MX, MN)


def ranks(x):
    return jnp.argsort(jnp.argsort(x)).astype(jnp.float32)


@jax.jit
def compare(e, t):
    n = len(e)
    a = e @ e.T
    b = t @ t.T
    eye = jnp.eye(n) * 9
    _, ia = jax.lax.top_k(a - eye, 10)
    _, ib = jax.lax.top_k(b - eye, 10)
    ov = (ia[:, :, None] == ib[:, None, :]).any(2).mean()
    m = min(n, 1500)
    iu = np.triu_indices(m, 1)
    x, y = a[:m, :m][iu], b[:m, :m][iu]
    rx, ry = ranks(x), ranks(y)
    rx -= rx.mean()
    ry -= ry.mean()
    return (rx * ry).sum() / jnp.sqrt((rx * rx).sum() * (ry * ry).sum()), ov, (e * t).sum(1).mean()


# importance, then least-squares of what is left, on 512 texts
i5 = np.random.default_rng(1).integers(0, len(WX), 16 if tiny else 512)
_, au, ah = teach(p, jnp.array(WX[i5].astype(np.int32)), jnp.array(WN[i5]))
dw = np.linalg.norm(np.array(p["dw"]), axis=2)
ow = np.array(p["ow"]).reshape(L, HN, HD, D)
IU = np.array(au) * dw
IH = np.sqrt(np.array(ah)) * np.sqrt((ow**2).sum((2, 3)))


def masks(g):
    hm = np.zeros((L, HN), np.float32)
    fm = np.zeros((L, F), np.float32)
    lm = np.zeros(L, np.float32)
    lm[: g["l"]] = 1
    hs = g["h"] if isinstance(g["h"], list) else [g["h"]] * L
    fs = g["f"] if isinstance(g["f"], list) else [g["f"]] * L
    for i in range(L):
        hm[i, np.argsort(-IH[i])[: hs[i]]] = 1
        fm[i, np.argsort(-IU[i])[: fs[i]]] = 1
    return {"hm": hm, "fm": fm, "lm": lm}


def share(g):
    hs = g["h"] if isinstance(g["h"], list) else [g["h"]] * L
    fs = g["f"] if isinstance(g["f"], list) else [g["f"]] * L
    T = 32
    c = lambda h, f: 4 * D * HD * h + 2 * T * HD * h + 2 * D * f
    return round(sum(c(hs[i], fs[i]) for i in range(g["l"])) / (6 * c(12, 1536)), 4)


MK = [masks(g) for g in G]
MK = {k: jnp.array(np.stack([m[k] for m in MK])) for k in MK[0]}


def field(k, dv):
    return jnp.array([g.get(k, dv) for g in G], jnp.float32)


H = {k: field(k, v) for k, v in dict(lr=2e-4, warm=0.05, wd=0.01, ld=1.0, cos=1, kl=1.0, hid=0.0, tau=0.05).items()}
H["T"] = jnp.full(K, S, jnp.float32)


def order(g, k):
    sub = {0: np.arange(len(WX)), 1: np.concatenate(parts[:2]), 2: np.concatenate(parts), 3: np.concatenate([parts[0], parts[2]])}[
        g.get("aug", 0)
    ]
    oo, ll = orders(AN[sub], B, S, 1, [g.get("seed", 0)], longs=28)
    return sub[oo[:, 0]], ll


os_ = [order(g, k) for k, g in enumerate(G)]
O = np.stack([a for a, _ in os_], 1)
LN_ = os_[0][1]
P = {k: jnp.broadcast_to(v, (K,) + v.shape) + 0 for k, v in p.items()}
HIDANY = any(g.get("hid") for g in G)


def lane(q, m, v, h, mk, ix, t, T):
    ids, n = Xd[ix][:, :T], jnp.minimum(Nd[ix], T)
    te = TE[ix]
    th = jax.lax.stop_gradient(encode(p, ids, n, FM)[1]) if HIDANY else None

    def loss(q):
        x, hs, real, _, _ = encode(q, ids, n, mk)
        e = unit(mean_pool(x, real))
        l = (1 - (e * te).sum(1)).mean()
        eye = jnp.eye(len(e)) * 1e9
        a = e @ e.T / h["tau"] - eye
        b = te @ te.T / h["tau"] - eye
        pb = jax.nn.softmax(b)
        l = l + h["kl"] * (pb * (jax.nn.log_softmax(b) - jax.nn.log_softmax(a))).sum(1).mean()
        if th is not None:
            r = real.astype(jnp.float32)[None, :, :, None] * mk["lm"][:, None, None, None]
            l = l + h["hid"] * ((hs.astype(jnp.float32) - th.astype(jnp.float32)) ** 2 * r).sum() / (r.sum() * D)
        return l

    l, g = jax.value_and_grad(loss)(q)
    q, m, v = adam(q, m, v, g, h, t)
    return q, m, v, l


@functools.partial(jax.jit, static_argnames="T", donate_argnums=(0, 1, 2))
def step(P, M, V, H, MK, ix, t, T):
    return jax.vmap(lambda a, b, c, h, mk, i: lane(a, b, c, h, mk, i, t, T))(P, M, V, H, MK, ix)


@jax.jit
def emb1(q, mk, ids, n):
    x, _, real, _, _ = encode(q, ids, n, mk)
    return unit(mean_pool(x, real))


def report(what, t):
    for k, g in enumerate(G):
        q = {a: v[k] for a, v in P.items()}
        mk = {a: v[k] for a, v in MK.items()}
        f = lambda i, n: emb1(q, mk, i, n)
        s = compare(embed_all(f, SX, SN), TS)
        m = compare(embed_all(f, MX, MN), TM)
        say(what=what, lane=k, step=t, share=share(g), search=[round(float(a), 4) for a in s], report=[round(float(a), 4) for a in m], **g)


Z = lambda P: {k: jnp.zeros_like(v) for k, v in P.items()}
M, V = Z(P), Z(P)
report("start", 0)
for t in range(S):
    P, M, V, l = step(P, M, V, H, MK, jnp.array(O[t]), jnp.int32(t), int(LN_[t]))
    if t in (2, 100):
        jax.block_until_ready(l)
        say(what="pace", step=t)
    if t + 1 in (S // 4, S // 2):
        report("mid", t + 1)
report("end", S)
