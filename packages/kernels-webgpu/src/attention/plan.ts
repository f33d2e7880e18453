// Pure numbers of an attention call: which kernel, and which rows and keys each dispatch covers so that every binding fits.
import { HipError, type AttentionShape } from '@hip/mask-search';
import { bytesOf, withTier, type DeviceProfile, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { carryBytes, type Carry } from './carry.ts';
import { checkHeadDim, chooseVariant, MATRIX, variantRows, type AttentionVariant } from './variants.ts';

/** What a plan depends on. */
export interface AttentionPlanInput {
  /** heads: those of this call; kvHeads: those of k and v. */
  readonly shape: AttentionShape;
  readonly type: ElementType;
  /** Heads of a row of q and of the output, when the call serves only some of them. @defaultValue shape.heads */
  readonly queryHeads?: number | undefined;
  /** The mask's sizes; undefined: dense attention. */
  readonly mask?:
    | {
        readonly blockQ: number;
        readonly blockK: number;
        readonly capacity: number;
        readonly maskHeads: number;
        readonly queryBlocks: number;
      }
    | undefined;
  /** Rows attend to pseudo-keys. @defaultValue false */
  readonly remainder?: boolean | undefined;
  /** Instead of the planner's choice. */
  readonly variant?: AttentionVariant | undefined;
}

/** Rows [rowFirst, rowEnd) and keys [keyFirst, keyEnd) of batches [batchFirst, batchFirst + batches). */
export interface AttentionDispatch {
  readonly batchFirst: number;
  readonly batches: number;
  readonly rowFirst: number;
  readonly rowEnd: number;
  readonly keyFirst: number;
  readonly keyEnd: number;
  readonly carry: Carry;
  /** Takes the pseudo-keys, and no keys: it ends rows whose keys took several dispatches. @defaultValue false */
  readonly pseudoKeys?: boolean | undefined;
  readonly tiles: number;
  /** Byte ranges of q (and the output), and of k and v. */
  readonly query: { readonly offset: number; readonly size: number };
  readonly key: { readonly offset: number; readonly size: number };
}

export interface AttentionPlan {
  readonly variant: AttentionVariant;
  readonly blockQ: number;
  readonly tilesPerBlock: number;
  readonly dispatches: readonly AttentionDispatch[];
  /** Bytes of scratch beside the tensors. */
  readonly scratchBytes: number;
}

interface Span {
  readonly first: number;
  readonly end: number;
}

function spans(count: number, piece: number): Span[] {
  return Array.from({ length: Math.ceil(count / piece) }, (_, i) => ({
    first: i * piece,
    end: Math.min(count, (i + 1) * piece),
  }));
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

function multiple(a: number, b: number): number {
  return (a / greatestDivisor(a, b)) * b;
}

/** Rounds down to a positive multiple of `unit`, or undefined where not even one fits. */
function floorTo(value: number, unit: number): number | undefined {
  const rounded = Math.floor(value / unit) * unit;
  return rounded > 0 ? rounded : undefined;
}

/**
 * Plans a call. Each (batch, row, key) lies in exactly one dispatch; the dispatches of a row follow each other in order of keys.
 *
 * @throws HipError `unsupported` naming the limit that cannot be met
 */
export function planAttention(input: AttentionPlanInput, profile: DeviceProfile, limits: DeviceLimits): AttentionPlan {
  const { shape, type, mask, queryHeads = shape.heads } = input;
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  if (queryHeads < heads)
    throw new HipError(
      'invalid-shape',
      `queryHeads is ${queryHeads}: it counts all heads of a row, at least the call's ${heads}`,
      { queryHeads, heads },
    );
  checkHeadDim(headDim);
  const { remainder = false } = input;
  const choice = { headDim, type, blockQ: mask?.blockQ ?? queries, remainder };
  const variant = input.variant ?? chooseVariant(choice, profile, limits);
  const rows = variantRows(variant);
  const blockQ = mask?.blockQ ?? rows;
  const tilesPerBlock = Math.ceil(blockQ / rows);
  const binding = limits.maxStorageBufferBindingSize;
  const alignment = limits.minStorageBufferOffsetAlignment;
  const rowBytes = queryHeads * headDim * bytesOf(type);
  const keyBytes = kvHeads * headDim * bytesOf(type);
  if (mask) {
    const maskBytes = 4 * batch * mask.maskHeads * mask.queryBlocks * mask.capacity;
    if (maskBytes > binding)
      throw limitError('maxStorageBufferBindingSize', maskBytes, binding, 'search and attend in chunks of queries');
  }
  const fail = (what: string, bytes: number): never => {
    throw limitError(
      'maxStorageBufferBindingSize',
      bytes,
      binding,
      `one unit of ${what} must fit: use f16, or fewer heads per call`,
    );
  };
  const keyUnit = multiple(alignment / greatestDivisor(alignment, keyBytes), MATRIX);
  const keyPiece =
    keys * keyBytes <= binding
      ? keys
      : (floorTo(Math.floor(binding / keyBytes), keyUnit) ?? fail('keys', keyUnit * keyBytes));
  const keySpans = spans(keys, keyPiece);
  const carried = keySpans.length > 1;
  const rowUnit = multiple(alignment / greatestDivisor(alignment, rowBytes), blockQ);
  const stateBytes = carried ? 4 * heads * headDim : 0;
  const rowsThatFit = Math.min(
    Math.floor(binding / Math.max(rowBytes, stateBytes)),
    limits.maxComputeWorkgroupsPerDimension * (blockQ / tilesPerBlock),
  );
  const rowPiece =
    queries <= rowsThatFit
      ? queries
      : (floorTo(rowsThatFit, rowUnit) ?? fail('query rows', rowUnit * Math.max(rowBytes, stateBytes)));
  const rowSpans = spans(queries, rowPiece);
  const whole = keySpans.length === 1 && rowSpans.length === 1;
  const together = whole && batch * Math.max(queries * rowBytes, keys * keyBytes) <= binding;
  const aligned = [queries * rowBytes, keys * keyBytes].every((bytes) => bytes % alignment === 0);
  if (!together && batch > 1 && !aligned) {
    throw limitError(
      'maxStorageBufferBindingSize',
      batch * Math.max(queries * rowBytes, keys * keyBytes),
      binding,
      'call once per batch element with tensors of their own',
    );
  }
  const dispatches: AttentionDispatch[] = [];
  for (const batches of together ? [{ first: 0, end: batch }] : spans(batch, 1)) {
    for (const row of rowSpans) {
      const steps = carried && remainder ? [...keySpans, { ...keySpans.at(-1)!, pseudoKeys: true }] : keySpans;
      steps.forEach((key, i) => {
        const count = batches.end - batches.first;
        const size = (total: number, perRow: number, { first, end }: Span): { offset: number; size: number } => ({
          offset: (batches.first * total + first) * perRow,
          size: count > 1 ? count * total * perRow : (end - first) * perRow,
        });
        dispatches.push({
          batchFirst: batches.first,
          batches: count,
          rowFirst: row.first,
          rowEnd: row.end,
          keyFirst: key.first,
          keyEnd: key.end,
          carry: { in: i > 0, out: i < steps.length - 1 },
          ...('pseudoKeys' in key && { pseudoKeys: true }),
          tiles: Math.ceil((row.end - row.first) / blockQ) * tilesPerBlock,
          query: size(queries, rowBytes, row),
          key: size(keys, keyBytes, key),
        });
      });
    }
  }
  // The matrix kernel neither carries a softmax nor takes fewer rows than a matrix has.
  if (
    variant.kind === 'matrix' &&
    dispatches.some(
      ({ carry, rowFirst, rowEnd }) => carry.in || carry.out || rowEnd - rowFirst < MATRIX * (variant.rowMatrices ?? 1),
    )
  ) {
    return planAttention(
      { ...input, variant: chooseVariant(choice, withTier(profile, 'subgroups'), limits) },
      profile,
      limits,
    );
  }
  const state = carryBytes({ batches: 1, rows: rowPiece, heads, headDim });
  return { variant, blockQ, tilesPerBlock, dispatches, scratchBytes: carried ? state.rows + state.out : 0 };
}
