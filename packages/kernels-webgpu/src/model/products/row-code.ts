// WGSL of products of few rows: each lane holds eight columns of all rows and multiplies them by one output's weights after another, which are read once. Bound by bytes.
import { enables } from '../../code/storage.ts';
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { productParts, type ProductKernel } from './kernel.ts';
import { exchangeCode, exchanged, type Exchange } from './exchange-code.ts';

/** Most rows that are multiplied at once; more are multiplied in groups of so many. */
export const FEW_ROWS = 8;

/** How the work is cut among lanes. */
export interface RowTiling {
  /** Outputs of a workgroup: a multiple of `batch`. */
  readonly outputs: number;
  /** Outputs whose weights a lane has under way. */
  readonly batch: number;
  /** Lanes of a workgroup, an octet of columns each at a time: a multiple of `shuffle`. */
  readonly threads: number;
  /** Lanes that may exchange values by shuffles: a power of two up to the smallest subgroup; 1 for none. */
  readonly shuffle: number;
}

export interface RowKernel extends ProductKernel, RowTiling {
  /** Rows of x that a workgroup takes, up to {@link FEW_ROWS}. */
  readonly rows: number;
  /** There are more rows, in groups along z; the last may be a part of one. @defaultValue false */
  readonly grouped?: boolean | undefined;
  /** x is divided by its root mean square and multiplied by a weight, if there is one, on the way. */
  readonly norm?: { readonly weight: boolean; readonly unitOffset: boolean } | undefined;
}

/** What workgroup memory depends on. */
export interface RowMemory extends Omit<RowTiling, 'batch'> {
  readonly rows: number;
  readonly gated: boolean;
  readonly normed: boolean;
}

/** Bytes of workgroup memory. */
export function rowKernelBytes({ rows, outputs, threads, shuffle, gated, normed }: RowMemory): number {
  return 4 * (threads / shuffle) * rows * (outputs * (gated ? 2 : 1) + (normed ? 1 : 0));
}

/**
 * The module. A lane's sums over its columns are added up within subgroups, several at once, and between them by workgroup memory, where a
 * lane finds what it writes. Σ w·x / rms(x) needs x once: its squares are summed beside. A row's result does not depend on how many there
 * are.
 */
export function rowKernelCode(kernel: RowKernel): string {
  const { rows, grouped = false, outputs, batch, threads, shuffle, gate, norm, targets, layout } = kernel;
  const { code } = productParts(kernel, {
    enables: enables({ access: [], subgroups: shuffle > 1 }),
    norm: norm?.weight ?? false,
  });
  const each = (count: number, f: (i: number) => string, separator = '\n  '): string => unroll(count, f, separator);
  const octets = octetsOf(layout.columns);
  const chunks = Math.ceil(octets / threads);
  const isExact = chunks * threads === octets;
  const groups = threads / shuffle;
  const matrices = gate ? 2 : 1;
  const perBatch = matrices * rows * batch;
  const sums = exchanged(perBatch, shuffle);
  const squares = exchanged(rows, shuffle);
  const batches = outputs / batch;
  const nameOf = (matrix: number, row: number, output: number): string => `s${(matrix * rows + row) * batch + output}`;

  const one = norm?.unitOffset ? ' + 1.0' : '';
  const normWeight =
    layout.columns % 8 === 0
      ? `mat2x4<f32>(norm_weight[at * 2u]${one}, norm_weight[at * 2u + 1u]${one})`
      : `mat2x4<f32>(${each(2, (side) => `vec4<f32>(${each(4, (i) => `norm_weight[min(at * 8u + ${4 * side + i}u, ${layout.columns - 1}u)]${one}`, ', ')})`, ', ')})`;
  const load = (r: number): string => `x${r} = x8(${grouped ? `min(firstRow + ${r}u, params.rows - 1u)` : `${r}u`}, at);
    ${norm ? `square${r} += dot(x${r}[0], x${r}[0]) + dot(x${r}[1], x${r}[1]);` : ''}
    ${norm?.weight ? `x${r} = mat2x4<f32>(x${r}[0] * n[0], x${r}[1] * n[1]);` : ''}`;
  const loads = `${norm?.weight ? `let n = ${normWeight};` : ''}
    ${each(rows, load, '\n    ')}`;

  const multiply = (t: number): string => {
    const readers = gate ? [0, 1] : [t];
    const outputAt = (o: number): string => `min(first + b * ${batch}u + ${o}u, params.outputs[${gate ? 0 : t}] - 1u)`;
    return `${each(batch, (o) => `let row${o} = ${outputAt(o)};`, ' ')}
    ${each(batch, (o) => readers.map((reader, m) => `let w${m}_${o} = weights${reader}(row${o}, at);`).join(' '), '\n    ')}
    ${each(
      batch,
      (o) =>
        readers
          .map((_, m) =>
            each(
              rows,
              (r) => `var ${nameOf(m, r, o)} = dot(w${m}_${o}[0], x${r}[0]) + dot(w${m}_${o}[1], x${r}[1]);`,
              ' ',
            ),
          )
          .join(' '),
      '\n    ',
    )}`;
  };
  const write = ({ left, owns }: Exchange, name: (i: number) => string, array: string, base: string, count: number) => {
    const limit = (i: number): string => (left > 1 || owns !== '' ? `place + ${i}u < ${count}u` : `lane < ${count}u`);
    const stores = each(
      left,
      (i) =>
        `if (${limit(i)}) { ${array}[${base} + place + ${i}u] ${array === 'partial' && chunks > 1 ? '+=' : '='} ${name(i)}; }`,
      ' ',
    );
    return owns ? `if (${owns}) { ${stores} }` : stores;
  };
  const finish = (t: number): string => {
    const sum = (m: number): string =>
      `total(${m * rows * batch}u + row * ${batch}u + output % ${batch}u, output / ${batch}u)${norm ? ' * inverse(row)' : ''}`;
    const at = `${grouped ? 'firstRow + ' : ''}row, first + output`;
    const call = gate ? `finish_gated(${at}, ${sum(0)}, ${sum(1)})` : `finish${t}(${at}, ${sum(0)})`;
    const isRow = grouped ? ' && firstRow + row < params.rows' : '';
    return `for (var i = thread; i < ${rows * outputs}u; i += ${threads}u) {
    let row = i / ${outputs}u;
    let output = i % ${outputs}u;
    if (first + output < params.outputs[${t}]${isRow}) { ${call}; }
  }`;
  };
  const product = (t: number): string => `fn product${t}(index: u32, firstRow: u32, thread: u32) {
  let first = index * ${outputs}u;
  let lane = thread % ${shuffle}u;
  let group = thread / ${shuffle}u;
  ${norm ? each(rows, (r) => `var square${r} = 0.0;`, ' ') : ''}
  ${each(rows, (r) => `var x${r}: mat2x4<f32>;`, ' ')}
  ${chunks > 1 ? `for (var chunk = 0u; chunk < ${chunks}u; chunk++) {` : '{ const chunk = 0u;'}
  let octet = chunk * ${threads}u + thread;
  let at = ${isExact ? 'octet' : `min(octet, ${octets - 1}u)`};
  ${isExact ? `{ ${loads} }` : `if (octet < ${octets}u) { ${loads} } else { ${each(rows, (r) => `x${r} = mat2x4<f32>();`, ' ')} }`}
  for (var b = 0u; b < ${batches}u; b++) {
    ${multiply(t)}
    ${exchangeCode(perBatch, shuffle, (i) => `s${i}`)}
    { let place = ${sums.place}; ${write(sums, (i) => `s${i}`, 'partial', `(group * ${batches}u + b) * ${perBatch}u`, perBatch)} }
  }
  }
  ${
    norm
      ? `${exchangeCode(rows, shuffle, (i) => `square${i}`)}
  { let place = ${squares.place}; ${write(squares, (i) => `square${i}`, 'squares', `group * ${rows}u`, rows)} }`
      : ''
  }
  workgroupBarrier();
  ${finish(t)}
}`;
  const own = gate ? [1] : targets.map((_, t) => t);
  const choose = own
    .map((t, i) => {
      const call = `product${t}(index${i === 0 ? '' : ` - params.starts[${t}]`}, group.z * ${rows}u, thread);`;
      return i + 1 < own.length ? `if (index < params.starts[${t + 1}]) { ${call} return; }` : call;
    })
    .join('\n  ');
  return wgsl(
    code,
    `var<workgroup> partial: array<f32, ${groups * batches * perBatch}>;
fn total(sum: u32, b: u32) -> f32 {
  var all = 0.0;
  for (var group = 0u; group < ${groups}u; group++) { all += partial[(group * ${batches}u + b) * ${perBatch}u + sum]; }
  return all;
}`,
    norm &&
      `var<workgroup> squares: array<f32, ${groups * rows}>;
fn inverse(row: u32) -> f32 {
  var sum = 0.0;
  for (var group = 0u; group < ${groups}u; group++) { sum += squares[group * ${rows}u + row]; }
  return inverseSqrt(sum / ${layout.columns}.0 + params.epsilon);
}`,
    own.map(product).join('\n'),
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.y * groups.x + group.x;
  ${choose}
}`,
  );
}
