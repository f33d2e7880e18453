// WGSL of products of few rows: teams of 32 lanes read a few outputs' weights once and multiply them by all rows. Bound by bytes.
import { enables } from '../../code/storage.ts';
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { productParts, type ProductKernel } from './kernel.ts';

/** Lanes that share an output's columns. */
export const TEAM = 32;
/** Most rows that are multiplied at once. */
export const FEW_ROWS = 8;

export interface RowKernel extends ProductKernel {
  /** Rows of x, up to {@link FEW_ROWS}. */
  readonly rows: number;
  /** x is divided by its root mean square and multiplied by a weight, if there is one, on the way. */
  readonly norm?: { readonly weight: boolean; readonly unitOffset: boolean } | undefined;
  /** Outputs of a team. */
  readonly outputs: number;
  /** Teams of a workgroup. */
  readonly teams: number;
  /** Lanes that may exchange values by shuffles: a power of two up to the smallest subgroup and to a team; 1 for none. */
  readonly shuffle: number;
}

/** Bytes of workgroup memory. */
export function rowKernelBytes({ rows, outputs, teams, shuffle, gate, norm }: RowKernel): number {
  if (shuffle >= TEAM) return 0;
  return 4 * teams * (TEAM / shuffle) * (rows * outputs * (gate ? 2 : 1) + (norm ? rows : 0));
}

/**
 * The module. The root mean square is summed beside the products, since x is read for them anyway:
 * Σ w·x / rms(x) needs x once.
 */
export function rowKernelCode(kernel: RowKernel): string {
  const { rows, outputs, teams, shuffle, gate, norm, targets, layout } = kernel;
  const { code } = productParts(kernel, {
    enables: enables({ access: [], subgroups: shuffle > 1 }),
    norm: norm?.weight ?? false,
  });
  const octets = octetsOf(layout.columns);
  const threads = teams * TEAM;
  const each = (count: number, f: (i: number) => string, separator = '\n'): string => unroll(count, f, separator);
  const sums = [
    ...(gate ? ['g', 's'] : ['s']).flatMap((name) =>
      Array.from({ length: outputs * rows }, (_, i) => `${name}${Math.floor(i / rows)}_${i % rows}`),
    ),
    ...(norm ? Array.from({ length: rows }, (_, r) => `q${r}`) : []),
  ];
  const parts = TEAM / shuffle;
  const place = (part: string, i: number): string =>
    `partial[((team * ${parts}u + ${part}) * ${sums.length}u) + ${i}u]`;
  const total = (name: string): string =>
    parts === 1 ? name : Array.from({ length: parts }, (_, p) => place(`${p}u`, sums.indexOf(name))).join(' + ');
  const reduce = `
    ${sums
      .flatMap((name) =>
        Array.from({ length: Math.log2(shuffle) }, (_, i) => `${name} += subgroupShuffleXor(${name}, ${2 ** i}u);`),
      )
      .join('\n    ')}
    ${
      parts > 1
        ? `if (lane % ${shuffle}u == 0u) { ${sums.map((name, i) => `${place(`lane / ${shuffle}u`, i)} = ${name};`).join(' ')} }
    workgroupBarrier();`
        : ''
    }`;
  const normed = norm
    ? `
  let at = octet * 8u;
  let n = mat2x4<f32>(vec4<f32>(${each(4, (i) => weightAt(i), ', ')}), vec4<f32>(${each(4, (i) => weightAt(i + 4), ', ')}));`
    : '';
  const needsWeight = norm?.weight ?? false;
  function weightAt(i: number): string {
    const index = `at + ${i}u`;
    const read =
      layout.columns % 8 === 0 ? `norm_weight[${index}]` : `norm_weight[min(${index}, ${layout.columns - 1}u)]`;
    return `${read}${norm?.unitOffset ? ' + 1.0' : ''}`;
  }

  const product = (t: number): string => {
    const finishAll = each(outputs * rows, (i) => {
      const [o, r] = [Math.floor(i / rows), i % rows];
      const factor = norm ? ` * inverseSqrt((${total(`q${r}`)}) / ${layout.columns}.0 + params.epsilon)` : '';
      const value = (name: string): string => `(${total(`${name}${o}_${r}`)})${factor}`;
      const write = gate
        ? `finish_gated(${r}u, first + ${o}u, ${value('g')}, ${value('s')})`
        : `finish${t}(${r}u, first + ${o}u, ${value('s')})`;
      return `    if (lane == ${i}u && first + ${o}u < params.outputs[${t}]) { ${write}; }`;
    });
    return `fn product${t}(index: u32, team: u32, lane: u32) {
    let first = (index * ${teams}u + team) * ${outputs}u;
    ${each(outputs, (o) => `let row${o} = min(first + ${o}u, params.outputs[${t}] - 1u);`, ' ')}
    ${sums.map((name) => `var ${name} = 0.0;`).join(' ')}
    for (var octet = lane; octet < ${octets}u; octet += ${TEAM}u) {
      ${each(outputs, (o) => (gate ? `let v${o} = weights0(row${o}, octet); let w${o}_ = weights1(row${o}, octet);` : `let w${o}_ = weights${t}(row${o}, octet);`), '\n      ')}
      ${needsWeight ? normed : ''}
      ${each(
        rows,
        (r) => `{ let raw = x8(${r}u, octet);
        ${norm ? `q${r} += dot(raw[0], raw[0]) + dot(raw[1], raw[1]);` : ''}
        ${needsWeight ? 'let y = mat2x4<f32>(raw[0] * n[0], raw[1] * n[1]);' : 'let y = raw;'}
        ${each(outputs, (o) => `s${o}_${r} += dot(w${o}_[0], y[0]) + dot(w${o}_[1], y[1]);${gate ? ` g${o}_${r} += dot(v${o}[0], y[0]) + dot(v${o}[1], y[1]);` : ''}`, ' ')} }`,
        '\n      ',
      )}
    }${reduce}
${finishAll}
}`;
  };
  const own = gate ? [0] : targets.map((_, t) => t);
  const choose = own
    .map((t) => {
      const call = `product${gate ? 1 : t}(index${t === 0 ? '' : ` - params.starts[${t}]`}, team, lane);`;
      return t + 1 < own.length ? `if (index < params.starts[${t + 1}]) { ${call} return; }` : call;
    })
    .join('\n  ');
  return wgsl(
    code,
    parts > 1 ? `var<workgroup> partial: array<f32, ${teams * parts * sums.length}>;` : '',
    (gate ? [1] : own).map(product).join('\n'),
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.y * groups.x + group.x;
  let team = thread / ${TEAM}u;
  let lane = thread % ${TEAM}u;
  ${choose}
}`,
  );
}
