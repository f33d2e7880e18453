"""SST-2 with MiniLM: lanes of plain fine-tuning, then sub-networks of fixed shapes distilled from the best of them.

DATA=data.npz MODEL=model.safetensors LANES='[{"lr":1e-4,"seed":0}]' STUDENTS='[{"member":0,"l":6,"h":12,"f":588,"lr":2e-4}]' \\
  python3 sst2.py rows.jsonl BATCH EPOCHS EPOCHS_OF_STUDENTS       (STAGE=1: without students; TINY=1: a rehearsal on a CPU)
"""

import functools
import sys

from network import *

out, B, EP, EP2 = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
tiny = os.environ.get("TINY")
MASK = 103  # [MASK]
d = np.load(os.environ["DATA"])
X, N, y = d["X"], d["N"], d["y"]
if tiny:
    X, N, y = X[:64], N[:64], y[:64]
ids0 = [d["H"], d["D"]]
p0 = load(os.environ["MODEL"])
# only the tokens that occur
used = np.unique(np.concatenate([X.ravel(), [MASK]] + [a.ravel() for a in ids0]))
remap = np.zeros(30522, np.int32)
remap[used] = np.arange(len(used))
p0["tok"] = p0["tok"][used]
MASK = int(remap[MASK])
X = remap[X]
ev = [
    (jnp.array(remap[d["H"]]), jnp.array(d["HN"].astype(np.int32)), jnp.array(d["hy"].astype(np.int32))),
    (jnp.array(remap[d["D"]]), jnp.array(d["DN"].astype(np.int32)), jnp.array(d["dy"].astype(np.int32))),
]
if tiny:
    ev = [tuple(a[:4] for a in e) for e in ev]
Xd, Nd, yd = jnp.array(X), jnp.array(N.astype(np.int32)), jnp.array(y.astype(np.int32))
say = rows_to(out)


G = json.loads(os.environ["LANES"])  # list of dicts
K = len(G)
S = int(len(N) / B * EP)


def field(G, k, dv):
    return jnp.array([g.get(k, dv) for g in G], jnp.float32)


def hyper(G, S):
    h = {
        k: field(G, k, v)
        for k, v in dict(
            lr=5e-5, warm=0.08, wd=0.01, ld=1.0, drop=0.1, mean=1, pooler=1, cos=0, ema=0.999, alpha=0.1, hid=0.0, temp=1.0, mask=0.0, smooth=0.0, rdrop=0.0
        ).items()
    }
    h["T"] = jnp.array([S * g.get("len", 1.0) for g in G], jnp.float32)
    return h


H = hyper(G, S)


def init(g):
    r = np.random.default_rng(100 + g["seed"])
    p = dict(p0)
    p["hw"] = (r.standard_normal((D, 2)) * 0.02).astype(np.float32)
    p["hb"] = np.zeros(2, np.float32)
    return p


P = [init(g) for g in G]
P = {k: jnp.stack([jnp.array(p[k]) for p in P]) for k in P[0]}
Z = lambda P: {k: jnp.zeros_like(v) for k, v in P.items()}
FM = {k: jnp.array(v) for k, v in full_mask().items()}


def ce(z, yy):
    return -jnp.take_along_axis(jax.nn.log_softmax(z), yy[:, None], 1)[:, 0]


# R-Drop (Liang et al. 2021): two passes of different drop-out, their answers held together. Twice the work, so only where a lane wants it.
TWICE = any(g.get("rdrop") for g in G)


def plain_lane(p, m, v, e, h, ix, seed, t, T):
    ids, n, yy = Xd[ix][:, :T], jnp.minimum(Nd[ix], T), yd[ix]
    key = jax.random.fold_in(jax.random.key(seed), t)
    at = jnp.arange(T)[None]
    hidden = jax.random.bernoulli(jax.random.fold_in(key, 55), h["mask"], ids.shape) & (at > 0) & (at < n[:, None] - 1)
    ids = jnp.where(hidden, MASK, ids)

    def loss(p):
        passes = [logits(p, h, ids, n, FM, h["drop"], k)[0] for k in ([key, jax.random.fold_in(key, 56)] if TWICE else [key])]
        l = sum((1 - h["smooth"]) * ce(z, yy).mean() - h["smooth"] * jax.nn.log_softmax(z).mean() for z in passes) / len(passes)
        if TWICE:
            a, b = [jax.nn.log_softmax(z) for z in passes]
            l = l + h["rdrop"] * ((jnp.exp(a) - jnp.exp(b)) * (a - b)).sum(1).mean() / 2
        return l

    l, g = jax.value_and_grad(loss)(p)
    p, m, v = adam(p, m, v, g, h, t)
    return p, m, v, l


@functools.partial(jax.jit, static_argnames="T", donate_argnums=(0, 1, 2))
def plain_step(P, M, V, H, ix, seeds, t, T):
    return jax.vmap(lambda p, m, v, h, i, s: plain_lane(p, m, v, None, h, i, s, t, T))(P, M, V, H, ix, seeds)


@functools.partial(jax.jit, donate_argnums=0)
def ema(E, P, H):
    return jax.vmap(lambda e, p, h: {k: h["ema"] * e[k] + (1 - h["ema"]) * p[k] for k in p})(E, P, H)


@jax.jit
def evaluate(P, H, MK, ids, n, yy):
    def one(a):
        p, h, mk = a
        z = jnp.concatenate([logits(p, h, ids[i : i + 500], n[i : i + 500], mk)[0] for i in range(0, len(yy), 500)])
        return ce(z, yy).mean(), (z.argmax(1) == yy).astype(jnp.float32)

    return jax.lax.map(one, (P, H, MK))


def bmask(K):
    return {k: jnp.broadcast_to(v, (K,) + v.shape) for k, v in FM.items()}


def report(what, P, H, MK, G, step, plain=None, **more):
    r = [evaluate(P, H, MK, *e) for e in ev]
    hits = np.array(r[1][1])
    for k, g in enumerate(G):
        say(
            what=what,
            lane=k,
            step=int(step),
            held=round(float(r[0][1][k].mean()), 4),
            heldLoss=round(float(r[0][0][k]), 4),
            dev=round(float(hits[k].mean()), 4),
            devLoss=round(float(r[1][0][k]), 4),
            **g,
            **more
        )
    return hits, np.array([float(a.mean()) for a in r[0][1]]), np.array(r[0][0])


M, V = Z(P), Z(P)
E = {k: v + 0 for k, v in P.items()}
O, LN_ = orders(N, B, S, K, [g["seed"] for g in G])
seeds = jnp.array([g["seed"] for g in G])
MK = bmask(K)
ONLY = os.environ.get("STAGE", "12")
for t in range(S):
    P, M, V, l = plain_step(P, M, V, H, jnp.array(O[t]), seeds, jnp.int32(t), int(LN_[t]))
    if t % 8 == 7 or t < 40:
        E = ema(E, P, {**H, "ema": jnp.minimum(H["ema"] ** 8, (1 + t) / (10 + t))})
    if t in (2, 100):
        jax.block_until_ready(l)
        say(what="pace", step=t)
    if t + 1 in (S // 3, 2 * S // 3):
        report("plain", P, H, MK, G, t + 1)
hits, hacc, hloss = report("plain-end", P, H, MK, G, S)
hitsE, eacc, eloss = report("plain-ema", E, H, MK, G, S)
if "2" not in ONLY:
    sys.exit()
# stage 2: students of a teacher; the three best lanes of the best recipe by held-out accuracy
names = [json.dumps({k: v for k, v in g.items() if k != "seed"}, sort_keys=True) for g in G]
score = {n: np.mean([hacc[k] for k in range(K) if names[k] == n]) for n in set(names)}
best = max(score, key=score.get)
mem = [k for k in range(K) if names[k] == best]
say(what="teacher", recipe=json.loads(best), members=mem, dev=[round(float(hits[k].mean()), 4) for k in mem])
TP = {k: v[jnp.array(mem)] for k, v in P.items()}
TH = {k: v[jnp.array(mem)] for k, v in H.items()}


@jax.jit
def answer(P, H, ids, n):
    return jax.lax.map(lambda a: logits(a[0], a[1], ids, n, FM)[0], (P, H))


step = 64 if tiny else 2048
A = []
for i in range(0, len(N), step):
    a = np.minimum(np.arange(i, i + step), len(N) - 1)
    A.append(np.array(answer(TP, TH, Xd[a], Nd[a])))
A = np.concatenate(A, 1)[:, : len(N)]
Ad = jnp.array(A)  # [members,N,2]
del M, V, E


# importance of units and heads by activation
@jax.jit
def importance(p, ids, n):
    _, _, _, au, ah = encode(p, ids, n, FM)
    return au, ah


G2 = json.loads(os.environ["STUDENTS"])
for g in G2:
    g["mean"], g["pooler"] = float(TH["mean"][0]), float(TH["pooler"][0])
imp = []
for j in range(len(mem)):
    tp = {k: v[j] for k, v in TP.items()}
    ii = np.random.default_rng(j).integers(0, len(N), 16 if tiny else 256)
    au, ah = importance(tp, Xd[ii], Nd[ii])
    dw = np.linalg.norm(np.array(tp["dw"]), axis=2)
    ow = np.array(tp["ow"]).reshape(L, HN, HD, D)
    imp.append((np.array(au) * dw, np.sqrt(np.array(ah)) * np.sqrt((ow**2).sum((2, 3)))))


def masks(g):
    u, hh = imp[g["member"]]
    hm = np.zeros((L, HN), np.float32)
    fm = np.zeros((L, F), np.float32)
    lm = np.zeros(L, np.float32)
    lm[: g["l"]] = 1
    for i in range(L):
        hm[i, np.argsort(-hh[i])[: g["h"]]] = 1
        fm[i, np.argsort(-u[i])[: g["f"]]] = 1
    return {"hm": hm, "fm": fm, "lm": lm}


K2 = len(G2)
MK2 = [masks(g) for g in G2]
MK2 = {k: jnp.array(np.stack([m[k] for m in MK2])) for k in MK2[0]}
jm = jnp.array([g["member"] for g in G2])
S2 = int(len(N) / B * EP2)
H2 = hyper(G2, S2)
H2["ens"] = field(G2, "ens", 1)
H2["m"] = jm
P2 = {k: v[jm] for k, v in TP.items()}
TPk = {k: v[jm] for k, v in TP.items()} if any(g.get("hid") for g in G2) else None


def kd_lane(p, m, v, h, mk, ix, seed, t, T, tp):
    ids, n, yy = Xd[ix][:, :T], jnp.minimum(Nd[ix], T), yd[ix]
    own = jax.nn.softmax(Ad[h["m"], ix] / h["temp"])
    al = jax.nn.softmax(Ad[:, ix] / h["temp"]).mean(0)
    q = jnp.where(h["ens"] > 0, al, own)
    th = None
    if tp is not None:
        th = jax.lax.stop_gradient(encode(tp, ids, n, FM)[1])

    def loss(p):
        z, hs, real = logits(p, h, ids, n, mk, h["drop"], jax.random.fold_in(jax.random.key(seed), t))
        kl = (q * (jnp.log(jnp.maximum(q, 1e-30)) - jax.nn.log_softmax(z / h["temp"]))).sum(1).mean() * h["temp"] ** 2
        l = h["alpha"] * ce(z, yy).mean() + (1 - h["alpha"]) * kl
        if tp is not None:
            r = real.astype(jnp.float32)[None, :, :, None] * mk["lm"][:, None, None, None]
            e = ((hs.astype(jnp.float32) - th.astype(jnp.float32)) ** 2 * r).sum() / (r.sum() * D)
            l = l + h["hid"] * e
        return l

    l, g = jax.value_and_grad(loss)(p)
    p, m, v = adam(p, m, v, g, h, t)
    return p, m, v, l


@functools.partial(jax.jit, static_argnames="T", donate_argnums=(0, 1, 2))
def kd_step(P, M, V, H, MK, ix, seeds, t, T, TP):
    return jax.vmap(lambda p, m, v, h, mk, i, s, tp: kd_lane(p, m, v, h, mk, i, s, t, T, tp))(P, M, V, H, MK, ix, seeds, TP)


M, V = Z(P2), Z(P2)
O, LN_ = orders(N, B, S2, K2, [50 + g["member"] for g in G2])
seeds = jnp.array([50 + g["member"] for g in G2])
ref = hits[mem].mean(1)


def rep2(step, what):
    h2, _, _ = report(what, P2, H2, MK2, G2, step)


rep2(0, "student")
for t in range(S2):
    P2, M, V, l = kd_step(P2, M, V, H2, MK2, jnp.array(O[t]), seeds, jnp.int32(t), int(LN_[t]), TPk)
    if t in (2, 100):
        jax.block_until_ready(l)
        say(what="pace", step=t)
    if t + 1 in (S2 // 3, 2 * S2 // 3):
        rep2(t + 1, "student")
rep2(S2, "student-end")
