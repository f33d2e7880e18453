// HAT's measured latencies as a search problem: translation models by their layers, latency interpolated from the table, against their parameters.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { integer } from '@instatune/nsga2';
import type { SearchProblem } from '@instatune/search';

const WIDTHS = [512, 640];
const FFN = [512, 1024, 2048, 3072];
const HEADS = [4, 8];
const LAYERS = 6;

/** The nine columns of the table that vary: a candidate's choices, averaged over the layers that it uses. */
function tableRow(genes: readonly number[]): number[] {
  const layers = 1 + genes[2]!;
  const average = (from: number, count: number, value: (gene: number) => number) =>
    genes.slice(from, from + count).reduce((sum, gene) => sum + value(gene), 0) / count;
  return [
    WIDTHS[genes[0]!]!,
    average(3, LAYERS, (gene) => FFN[gene]!),
    average(9, LAYERS, (gene) => HEADS[gene]!),
    WIDTHS[genes[1]!]!,
    layers,
    average(15, layers, (gene) => FFN[gene]!),
    average(21, layers, (gene) => HEADS[gene]!),
    average(27, layers, (gene) => HEADS[gene]!),
    average(33, layers, (gene) => 1 + gene),
  ];
}

/** Millions of weights in the layers: attention of width 512, biases and norms included, embeddings not. */
function parameters(row: readonly number[]): number {
  const [encoder = 0, encoderFfn = 0, , decoder = 0, layers = 0, decoderFfn = 0] = row;
  const attention = (width: number, other: number) => 2 * 512 * width + 2 * 512 * other + 3 * 512 + width;
  const feedForward = (width: number, inner: number) => 2 * width * inner + inner + width;
  const encoderLayers = 6 * (attention(encoder, encoder) + feedForward(encoder, encoderFfn) + 4 * encoder);
  const decoderLayer =
    attention(decoder, decoder) + attention(decoder, encoder) + feedForward(decoder, decoderFfn) + 6 * decoder;
  return (encoderLayers + layers * decoderLayer) / 1e6;
}

/** Kernel ridge regression: a Gaussian kernel of twice the mean squared distance, noise .002 of the variance. */
function kernelRidge(
  rows: readonly (readonly number[])[],
  targets: readonly number[],
): (row: readonly number[]) => number {
  const n = rows.length;
  const mean = targets.reduce((a, b) => a + b) / n;
  const deviation = Math.sqrt(targets.reduce((sum, target) => sum + (target - mean) ** 2, 0) / n);
  const distance = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, k) => sum + (x - b[k]!) ** 2, 0);
  const factor = rows.map((row, i) => Float64Array.from({ length: i + 1 }, (_, j) => distance(row, rows[j]!)));
  const total = factor.reduce((sum, row) => sum + row.reduce((a, b) => a + b, 0), 0);
  const scale = 1 / (4 * (total / ((n * (n - 1)) / 2)));
  for (let i = 0; i < n; i++) {
    const row = factor[i]!;
    for (let j = 0; j <= i; j++) {
      const other = factor[j]!;
      let sum = Math.exp(-row[j]! * scale) + (i === j ? 2e-3 : 0);
      for (let k = 0; k < j; k++) sum -= row[k]! * other[k]!;
      row[j] = i === j ? Math.sqrt(sum) : sum / other[j]!;
    }
  }
  const alpha = Float64Array.from(targets, (target) => (target - mean) / deviation);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) alpha[i]! -= factor[i]![k]! * alpha[k]!;
    alpha[i]! /= factor[i]![i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) alpha[i]! -= factor[k]![i]! * alpha[k]!;
    alpha[i]! /= factor[i]![i]!;
  }
  return (row) =>
    mean + deviation * rows.reduce((sum, other, i) => sum + alpha[i]! * Math.exp(-distance(row, other) * scale), 0);
}

/** @param folder of HAT's tables @param device `cpu_xeon` or `gpu_titanxp` */
export function hatProblem(folder: string, device: string): SearchProblem {
  const lines = readFileSync(join(folder, `wmt14ende_${device}_all.csv`), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',').map(Number));
  const columns = [0, 2, 3, 4, 5, 6, 7, 8, 9];
  const rows = lines.map((line) => columns.map((column) => line[column]!));
  const means = columns.map((_, k) => rows.reduce((sum, row) => sum + row[k]!, 0) / rows.length);
  const deviations = columns.map((_, k) =>
    Math.sqrt(rows.reduce((sum, row) => sum + (row[k]! - means[k]!) ** 2, 0) / rows.length),
  );
  const scaled = (row: readonly number[]) => row.map((x, k) => (x - means[k]!) / deviations[k]!);
  const latency = kernelRidge(
    rows.map(scaled),
    lines.map((line) => line[10]! + line[11]!),
  );
  const perLayer = (name: string, most: number) =>
    Array.from({ length: LAYERS }, (_, layer) => integer(0, most, `${name}.${layer}`));
  return {
    name: `HAT ${device}`,
    space: [
      integer(0, 1, 'encoder width'),
      integer(0, 1, 'decoder width'),
      integer(0, 5, 'decoder layers'),
      ...perLayer('encoder ffn', 3),
      ...perLayer('encoder heads', 1),
      ...perLayer('decoder ffn', 3),
      ...perLayer('decoder heads', 1),
      ...perLayer('cross heads', 1),
      ...perLayer('cross layers', 2),
    ],
    active: (genes) => genes.map((_, i) => i < 15 || (i - 15) % LAYERS < 1 + genes[2]!),
    objectives: [
      { name: 'latency', kind: 'measured', unit: 'ms', evaluate: (genes) => latency(scaled(tableRow(genes))) },
      {
        name: 'parameters',
        kind: 'exact',
        direction: 'maximize',
        unit: 'M',
        evaluate: (genes) => parameters(tableRow(genes)),
      },
    ],
  };
}
