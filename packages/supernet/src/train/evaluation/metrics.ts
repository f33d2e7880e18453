// Measures of predictions, as the field reports them: F1, Matthews correlation, Pearson and Spearman, spans of tags, recall of retrieval.
import { SupernetError } from '../../errors.ts';

/** Numbers by name. */
export type Metrics = Readonly<Record<string, number>>;

/**
 * Of classes: `accuracy`; `f1` (of class 1 where there are two, as GLUE reports it, else the mean over the classes that occur); `macroF1`;
 * `matthews` correlation (Gorodkin 2004), 0 where it is not defined.
 *
 * @param labels - rows of −1 do not count
 * @throws SupernetError `invalid-data` for lists of unlike lengths
 *
 * @example
 * ```ts
 * import { classMetrics } from '@instatune/supernet';
 *
 * const { accuracy, f1 } = classMetrics([1, 1, 0, 0], [1, 0, 0, 1], 2);
 * console.log(accuracy, f1); // => 0.5 0.5
 * ```
 */
export function classMetrics(predicted: ArrayLike<number>, labels: ArrayLike<number>, classes: number): Metrics {
  requireAlike(predicted.length, labels.length);
  const counts = Array.from({ length: classes }, () => ({ predicted: 0, real: 0, right: 0 }));
  let [count, right] = [0, 0];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    if (label < 0) continue;
    count++;
    const of = (id: number) => counts[id] as (typeof counts)[number];
    of(label).real++;
    of(predicted[i] as number).predicted++;
    if (label !== predicted[i]) continue;
    right++;
    of(label).right++;
  }
  const scores = counts.map((one) => f1Of(one.right, one.predicted, one.real));
  const occurring = scores.filter((_, id) => (counts[id]?.real ?? 0) + (counts[id]?.predicted ?? 0) > 0);
  const macroF1 = mean(occurring);
  let [both, ofPredicted, ofReal] = [0, 0, 0];
  for (const one of counts) {
    both += one.predicted * one.real;
    ofPredicted += one.predicted ** 2;
    ofReal += one.real ** 2;
  }
  const spread = Math.sqrt((count ** 2 - ofPredicted) * (count ** 2 - ofReal));
  return {
    accuracy: right / Math.max(1, count),
    f1: classes === 2 ? (scores[1] as number) : macroF1,
    macroF1,
    matthews: spread > 0 ? (right * count - both) / spread : 0,
  };
}

/**
 * Of any number of classes a row: `accuracy` (rows that are right in every class), `f1` (over all cells, micro) and `macroF1` (mean over
 * the classes). A class is predicted from a score of ½ on.
 *
 * @param scores - 0…1 [rows · classes]
 * @param values - what they should be; from ½ on a class is right
 * @throws SupernetError `invalid-data` for lists of unlike lengths
 */
export function multiLabelMetrics(scores: ArrayLike<number>, values: ArrayLike<number>, classes: number): Metrics {
  requireAlike(scores.length, values.length);
  const counts = Array.from({ length: classes }, () => ({ predicted: 0, real: 0, right: 0 }));
  const rows = values.length / classes;
  let exact = 0;
  for (let row = 0; row < rows; row++) {
    let isRight = true;
    for (const [id, one] of counts.entries()) {
      const [said, real] = [
        (scores[row * classes + id] as number) >= 0.5,
        (values[row * classes + id] as number) >= 0.5,
      ];
      if (said) one.predicted++;
      if (real) one.real++;
      if (said && real) one.right++;
      if (said !== real) isRight = false;
    }
    if (isRight) exact++;
  }
  const sum = (key: 'predicted' | 'real' | 'right') => counts.reduce((total, one) => total + one[key], 0);
  return {
    accuracy: exact / Math.max(1, rows),
    f1: f1Of(sum('right'), sum('predicted'), sum('real')),
    macroF1: mean(counts.map((one) => f1Of(one.right, one.predicted, one.real))),
  };
}

/**
 * Of values, over all outputs: `mse`, `mae`, `pearson`, `spearman` (ranks, the mean rank of equal values) and `r2`; correlations are 0
 * where a side is constant.
 *
 * @throws SupernetError `invalid-data` for lists of unlike lengths
 *
 * @example
 * ```ts
 * import { valueMetrics } from '@instatune/supernet';
 *
 * const { spearman, mae } = valueMetrics([1, 2, 4], [0, 1, 9]);
 * console.log(spearman, mae.toFixed(2)); // => 1 2.33
 * ```
 */
export function valueMetrics(predicted: ArrayLike<number>, values: ArrayLike<number>): Metrics {
  requireAlike(predicted.length, values.length);
  const [said, real] = [Array.from(predicted), Array.from(values)];
  const distances = said.map((value, i) => value - (real[i] as number));
  const squares = distances.reduce((sum, distance) => sum + distance ** 2, 0);
  const centre = mean(real);
  const spread = real.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return {
    mse: squares / Math.max(1, said.length),
    mae: mean(distances.map(Math.abs)),
    pearson: correlation(said, real),
    spearman: correlation(ranks(said), ranks(real)),
    r2: spread > 0 ? 1 - squares / spread : 0,
  };
}

/**
 * Of tags of tokens: `accuracy` of tags, and `precision`, `recall` and `f1` of spans, whole and of the right type, counted over all
 * sequences (CoNLL 2000, as seqeval does by default; tags `B-X`, `I-X`, `O`, and `E-X`, `S-X` that end a span; an `I-X` that follows nothing
 * of X begins one). Where no tag has such a prefix, each is a span by itself and `O` none.
 *
 * @param predicted - tags of each sequence
 * @throws SupernetError `invalid-data` for lists of unlike lengths
 *
 * @example
 * ```ts
 * import { spanMetrics } from '@instatune/supernet';
 *
 * const { f1, recall } = spanMetrics([['B-PER', 'I-PER', 'O', 'O']], [['B-PER', 'I-PER', 'O', 'B-LOC']]);
 * console.log(f1.toFixed(2), recall); // => 0.67 0.5
 * ```
 */
export function spanMetrics(predicted: readonly (readonly string[])[], tags: readonly (readonly string[])[]): Metrics {
  requireAlike(predicted.length, tags.length);
  const all = [...predicted.flat(), ...tags.flat()];
  const hasPrefixes = all.some((tag) => /^[BI]-/.test(tag)) || all.every((tag) => /^(O$|[ES]-)/.test(tag));
  let [right, count, found, real, both] = [0, 0, 0, 0, 0];
  for (const [at, own] of tags.entries()) {
    const said = predicted[at] as readonly string[];
    requireAlike(said.length, own.length);
    count += own.length;
    right += own.filter((tag, i) => tag === said[i]).length;
    const [ofSaid, ofOwn] = [spansOf(said, hasPrefixes), spansOf(own, hasPrefixes)];
    found += ofSaid.size;
    real += ofOwn.size;
    for (const span of ofSaid) if (ofOwn.has(span)) both++;
  }
  return {
    accuracy: right / Math.max(1, count),
    precision: found > 0 ? both / found : 0,
    recall: real > 0 ? both / real : 0,
    f1: f1Of(both, found, real),
  };
}

/**
 * Of images and texts in pairs: the share of images whose text is among the 1, 5 and 10 most similar (`textRecallAt1` …), and of texts whose
 * image is (`imageRecallAt1` …). Of equals the one that is not its own comes first.
 *
 * @param images - unit vectors, row after row; text i belongs to image i
 * @throws SupernetError `invalid-data` for lists of unlike lengths
 */
export function retrievalMetrics(images: Float32Array, texts: Float32Array, size: number): Metrics {
  requireAlike(images.length, texts.length);
  const rows = images.length / size;
  const ranksOf = (from: Float32Array, to: Float32Array): number[] =>
    Array.from({ length: rows }, (_, own) => {
      const like = (other: number) => {
        let sum = 0;
        for (let c = 0; c < size; c++) sum += (from[own * size + c] as number) * (to[other * size + c] as number);
        return sum;
      };
      const best = like(own);
      let rank = 0;
      for (let other = 0; other < rows; other++) if (other !== own && like(other) >= best) rank++;
      return rank;
    });
  const [ofTexts, ofImages] = [ranksOf(images, texts), ranksOf(texts, images)];
  const share = (all: readonly number[], most: number) => all.filter((rank) => rank < most).length / Math.max(1, rows);
  return Object.fromEntries(
    [1, 5, 10].flatMap((most) => [
      [`textRecallAt${most}`, share(ofTexts, most)],
      [`imageRecallAt${most}`, share(ofImages, most)],
    ]),
  );
}

/** Spans as text: begin, end and type. */
function spansOf(tags: readonly string[], hasPrefixes: boolean): Set<string> {
  const spans = new Set<string>();
  let open: { readonly from: number; readonly type: string } | undefined;
  const close = (end: number): void => {
    if (open) spans.add(`${open.from}-${end}-${open.type}`);
    open = undefined;
  };
  for (const [i, tag] of tags.entries()) {
    const [, prefix = '', type = tag] = (hasPrefixes && /^([BIES])-(.*)$/s.exec(tag)) || [];
    const goesOn = (prefix === 'I' || prefix === 'E') && open?.type === type;
    if (!goesOn) close(i);
    if (!goesOn && tag !== 'O') open = { from: i, type };
    if (prefix === 'E' || prefix === 'S') close(i + 1);
  }
  close(tags.length);
  return spans;
}

function f1Of(right: number, predicted: number, real: number): number {
  return right === 0 ? 0 : (2 * right) / (predicted + real);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  let [both, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(a[i] as number) - ma, (b[i] as number) - mb];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return ofA > 0 && ofB > 0 ? both / Math.sqrt(ofA * ofB) : 0;
}

/** Ranks from 0; equal values share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const out = Array.from({ length: values.length }, () => 0);
  for (let from = 0; from < order.length;) {
    let end = from;
    while (end < order.length && values[order[end] as number] === values[order[from] as number]) end++;
    for (let at = from; at < end; at++) out[order[at] as number] = (from + end - 1) / 2;
    from = end;
  }
  return out;
}

function requireAlike(predicted: number, expected: number): void {
  if (predicted === expected) return;
  throw new SupernetError('invalid-data', `${predicted} predictions for ${expected} rows`, { predicted, expected });
}
