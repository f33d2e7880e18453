// What a mask means, told from its values on small inputs: rows see no later key, padding, a window, or something that cannot be cut.
/** One evaluation: rows [past, past + tokens) of `total` = past + tokens keys. */
export interface MaskProbe {
  readonly batch: number;
  readonly tokens: number;
  readonly past: number;
  /** Columns of padding in front of the last row of the batch. */
  readonly padding: number;
  /** First of the rows that are looked at. @defaultValue 0 */
  readonly first?: number;
}

/** Values of a mask, [.., rows, keys] as the graph makes it. */
export interface MaskValues {
  readonly dims: readonly number[];
  readonly values: ArrayLike<number>;
  readonly kind: 'additive' | 'allowed' | 'hidden';
}

/** Below this an added number hides a key. */
const HIDDEN = -1e3;
/** What adds less than this adds nothing. */
const NOTHING = 1e-6;

/** What the masks of one attention say about one evaluation. */
export type MaskMeaning =
  | {
      /** Largest number of keys, itself included, that a row sees; undefined: all before it. */
      readonly window: number | undefined;
      /** Keys of padding are hidden; undefined: there was none. */
      readonly padding: boolean | undefined;
    }
  | { readonly problem: string };

/** @param causal - the node hides later keys itself */
export function meaningOf(probe: MaskProbe, masks: readonly MaskValues[], causal: boolean): MaskMeaning {
  const { batch, tokens, past, padding, first: from = 0 } = probe;
  const total = past + tokens;
  let window = 0;
  let isWindowed = false;
  let hidesPadding: boolean | undefined;
  for (let b = 0; b < batch; b++) {
    const first = b === batch - 1 ? padding : 0;
    for (let row = Math.max(from, first - past); row < tokens; row++) {
      const at = past + row;
      let seen = 0;
      for (let key = 0; key < total; key++) {
        let isVisible = !causal || key <= at;
        for (const mask of masks) {
          const answer = visible(mask, probe, b, row, key);
          if (typeof answer === 'object') return answer;
          isVisible &&= answer;
        }
        if (key < first) {
          hidesPadding = (hidesPadding ?? true) && !isVisible;
          continue;
        }
        if (key > at && isVisible)
          return { problem: `row ${at} sees key ${key}, which comes later: it is no causal attention` };
        if (key > at) continue;
        // Visible keys end with the row itself; a gap is neither causal nor a window.
        if (isVisible) seen++;
        else if (seen > 0) return { problem: `row ${at} sees earlier keys but not key ${key}` };
      }
      if (seen === 0) return { problem: `row ${at} sees no key, not even its own` };
      if (seen < at + 1 - first) {
        if (isWindowed && seen !== window)
          return { problem: `row ${at} sees ${seen} keys where another sees ${window}` };
        isWindowed = true;
        window = seen;
      } else if (isWindowed && seen > window)
        return { problem: `row ${at} sees ${seen} keys where another sees ${window}` };
    }
  }
  return { window: isWindowed ? window : undefined, padding: hidesPadding };
}

function visible(
  { dims, values, kind }: MaskValues,
  { batch, tokens, past }: MaskProbe,
  b: number,
  row: number,
  key: number,
): boolean | { problem: string } {
  const total = past + tokens;
  const sizes =
    dims.length === 2 && dims[0] === batch && dims[0] !== tokens ? [dims[0], 1, 1, dims[1]!] : fourDims(dims);
  const [batches, heads, rows, keys] = sizes as [number, number, number, number];
  if (![1, batch].includes(batches) || ![1, tokens].includes(rows) || (keys !== 1 && keys !== total)) {
    return {
      problem: `a mask [${dims.join(', ')}] where ${tokens} rows see ${total} keys: keys that are not the tokens' own (an encoder's)`,
    };
  }
  let answer: boolean | undefined;
  for (let head = 0; head < heads; head++) {
    const place = [batches === 1 ? 0 : b, head, rows === 1 ? 0 : row, keys === 1 ? 0 : key];
    const index = place.reduce((at, position, axis) => at * sizes[axis]! + position, 0);
    const value = values[index]!;
    let own: boolean;
    if (kind === 'additive') {
      if (value > HIDDEN && Math.abs(value) > NOTHING) {
        return {
          problem: `a bias of ${value} is added to scores (relative positions, ALiBi), which the sparse attention does not have`,
        };
      }
      own = value > HIDDEN;
    } else own = (value !== 0) === (kind === 'allowed');
    if (answer !== undefined && answer !== own) return { problem: 'heads see different keys' };
    answer = own;
  }
  return answer ?? true;
}

function fourDims(dims: readonly number[]): readonly number[] {
  return [...Array.from({ length: Math.max(0, 4 - dims.length) }, () => 1), ...dims];
}
