// CpuRuntime: attention on typed arrays through the WebAssembly kernels. Calls are synchronous; all threads work on each call.
import { HipError, resolveConfig, type AttentionShape, type BlockMask, type HipConfig } from '@hip/mask-search';
import { envelopePanels, maxCandidates, panelsOf, PANEL, planMemory, ROWS, scratchBytes, type MemoryPlan } from '../plan/plan.ts';
import { compileBinary, type SimdChoice } from '../wasm/binary.ts';
import { alignBytes, Arena } from './arena.ts';
import { checkMask, checkShape, checkTensor } from './check.ts';
import { JOB, JOB_BYTES, MAX_STAGES, STAGE_BYTES, type JobField } from './job.ts';
import { defaultThreads, ThreadPool, threadsAvailable } from './threads.ts';

const KERNELS = ['packKeys', 'envelopes', 'denseAttention', 'sparseAttention', 'stagedSearch', 'treeSearch', 'packColumns', 'gemm'] as const;
type Kernel = (typeof KERNELS)[number];
/** Panels packed per work item: assembly/pack.ts. */
const PACK_RUN = 16;
/** Rows and panels of a GEMM work item: assembly/gemm.ts. */
const GEMM_ROWS = 64;
const GEMM_PANELS = 16;

export interface CpuRuntimeOptions {
  /** Threads in all, the calling one included. @defaultValue 'auto': the cores of the machine, 1 where there is no shared memory */
  readonly threads?: number | 'auto';
  /** @defaultValue 'auto' */
  readonly simd?: SimdChoice;
}

export interface ScoreOptions {
  /** Factor on q·k. @defaultValue 1/√headDim */
  readonly scale?: number | undefined;
  /** Logit soft-cap. @defaultValue none */
  readonly softcap?: number | undefined;
}

export interface DenseOptions extends ScoreOptions {
  /** @defaultValue true */
  readonly causal?: boolean;
}

/** Milliseconds of each phase of the last call. */
export interface PhaseTimes {
  pack: number;
  search: number;
  attention: number;
}

/** Options of {@link CpuRuntime.matmul}. */
export interface MatmulOptions {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** @defaultValue 1 */
  readonly batch?: number;
  /** b is one matrix for all batches. @defaultValue false */
  readonly sharedB?: boolean;
  /** a is stored [k, m]. @defaultValue false */
  readonly transposeA?: boolean;
  /** b is stored [n, k]. @defaultValue false */
  readonly transposeB?: boolean;
  /** [n], added to every row. */
  readonly bias?: Float32Array | undefined;
  /** Where the result goes. @defaultValue a new array */
  readonly out?: Float32Array | undefined;
}

/**
 * Attention kernels on the CPU. q [B, Tq, H, d]; k, v [B, Tk, Hkv, d]; float32, row-major.
 *
 * Deviation from float64: ≤ 2e-5 relative to the largest output for unit-scale inputs (the exp2 polynomial and float32 sums).
 */
export class CpuRuntime {
  readonly threads: number;
  readonly simd: 'relaxed' | 'plain';
  /** Of the last call. */
  readonly times: PhaseTimes = { pack: 0, search: 0, attention: 0 };
  readonly #exports: Record<Kernel, (job: number, thread: number) => void> & { peak(rounds: number): number; heapBase(): number };
  readonly #arena: Arena;
  readonly #pool: ThreadPool;
  readonly #job: number;
  #closed = false;

  /** @internal use {@link createCpuRuntime} */
  constructor(module: WebAssembly.Module, simd: 'relaxed' | 'plain', threads: number) {
    this.threads = threads;
    this.simd = simd;
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
    const instance = new WebAssembly.Instance(module, { env: { memory, abort: () => { throw new HipError('internal', 'a kernel aborted'); } } });
    this.#exports = instance.exports as never;
    this.#job = alignBytes(this.#exports.heapBase());
    this.#arena = new Arena(memory, this.#job + JOB_BYTES);
    this.#pool = new ThreadPool({ module, memory, threads, job: this.#job, kernels: KERNELS });
  }

  /** @internal resolves when the threads are up */
  async ready(): Promise<void> {
    await this.#pool.ready();
  }

  /** Bytes of WebAssembly memory the largest call so far has used. */
  get peakBytes(): number {
    return this.#arena.peak;
  }

  /** Says what a call needs before it is made. */
  plan(shape: AttentionShape, config?: Partial<HipConfig>): MemoryPlan {
    return planMemory({ shape, config: config && resolveConfig(config), threads: this.threads });
  }

  /** Exact causal (or full) attention, flash style: no T×T matrix. @throws HipError `invalid-shape`, `out-of-memory` */
  denseAttention(q: Float32Array, k: Float32Array, v: Float32Array, shape: AttentionShape, options: DenseOptions = {}): Float32Array {
    return this.#call(() => {
      const tensors = this.#load(shape, q, k, v, options);
      this.#set('CAUSAL', (options.causal ?? true) ? 1 : 0);
      this.#scratch(shape);
      this.#pack(shape);
      this.#phase('attention', 'denseAttention', shape.batch * Math.ceil(shape.queries / ROWS) * shape.heads);
      return this.#arena.floats(tensors.out, tensors.size).slice();
    });
  }

  /** The HiP mask search. Masks equal the float64 reference's wherever scores differ by more than float32 rounding. */
  maskSearch(q: Float32Array, k: Float32Array, shape: AttentionShape, config: Partial<HipConfig> = {}): BlockMask {
    return this.#call(() => {
      const resolved = resolveConfig(config);
      this.#load(shape, q, k, undefined, {});
      this.#scratch(shape, resolved);
      this.#pack(shape);
      return this.#readMask(shape, resolved, this.#search(shape, resolved));
    });
  }

  /** Attention over a mask's blocks, the sinks and the window, each key once. */
  blockSparseAttention(q: Float32Array, k: Float32Array, v: Float32Array, shape: AttentionShape, mask: BlockMask, options: ScoreOptions = {}): Float32Array {
    return this.#call(() => {
      checkMask(mask, shape);
      const tensors = this.#load(shape, q, k, v, options);
      this.#setMask(mask);
      const starts = this.#arena.allocate(mask.starts.length * 4);
      const counts = this.#arena.allocate(mask.counts.length * 4);
      this.#set('STARTS', starts);
      this.#set('COUNTS', counts);
      this.#scratch(shape);
      this.#arena.ints(starts, mask.starts.length).set(mask.starts);
      this.#arena.ints(counts, mask.counts.length).set(mask.counts);
      this.#pack(shape);
      this.#attendSparse(shape, mask);
      return this.#arena.floats(tensors.out, tensors.size).slice();
    });
  }

  /** Search and attention in one call: q, k and v are packed once. */
  hipAttention(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig> = {},
    options: ScoreOptions = {},
  ): { readonly output: Float32Array; readonly mask: BlockMask } {
    return this.#call(() => {
      const resolved = resolveConfig(config);
      const tensors = this.#load(shape, q, k, v, options);
      this.#scratch(shape, resolved);
      this.#pack(shape);
      const at = this.#search(shape, resolved);
      const mask = this.#readMask(shape, resolved, at);
      this.#attendSparse(shape, mask);
      return { output: this.#arena.floats(tensors.out, tensors.size).slice(), mask };
    });
  }

  /** c [batch, m, n] = a [batch, m, k] · b [batch, k, n] (+ bias), threaded. @throws HipError `invalid-shape` */
  matmul(a: Float32Array, b: Float32Array, options: MatmulOptions): Float32Array {
    return this.#call(() => {
      const { m, n, k, batch = 1, sharedB = false, bias } = options;
      checkTensor('a', a, batch * m * k);
      checkTensor('b', b, (sharedB ? 1 : batch) * k * n);
      if (bias) checkTensor('bias', bias, n);
      const panels = panelsOf(n);
      const matrices = sharedB ? 1 : batch;
      const arena = this.#arena;
      const [aAt, bAt, cAt] = [arena.allocate(a.byteLength), arena.allocate(b.byteLength), arena.allocate(batch * m * n * 4)];
      const packed = arena.allocate(matrices * panels * PANEL * k * 4);
      const biasAt = bias ? arena.allocate(bias.byteLength) : 0;
      const stride = (GEMM_ROWS * k + 4 * PANEL) * 4;
      const scratch = arena.allocate(stride * this.threads);
      arena.floats(aAt, a.length).set(a);
      arena.floats(bAt, b.length).set(b);
      if (bias) arena.floats(biasAt, n).set(bias);
      const fields: Partial<Record<JobField, number>> = { M: m, N: n, DEPTH: k, Q: aAt, K: bAt, V: biasAt, OUT: cAt, KEY_PANELS: packed, SCRATCH: scratch, SCRATCH_STRIDE: stride };
      for (const [name, value] of Object.entries(fields)) this.#set(name as JobField, value);
      this.#set('CAUSAL', options.transposeB ? 1 : 0);
      this.#set('EXTRA', options.transposeA ? 1 : 0);
      this.#set('KV_HEADS', matrices === 1 ? 1 : 2);
      this.#run('packColumns', matrices * panels);
      this.#run('gemm', batch * Math.ceil(m / GEMM_ROWS) * Math.ceil(panels / GEMM_PANELS));
      const result = arena.floats(cAt, batch * m * n);
      if (!options.out) return result.slice();
      options.out.set(result);
      return options.out;
    });
  }

  /** GFLOP/s of register-only multiply-adds on one thread: what the machine could do at best. */
  measurePeak(rounds = 2_000_000): number {
    this.#exports.peak(1000);
    const start = performance.now();
    this.#exports.peak(rounds);
    return (rounds * 10 * 4 * 2) / (performance.now() - start) / 1e6;
  }

  /** Ends the worker threads. The runtime cannot be used afterwards. */
  close(): void {
    if (!this.#closed) this.#pool.close();
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #call<T>(body: () => T): T {
    if (this.#closed) throw new HipError('internal', 'this runtime is closed: create another with createCpuRuntime()');
    this.times.pack = this.times.search = this.times.attention = 0;
    try {
      return body();
    } finally {
      this.#arena.reset();
    }
  }

  #set(field: JobField, value: number): void {
    const view = new DataView(this.#arena.memory.buffer);
    if (field === 'SCALE' || field === 'SOFTCAP') view.setFloat32(this.#job + JOB[field], value, true);
    else view.setInt32(this.#job + JOB[field], value, true);
  }

  #run(kernel: Kernel, items: number): void {
    this.#set('NEXT', 0);
    this.#set('ITEMS', items);
    this.#pool.run(kernel, () => this.#exports[kernel](this.#job, 0));
  }

  #phase(phase: keyof PhaseTimes, kernel: Kernel, items: number): void {
    const start = performance.now();
    this.#run(kernel, items);
    this.times[phase] += performance.now() - start;
  }

  /** Copies the tensors in and writes the shape. */
  #load(shape: AttentionShape, q: Float32Array, k: Float32Array, v: Float32Array | undefined, { scale, softcap }: ScoreOptions): { readonly out: number; readonly size: number } {
    checkShape(shape);
    const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
    checkTensor('q', q, batch * queries * heads * d);
    checkTensor('k', k, batch * keys * kvHeads * d);
    if (v) checkTensor('v', v, batch * keys * kvHeads * d);
    const arena = this.#arena;
    const qAt = arena.allocate(q.byteLength);
    const kAt = arena.allocate(k.byteLength);
    const vAt = v ? arena.allocate(v.byteLength) : kAt;
    const out = v ? arena.allocate(q.byteLength) : qAt;
    arena.floats(qAt, q.length).set(q);
    arena.floats(kAt, k.length).set(k);
    if (v) arena.floats(vAt, v.length).set(v);
    const fields: Partial<Record<JobField, number>> = { BATCH: batch, QUERIES: queries, KEYS: keys, HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: d, Q: qAt, K: kAt, V: vAt, OUT: out };
    for (const [name, value] of Object.entries(fields)) this.#set(name as JobField, value);
    this.#set('SCALE', scale ?? 1 / Math.sqrt(d));
    this.#set('SOFTCAP', softcap ?? 0);
    return { out, size: q.length };
  }

  #scratch(shape: AttentionShape, config?: HipConfig): void {
    const stride = scratchBytes({ shape, config });
    this.#set('SCRATCH', this.#arena.allocate(stride * this.threads));
    this.#set('SCRATCH_STRIDE', stride);
  }

  #pack({ batch, keys, kvHeads, headDim: d }: AttentionShape): void {
    const panels = panelsOf(keys);
    const bytes = batch * kvHeads * panels * PANEL * d * 4;
    this.#set('KEY_PANELS', this.#arena.allocate(bytes));
    this.#set('VALUE_PANELS', this.#arena.allocate(bytes));
    this.#phase('pack', 'packKeys', batch * kvHeads * Math.ceil(panels / PACK_RUN));
  }

  #setMask(mask: Pick<BlockMask, 'blockQ' | 'blockK' | 'sink' | 'window' | 'capacity' | 'maskHeads' | 'causal'>): void {
    const fields: Partial<Record<JobField, number>> = {
      BLOCK_Q: mask.blockQ,
      BLOCK_K: mask.blockK,
      SINK: mask.sink,
      WINDOW: mask.window,
      CAPACITY: mask.capacity,
      SHARE_HEADS: mask.maskHeads === 1 ? 1 : 0,
      CAUSAL: mask.causal ? 1 : 0,
      ALIGNED: mask.sink % PANEL === 0 && mask.blockK % PANEL === 0 ? 1 : 0,
    };
    for (const [name, value] of Object.entries(fields)) this.#set(name as JobField, value);
  }

  /** Runs the search; the mask stays in WebAssembly memory. */
  #search(shape: AttentionShape, config: HipConfig): { readonly starts: number; readonly counts: number; readonly cells: number; readonly capacity: number } {
    const capacity = Math.ceil(config.k / config.blockK);
    const maskHeads = config.shareHeads ? 1 : shape.heads;
    const cells = shape.batch * maskHeads * Math.ceil(shape.queries / config.blockQ);
    this.#setMask({ ...config, capacity, maskHeads });
    const starts = this.#arena.allocate(cells * capacity * 4);
    const counts = this.#arena.allocate(cells * 4);
    this.#set('STARTS', starts);
    this.#set('COUNTS', counts);
    this.#set('M', maxCandidates(shape, config));
    this.#arena.ints(starts, cells * capacity).fill(-1);
    if (config.stages) {
      this.#writeStages(shape, config);
      this.#phase('search', 'stagedSearch', cells);
    } else {
      const kinds: Partial<Record<HipConfig['representative'], number>> = { center: 0, first: 1, last: 2 };
      const kind = kinds[config.representative];
      if (kind === undefined) {
        throw new HipError('unsupported', `representative "${config.representative}" runs on the reference only: use searchBlockMask of @hip/mask-search`, { representative: config.representative });
      }
      this.#set('STRIDE_Q', config.strideQ);
      this.#set('STRIDE_K', config.strideK);
      this.#set('REPRESENTATIVE', kind);
      this.#phase('search', 'treeSearch', cells);
    }
    return { starts, counts, cells, capacity };
  }

  #writeStages(shape: AttentionShape, config: HipConfig): void {
    const stages = config.stages ?? [];
    if (stages.length > MAX_STAGES) throw new HipError('invalid-config', `stages.length is ${stages.length}: give at most ${MAX_STAGES}`, { name: 'stages', value: stages.length });
    this.#set('STAGE_COUNT', stages.length);
    const envelopes = new Map<number, number>();
    stages.forEach((stage, index) => {
      let pointer = 0;
      const known = envelopes.get(stage.chunk);
      const panels = envelopePanels(shape.keys, config.sink, stage.chunk);
      if (stage.score === 'bound') pointer = known ?? this.#arena.allocate(shape.batch * shape.kvHeads * panels * 2 * PANEL * shape.headDim * 4);
      const record = [stage.chunk, stage.keep, stage.strideQ, stage.rows === 'mean' ? 1 : 0, { binary: 0, bound: 1, exact: 2 }[stage.score], pointer];
      this.#arena.ints(this.#job + JOB.STAGE + index * STAGE_BYTES, record.length).set(record);
      if (stage.score === 'bound' && known === undefined) {
        envelopes.set(stage.chunk, pointer);
        this.#set('EXTRA', index);
        this.#phase('search', 'envelopes', shape.batch * shape.kvHeads * panels);
      }
    });
  }

  #readMask(shape: AttentionShape, config: HipConfig, at: { readonly starts: number; readonly counts: number; readonly cells: number; readonly capacity: number }): BlockMask {
    return {
      batch: shape.batch,
      maskHeads: config.shareHeads ? 1 : shape.heads,
      queryBlocks: Math.ceil(shape.queries / config.blockQ),
      capacity: at.capacity,
      blockQ: config.blockQ,
      blockK: config.blockK,
      queries: shape.queries,
      keys: shape.keys,
      sink: config.sink,
      window: config.window,
      causal: config.causal,
      starts: this.#arena.ints(at.starts, at.cells * at.capacity).slice(),
      counts: this.#arena.ints(at.counts, at.cells).slice(),
    };
  }

  #attendSparse(shape: AttentionShape, mask: BlockMask): void {
    const tilesPerBlock = Math.ceil(mask.blockQ / ROWS);
    this.#phase('attention', 'sparseAttention', shape.batch * mask.queryBlocks * tilesPerBlock * shape.heads);
  }
}

/**
 * Starts the kernels and their threads.
 *
 * @throws HipError `unsupported` where WebAssembly SIMD with shared memory is missing
 * @example
 * ```ts
 * using cpu = await createCpuRuntime();
 * const shape = { batch: 1, queries: 4096, keys: 4096, heads: 8, kvHeads: 2, headDim: 64 };
 * const { output, mask } = cpu.hipAttention(q, k, v, shape);
 * ```
 */
export async function createCpuRuntime({ threads = 'auto', simd = 'auto' }: CpuRuntimeOptions = {}): Promise<CpuRuntime> {
  if (threads !== 'auto' && (!Number.isInteger(threads) || threads < 1 || threads > 64)) {
    throw new HipError('invalid-config', `threads is ${threads}: give an integer from 1 to 64, or 'auto'`, { name: 'threads', value: threads });
  }
  const compiled = await compileBinary(simd);
  const count = threads === 'auto' ? defaultThreads() : threads;
  const runtime = new CpuRuntime(compiled.module, compiled.simd, threadsAvailable() ? count : 1);
  await runtime.ready();
  return runtime;
}
