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
  /** Row of q, batches counted through, at which the bound part starts, and that part. */
  readonly queryBase: number;
  readonly query: Range;
  readonly windows: readonly KeyWindow[];
  /** Candidates that a cell of the slab can have at most in any stage. */
  readonly scoreStride: number;
}

/** Keys [first, end) of the bound part of k. */
export interface KeyWindow {
  readonly first: number;
  readonly end: number;
  /** Row of k, batches counted through, at which the bound part starts. */
  readonly base: number;
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

/** Rows of one batch inside a buffer, to be cut into windows that a binding holds. */
export interface WindowRequest {
  readonly rows: number;
  readonly rowBytes: number;
  /** Bytes of a binding. */
  readonly limit: number;
  /** Offsets are multiples of these bytes. */
  readonly alignment: number;
  /** Row, batches counted through, of the batch's first row. @defaultValue 0 */
  readonly firstRow?: number | undefined;
  /** Rows that neighbouring windows share. @defaultValue 0 */
  readonly overlap?: number | undefined;
}

/** Rows between aligned offsets. */
export function rowStep(rowBytes: number, alignment: number): number {
  return alignment / gcd(alignment, rowBytes);
}

/** Windows over the rows of one batch. @throws HipError `unsupported` where a binding holds too few rows */
export function windowsOf({ rows, rowBytes, limit, alignment, firstRow = 0, overlap = 0 }: WindowRequest): KeyWindow[] {
  const step = rowStep(rowBytes, alignment);
  // A batch may begin between two aligned offsets: its windows then start a few rows early.
  const early = firstRow % step;
  const capacity = Math.floor(limit / rowBytes) - early;
  const fresh = Math.floor((capacity - overlap) / step) * step;
  const window = (first: number, end: number): KeyWindow => {
    const base = firstRow + first - early;
    return { first, end, base, range: { offset: base * rowBytes, size: (end - first + early) * rowBytes } };
  };
  if (rows <= capacity) return [window(0, rows)];
  if (fresh < 1)
    throw limitError(
      'maxStorageBufferBindingSize',
      (overlap + early + step) * rowBytes,
      limit,
      'use f16, or fewer heads per buffer',
    );
  const windows: KeyWindow[] = [];
  for (let first = 0; first < rows - overlap; first += fresh)
    windows.push(window(first, Math.min(rows, first + fresh + overlap)));
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
  const step = rowStep(queryRow, alignment);
  const slabs: Slab[] = [];
  for (let batchFirst = 0; batchFirst < batch; batchFirst += batches) {
    const windows = wholeKey
      ? [{ first: 0, end: keys, base: 0, range: { offset: 0, size: batch * keyRows * keyRow } }]
      : windowsOf({ rows: keys, rowBytes: keyRow, limit, alignment, firstRow: batchFirst * keyRows });
    if (windows.length > 1 && pageShift !== undefined)
      throw limitError(
        'maxStorageBufferBindingSize',
        keyRows * keyRow,
        limit,
        'give the cache pools of fewer kv heads',
      );
    for (let firstBlock = 0; firstBlock < queryBlocks;) {
      const batchRow = batchFirst * queries;
      const queryBase = wholeQuery ? 0 : Math.floor((batchRow + firstBlock * config.blockQ) / step) * step;
      const roomEnd = queryBase + Math.floor(limit / queryRow) - batchRow;
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
        : { offset: queryBase * queryRow, size: (batchRow + endRow - queryBase) * queryRow };
      slabs.push({
        batchFirst,
        batches,
        firstBlock,
        blocks,
        queryBase,
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
