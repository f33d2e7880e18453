// A part of a call's queries inside WebAssembly memory: q goes in, is searched and attended by the kernels, the output comes out.
import {
  HipError,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
  type SearchStage,
} from '@hip/mask-search';
import {
  compactDimsOf,
  maxCandidates,
  outputLayout,
  paddedDim,
  ROWS,
  searchFlops,
  splitsOf,
  voteGroups,
  voteRows,
  type CompactDims,
  type QueryChunk,
} from '../plan/layout.ts';
import type { Engine, Steps } from './engine.ts';
import { Scope } from './heap.ts';
import { JOB, MAX_STAGES, STAGE_BYTES, type JobFields } from './job.ts';
import type { Store } from '../store/store.ts';

/** Everything a call needs beside q and the output. `shape.keys` is the store's length. */
export interface Call extends ScoreOptions {
  readonly engine: Engine;
  readonly store: Store;
  readonly shape: AttentionShape;
  /** Asynchronous calls yield often. */
  readonly sliced: boolean;
}

/** Job fields of a mask's form. */
export function maskFields({
  blockQ,
  blockK,
  sink,
  window,
  capacity,
  maskHeads,
  causal,
  remainder,
}: BlockMask): JobFields {
  return {
    BLOCK_Q: blockQ,
    BLOCK_K: blockK,
    SINK: sink,
    WINDOW: window,
    CAPACITY: capacity,
    SHARE_HEADS: maskHeads === 1 ? 1 : 0,
    CAUSAL: causal ? 1 : 0,
    ...(remainder && {
      MEANS_BLOCK: remainder.block,
      MEANS_MOST: remainder.most,
      MEANS_EXACT: remainder.tail === 'exact' ? 1 : 0,
    }),
  };
}

/** What stages leave for later searches of the same cache: all but the last stage's outputs. */
export interface StageOutputs {
  /** Tokens there were when the first stage ran, which the layout follows. */
  readonly keys: number;
  /** [B, mask heads, stride] of `outputLayout`. */
  readonly words: Int32Array;
}

/** A search that stages of an earlier one go on serving for. */
export interface StagedSearch {
  /** The first stage to run. */
  readonly from: number;
  /** Read before that stage, written from it on. */
  readonly outputs: StageOutputs;
}

/** Room for the outputs of a search by one row. */
export function newOutputs(shape: AttentionShape, config: HipConfig): StageOutputs {
  const cells = shape.batch * (config.shareHeads ? 1 : shape.heads);
  const words = new Int32Array(cells * outputLayout(shape.keys, config).stride).fill(-1);
  return { keys: shape.keys, words };
}

/** A part of the queries inside WebAssembly memory. */
export class Part {
  readonly #call: Call;
  readonly #chunk: QueryChunk;
  readonly #scope: Scope;
  readonly #job: number;
  readonly #q: number;
  #out = 0;
  #starts = 0;
  #counts = 0;

  constructor(call: Call, chunk: QueryChunk, fields: JobFields, scratch: number) {
    const { engine, store, shape, scale, softcap } = call;
    this.#call = call;
    this.#chunk = chunk;
    this.#scope = new Scope(engine.heap);
    try {
      this.#q = this.#scope.allocate(this.#floats * 4);
      this.#job = engine.job(this.#scope, {
        ...store.fields(chunk.batch),
        ...fields,
        BATCH: chunk.batches,
        QUERIES: chunk.rows,
        HEADS: shape.heads,
        POSITION: shape.keys - shape.queries + chunk.row,
        SCALE: scale ?? 1 / Math.sqrt(shape.headDim),
        SOFTCAP: softcap ?? 0,
        SPLITS: 1,
        Q: this.#q,
        SCRATCH: this.#scope.allocate(scratch * engine.threads),
        SCRATCH_STRIDE: scratch,
      });
    } catch (error) {
      // Nobody else holds what was allocated before the memory ended.
      this.#scope[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }

  get #floats(): number {
    const { heads, headDim } = this.#call.shape;
    return this.#chunk.batches * this.#chunk.rows * heads * headDim;
  }

  /** Where this part begins in q and the output. */
  get #offset(): number {
    const { heads, headDim, queries } = this.#call.shape;
    return (this.#chunk.batch * queries + this.#chunk.row) * heads * headDim;
  }

  load(q: Float32Array): void {
    this.#call.engine.heap.floats(this.#q, this.#floats).set(q.subarray(this.#offset, this.#offset + this.#floats));
  }

  store(out: Float32Array): void {
    out.set(this.#call.engine.heap.floats(this.#out, this.#floats), this.#offset);
  }

  *attend(kernel: 'denseAttention' | 'sparseAttention', itemsPerBatch: number, keys: number): Steps<void> {
    const { engine, shape, sliced } = this.#call;
    const { batches, rows } = this.#chunk;
    this.#out = this.#scope.allocate(this.#floats * 4);
    const splits = splitsOf(rows, keys);
    const partials =
      splits > 1 ? this.#scope.allocate(batches * shape.heads * splits * (8 * paddedDim(shape.headDim) + 16) * 4) : 0;
    engine.set(this.#job, { OUT: this.#out, SPLITS: splits, PARTIALS: partials });
    yield* engine.steps(
      'attention',
      kernel,
      this.#job,
      batches * itemsPerBatch * splits,
      (4 * Math.min(ROWS, rows) * keys * shape.headDim) / splits,
      sliced,
    );
    if (splits > 1) engine.run('mergeSplits', this.#job, batches * shape.heads);
  }

  /** Runs the search; the mask stays in WebAssembly memory for `attend`. */
  *search(config: HipConfig, mask: BlockMask, staged?: StagedSearch): Steps<void> {
    const { engine, shape, sliced } = this.#call;
    const cells = this.#allocateMask(mask);
    engine.heap.ints(this.#starts, cells * mask.capacity).fill(-1);
    const grown = { ...config, window: mask.window };
    const vote = voteRows(shape, grown);
    this.#writeBudgets(config);
    engine.set(this.#job, {
      MAX_CANDIDATES: maxCandidates(shape.keys, config),
      VOTE_KEYS: vote.candidates,
      VOTE_LOCAL: vote.local,
      VOTE_GROUPS: voteGroups(shape, grown),
      ...(config.stages ? {} : treeFields(config)),
    });
    if (config.stages) this.#writeStages(config, staged?.outputs.keys);
    const outputs = staged && this.#writeOutputs(config, mask, staged);
    yield* engine.steps(
      'search',
      config.stages ? 'stagedSearch' : 'treeSearch',
      this.#job,
      cells,
      searchFlops(shape, config),
      sliced,
    );
    if (outputs) outputs.words.set(engine.heap.ints(outputs.at, outputs.words.length));
  }

  /** Copies the part's stage outputs in. @returns where they lie, and what they go back to */
  #writeOutputs(
    config: HipConfig,
    { maskHeads }: BlockMask,
    { from, outputs }: StagedSearch,
  ): { readonly at: number; readonly words: Int32Array } | undefined {
    const { batch, batches } = this.#chunk;
    const { stride } = outputLayout(outputs.keys, config);
    if (stride === 0) return undefined;
    const words = outputs.words.subarray(batch * maskHeads * stride, (batch + batches) * maskHeads * stride);
    const at = this.#scope.allocate(words.byteLength);
    const { engine } = this.#call;
    engine.heap.ints(at, words.length).set(words);
    engine.set(this.#job, { OUTPUTS: at, OUTPUT_STRIDE: stride, FIRST_STAGE: from });
    return { at, words };
  }

  /** Copies the part's masks into the whole mask. */
  readMask(mask: BlockMask): void {
    const { heap } = this.#call.engine;
    this.#eachRun(mask, (global, local, blocks) => {
      mask.starts.set(
        heap.ints(this.#starts + local * mask.capacity * 4, blocks * mask.capacity),
        global * mask.capacity,
      );
      mask.counts.set(heap.ints(this.#counts + local * 4, blocks), global);
    });
  }

  writeMask(mask: BlockMask): void {
    const { heap } = this.#call.engine;
    this.#allocateMask(mask);
    this.#eachRun(mask, (global, local, blocks) => {
      heap
        .ints(this.#starts + local * mask.capacity * 4, blocks * mask.capacity)
        .set(mask.starts.subarray(global * mask.capacity, (global + blocks) * mask.capacity));
      heap.ints(this.#counts + local * 4, blocks).set(mask.counts.subarray(global, global + blocks));
    });
  }

  /** @returns the part's (batch, mask head, query block) cells */
  #allocateMask(mask: BlockMask): number {
    const cells = this.#chunk.batches * mask.maskHeads * Math.ceil(this.#chunk.rows / mask.blockQ);
    this.#starts = this.#scope.allocate(cells * mask.capacity * 4);
    this.#counts = this.#scope.allocate(cells * 4);
    this.#call.engine.set(this.#job, { STARTS: this.#starts, COUNTS: this.#counts });
    return cells;
  }

  /** Runs of consecutive cells: their first in the whole mask, in the part, and their number. */
  #eachRun(mask: BlockMask, visit: (global: number, local: number, blocks: number) => void): void {
    const { batch, batches, row, rows } = this.#chunk;
    const blocks = Math.ceil(rows / mask.blockQ);
    for (let i = 0; i < batches * mask.maskHeads; i++) {
      visit((batch * mask.maskHeads + i) * mask.queryBlocks + row / mask.blockQ, i * blocks, blocks);
    }
  }

  #writeStages({ stages = [], sink }: HipConfig, outputKeys = 0): void {
    const { offsets } = outputLayout(outputKeys, { stages });
    const compact = compactDimsOf({ stages });
    const { engine } = this.#call;
    if (stages.length > MAX_STAGES)
      throw new HipError('invalid-config', `stages.length is ${stages.length}: give at most ${MAX_STAGES}`, {
        name: 'stages',
        value: stages.length,
      });
    engine.set(this.#job, { STAGE_COUNT: stages.length });
    for (const [index, stage] of stages.entries()) {
      const { at, room } = this.#tableOf(stage, { sink, compact });
      const record = [
        stage.chunk,
        stage.keep,
        stage.strideQ ?? 1,
        stage.rows === 'mean' ? 1 : 0,
        SCORES[stage.score],
        at,
        room,
        'dims' in stage && stage.dims === 'slow-half' ? 1 : 0,
        offsets[index] ?? 0,
      ];
      engine.heap.ints(this.#job + JOB.STAGE + index * STAGE_BYTES, record.length).set(record);
    }
  }

  /** What a stage reads beside the pages: summaries of chunks, or compact keys. */
  #tableOf(
    stage: SearchStage,
    { sink, compact }: { readonly sink: number; readonly compact: readonly CompactDims[] },
  ): { readonly at: number; readonly room: number } {
    const { store } = this.#call;
    const { batch } = this.#chunk;
    const { chunk, score } = stage;
    if (score === 'bound' || score === 'deviation') return store.summaries.find(sink, { score, chunk }, batch);
    const dims = stage.dims ?? 'all';
    const isCompact = (score === 'exact' || score === 'mass') && compact.includes(dims);
    return isCompact ? store.compactKeys.find(sink, dims, batch) : { at: 0, room: 0 };
  }

  /** Blocks that each head keeps, where heads differ. */
  #writeBudgets({ kPerHead, blockK }: HipConfig): void {
    if (!kPerHead) return;
    const { engine } = this.#call;
    const at = this.#scope.allocate(kPerHead.length * 4);
    engine.heap.ints(at, kPerHead.length).set(kPerHead.map((k) => Math.ceil(k / blockK)));
    engine.set(this.#job, { KEEP_OF_HEAD: at });
  }
}

/** Kinds of stages: assembly/search/staged.ts. */
const SCORES: Record<SearchStage['score'], number> = { binary: 0, bound: 1, exact: 2, deviation: 3, mass: 4 };

function treeFields({ strideQ, strideK, representative, ensemble }: HipConfig): JobFields {
  const kinds: Partial<Record<HipConfig['representative'], number>> = { center: 0, first: 1, last: 2 };
  const kind = kinds[representative];
  if (ensemble) {
    const message = 'ensembles run on the reference only: use searchBlockMask of @hip/mask-search';
    throw new HipError('unsupported', message, { ensemble });
  }
  if (kind === undefined) {
    throw new HipError(
      'unsupported',
      `representative "${representative}" runs on the reference only: use searchBlockMask of @hip/mask-search`,
      { representative },
    );
  }
  return { STRIDE_Q: strideQ, STRIDE_K: strideK, REPRESENTATIVE: kind };
}
