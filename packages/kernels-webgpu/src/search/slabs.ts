// Cutting a search into slabs of query blocks whose scores and bindings fit, and keys into windows that one binding holds.
import { bytesOf } from '../device/features.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { searchableOf, type SearchRequest } from './plan.ts';
import { treeWords } from './code/tree.ts';

/** Part of a buffer: bytes from its start. */
export interface Range {
  readonly offset: number;
  readonly size: number;
}

/** Query blocks [firstBlock, firstBlock + blocks) of some batches. */
export interface Slab {
  readonly batchFirst: number;
  readonly batches: number;
  readonly firstBlock: number;
  readonly blocks: number;
  /** First row of the bound part of q, and that part. */
  readonly queryFirst: number;
  readonly query: Range;
  readonly windows: readonly KeyWindow[];
  /** Candidates that a cell of the slab can have at most in any stage. */
  readonly scoreStride: number;
}

/** Keys [first, end) of the bound part of k. */
export interface KeyWindow {
  readonly first: number;
  readonly end: number;
  readonly range: Range;
}

const DEFAULT_SCRATCH = 256 * 2 ** 20;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Candidates of every stage at most, for a cell with this many searchable tokens. */
export function mostCandidates(searchable: number, { config }: Pick<SearchRequest, 'config'>): number {
  const { stages } = config;
  if (!stages) return 0;
  let previous = searchable;
  let most = 0;
  for (const { chunk, keep } of stages) {
    const candidates = Math.ceil(Math.min(previous, searchable) / chunk);
    most = Math.max(most, candidates);
    previous = keep;
  }
  return most;
}

/**
 * Windows of `limit` bytes over rows of `rowBytes`, each starting at a multiple of `alignment` bytes.
 *
 * @param overlap rows that neighbouring windows share
 */
export function windowsOf(rows: number, rowBytes: number, limit: number, alignment: number, overlap = 0): KeyWindow[] {
  const step = alignment / gcd(alignment, rowBytes);
  const capacity = Math.floor(limit / rowBytes);
  const fresh = Math.floor((capacity - overlap) / step) * step;
  if (rows <= capacity) return [{ first: 0, end: rows, range: { offset: 0, size: rows * rowBytes } }];
  if (fresh < 1)
    throw limitError(
      'maxStorageBufferBindingSize',
      (overlap + step) * rowBytes,
      limit,
      'use f16, or fewer heads per buffer',
    );
  const windows: KeyWindow[] = [];
  for (let first = 0; first < rows - overlap; first += fresh) {
    const end = Math.min(rows, first + fresh + overlap);
    windows.push({ first, end, range: { offset: first * rowBytes, size: (end - first) * rowBytes } });
  }
  return windows;
}

/** Plans slabs. @throws HipError `unsupported` */
export function planSlabs(request: SearchRequest): Slab[] {
  const { shape, config, limits, type, scratchBytes = DEFAULT_SCRATCH } = request;
  const { batch, queries, keys, heads, headDim, kvHeads } = shape;
  const { keyRows = keys, queryHeads = heads, pageShift } = request;
  const limit = limits.maxStorageBufferBindingSize;
  const alignment = limits.minStorageBufferOffsetAlignment;
  const number = bytesOf(type);
  const queryRow = queryHeads * headDim * number;
  const keyRow = kvHeads * headDim * number;
  const queryBlocks = Math.ceil(queries / config.blockQ);
  const maskHeads = config.shareHeads ? 1 : heads;
  const wholeQuery = batch * queries * queryRow <= limit;
  const wholeKey = batch * keyRows * keyRow <= limit;
  const splitsBatches = batch > 1 && (!wholeQuery || !wholeKey);
  const batches = splitsBatches ? 1 : batch;
  const z = batches * maskHeads;
  if (z > limits.maxComputeWorkgroupsPerDimension)
    throw limitError(
      'maxComputeWorkgroupsPerDimension',
      z,
      limits.maxComputeWorkgroupsPerDimension,
      'call with fewer batches at a time',
    );
  const budget = Math.min(scratchBytes, limit);
  const rowStep = alignment / gcd(alignment, queryRow);
  const slabs: Slab[] = [];
  for (let batchFirst = 0; batchFirst < batch; batchFirst += batches) {
    const keyBase = wholeKey ? 0 : batchFirst * keyRows * keyRow;
    const windows = wholeKey
      ? [{ first: 0, end: keys, range: { offset: 0, size: batch * keyRows * keyRow } }]
      : windowsOf(keys, keyRow, limit, alignment).map((window) => ({
          ...window,
          range: { offset: keyBase + window.range.offset, size: window.range.size },
        }));
    if (windows.length > 1 && pageShift !== undefined)
      throw limitError(
        'maxStorageBufferBindingSize',
        keyRows * keyRow,
        limit,
        'give the cache pools of fewer kv heads',
      );
    for (let firstBlock = 0; firstBlock < queryBlocks;) {
      const queryFirst = wholeQuery ? 0 : Math.floor((firstBlock * config.blockQ) / rowStep) * rowStep;
      const roomEnd = queryFirst + Math.floor(limit / queryRow);
      const rowRoom = wholeQuery || roomEnd >= queries ? Infinity : Math.floor(roomEnd / config.blockQ) - firstBlock;
      let blocks = Math.min(queryBlocks - firstBlock, limits.maxComputeWorkgroupsPerDimension, rowRoom);
      // Later blocks see more: shrink until the last one's stride fits.
      const strideAt = (count: number): number =>
        mostCandidates(searchableOf(firstBlock + count - 1, shape, config), request);
      const bytesAt = (count: number): number =>
        4 * z * count * (config.stages ? strideAt(count) : treeWords(Math.ceil(config.k / config.blockK)));
      while (blocks > 1 && bytesAt(blocks) > budget)
        blocks = Math.max(1, Math.min(blocks - 1, Math.floor((blocks * budget) / bytesAt(blocks))));
      if (blocks < 1 || bytesAt(blocks) > limit)
        throw limitError(
          'maxStorageBufferBindingSize',
          blocks < 1 ? config.blockQ * queryRow : bytesAt(blocks),
          limit,
          'use a smaller blockQ, larger chunks in the first stage, or fewer heads at a time',
        );
      const endRow = Math.min(queries, (firstBlock + blocks) * config.blockQ);
      const query: Range = wholeQuery
        ? { offset: 0, size: batch * queries * queryRow }
        : { offset: (batchFirst * queries + queryFirst) * queryRow, size: (endRow - queryFirst) * queryRow };
      slabs.push({
        batchFirst,
        batches,
        firstBlock,
        blocks,
        queryFirst,
        query,
        windows,
        scoreStride: config.stages ? Math.max(1, strideAt(blocks)) : 1,
      });
      firstBlock += blocks;
    }
  }
  return slabs;
}

/**
 * The tree and the binary search decide from one score where to read next, so all keys must be bound at once.
 *
 * @throws HipError `unsupported`
 */
export function requireOneWindow(what: string, { windows }: Slab): void {
  if (what === 'exact' || windows.length === 1) return;
  const bytes = windows.reduce((total, { range }) => total + range.size, 0);
  throw limitError(
    'maxStorageBufferBindingSize',
    bytes,
    windows[0]!.range.size,
    `the ${what} search needs all keys in one binding: request a larger limit, store f16, or use stages scored 'bound' and 'exact'`,
  );
}
