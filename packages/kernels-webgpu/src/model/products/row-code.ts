// WGSL of products of few rows: teams of 32 lanes read a few outputs' weights once and multiply them by all rows. Bound by bytes.
import { enables } from '../../code/storage.ts';
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { unitForm, unitFunctions, unitLoader } from '../weights/unit-code.ts';
import { productParts, type ProductKernel } from './kernel.ts';

/** Lanes that share an output's columns. */
export const TEAM = 32;
/** Most rows that are multiplied at once. */
export const FEW_ROWS = 8;
/** Rows are staged in runs of whole super-blocks of every type. */
const RUN = 256;
/** 16-byte words that a lane has under way. */
const IN_FLIGHT = 8;

/** How the work is cut among lanes. */
export interface RowTiling {
  /** Outputs of a team. */
  readonly outputs: number;
  /** Teams of a workgroup. */
  readonly teams: number;
  /** Lanes that may exchange values by shuffles: a power of two up to the smallest subgroup and to a team; 1 for none. */
  readonly shuffle: number;
  /** Columns that are staged at a time: all, or a multiple of 256. */
  readonly chunk: number;
}

export interface RowKernel extends ProductKernel, RowTiling {
  /** Rows of x, up to {@link FEW_ROWS}. */
  readonly rows: number;
  /** x is divided by its root mean square and multiplied by a weight, if there is one, on the way. */
  readonly norm?: { readonly weight: boolean; readonly unitOffset: boolean } | undefined;
}

/** What workgroup memory depends on. */
export interface RowMemory extends RowTiling {
  readonly rows: number;
  readonly gated: boolean;
  readonly normed: boolean;
}

/** Bytes of workgroup memory. */
export function rowKernelBytes({ rows, outputs, teams, shuffle, chunk, gated, normed }: RowMemory): number {
  const staged = rows * Math.ceil(chunk / 8) * 8;
  const sums = shuffle >= TEAM ? 0 : teams * (TEAM / shuffle) * rows * outputs * (gated ? 2 : 1);
  return 4 * (staged + sums + (normed ? rows * teams * (TEAM / shuffle) : 0));
}

/** Columns to stage at a time within `bytes` of workgroup memory; 0 where not even a run fits. */
export function chunkWithin(columns: number, bytes: number, rest: Omit<RowMemory, 'chunk'>): number {
  const most = Math.floor((bytes - rowKernelBytes({ ...rest, chunk: 0 })) / (4 * rest.rows));
  return Math.ceil(columns / 8) * 8 <= most ? columns : Math.floor(most / RUN) * RUN;
}

/**
 * The module. Weights of the first columns are under way while x is staged in workgroup memory, times the norm's weight, in the order
 * in which lanes read it; its squares are summed beside: Σ w·x / rms(x) needs x once.
 */
export function rowKernelCode(kernel: RowKernel): string {
  const { rows, outputs, teams, shuffle, chunk, gate, norm, targets, layout } = kernel;
  const { code } = productParts(kernel, {
    enables: enables({ access: [], subgroups: shuffle > 1 }),
    norm: norm?.weight ?? false,
  });
  const threads = teams * TEAM;
  const each = (count: number, f: (i: number) => string, separator = '\n'): string => unroll(count, f, separator);
  const form = unitForm(layout.type);
  const allOctets = octetsOf(layout.columns);
  const chunks = Math.ceil(layout.columns / chunk);
  /** Octets and units of a whole chunk. */
  const octets = Math.min(octetsOf(chunk), allOctets);
  const units = octets / form.octets;
  const matrices = gate ? [0, 1] : [0];
  const group = Math.max(1, Math.floor(IN_FLIGHT / (outputs * matrices.length * (layout.type === 'F32' ? 2 : 1))));

  const staged = (r: number, part: number, side: number): string =>
    `staged[${(r * form.octets + part) * 2 * units + side * units}u + unit]`;
  const one = norm?.unitOffset ? ' + 1.0' : '';
  const normWeight =
    layout.columns % 8 === 0
      ? `mat2x4<f32>(norm_weight[octet * 2u]${one}, norm_weight[octet * 2u + 1u]${one})`
      : `mat2x4<f32>(${each(8, (i) => `norm_weight[min(octet * 8u + ${i}u, ${layout.columns - 1}u)]${one}`, ', ')})`;
  const stage = `fn stage(chunk: u32, thread: u32) {
  let count = min(${octets}u, ${allOctets}u - chunk * ${octets}u);
  for (var at = thread; at < count; at += ${threads}u) {
    let octet = at${chunks > 1 ? ` + chunk * ${octets}u` : ''};
    ${norm?.weight ? `let n = ${normWeight};` : ''}
    ${place(form)}
    ${each(
      rows,
      (r) => `{ let raw = x8(${r}u, octet);
      ${norm ? `square${r} += dot(raw[0], raw[0]) + dot(raw[1], raw[1]);` : ''}
      let to = ${r * form.octets * 2 * units}u + part * ${2 * units}u + unit;
      staged[to] = raw[0]${norm?.weight ? ' * n[0]' : ''};
      staged[to + ${units}u] = raw[1]${norm?.weight ? ' * n[1]' : ''}; }`,
      '\n    ',
    )}
  }
}`;

  const sums = Array.from({ length: outputs * rows }, (_, i) => [Math.floor(i / rows), i % rows] as const).flatMap(
    ([o, r]) => matrices.map((m) => `s${m}_${o}_${r}`),
  );
  const squares = norm ? Array.from({ length: rows }, (_, r) => `square${r}`) : [];
  const shuffled = (names: readonly string[]): string =>
    names
      .flatMap((name) =>
        Array.from({ length: Math.log2(shuffle) }, (_, i) => `${name} += subgroupShuffleXor(${name}, ${2 ** i}u);`),
      )
      .join('\n  ');
  const parts = TEAM / shuffle;
  const partial = (part: string, i: number): string =>
    `partial[(team * ${parts}u + ${part}) * ${sums.length}u + ${i}u]`;
  const total = (name: string): string =>
    parts === 1 ? name : Array.from({ length: parts }, (_, p) => partial(`${p}u`, sums.indexOf(name))).join(' + ');

  const loads = (t: number, base: string, count: number): string =>
    each(
      count,
      (i) =>
        each(
          outputs,
          (o) =>
            matrices
              .map(
                (m) =>
                  `let u${m}_${o}_${i} = load${gate ? m : t}(row${o}, ${clamped(`${base} + ${i * TEAM}u + lane`)});`,
              )
              .join(' '),
          ' ',
        ),
      '\n    ',
    );
  /** Lanes past the last unit of the row read it again, and add nothing. */
  const allUnits = allOctets / form.octets;
  const clamped = (index: string): string =>
    allUnits % TEAM === 0 && (chunks === 1 || units % TEAM === 0) ? index : `min(${index}, ${allUnits - 1}u)`;
  const multiply = (base: string, count: number, exact: boolean): string =>
    each(
      count,
      (i) => `{ let unit = ${base} + ${i * TEAM}u + lane;
      ${exact ? '' : `if (unit < count) {`}
      ${each(
        form.octets,
        (
          part,
        ) => `{ ${each(outputs, (o) => matrices.map((m) => `let w${m}_${o} = octet${part}_of(u${m}_${o}_${i});`).join(' '), ' ')}
      ${each(
        rows,
        (r) =>
          `{ let y0 = ${staged(r, part, 0)}; let y1 = ${staged(r, part, 1)}; ${each(outputs, (o) => matrices.map((m) => `s${m}_${o}_${r} += dot(w${m}_${o}[0], y0) + dot(w${m}_${o}[1], y1);`).join(' '), ' ')} }`,
        '\n      ',
      )} }`,
        '\n      ',
      )}
      ${exact ? '' : '}'} }`,
      '\n    ',
    );
  const steps = Math.ceil(units / TEAM);
  const exact = units % TEAM === 0 && (allOctets % octets === 0 || chunks === 1);
  const first = Math.min(group, steps);
  const rest = steps - first;
  const loops = Math.floor(rest / group);
  const left = rest - loops * group;
  const chunkBase = chunks > 1 ? `chunk * ${units}u + ` : '';
  const body = (t: number): string => `
    ${loads(t, `${chunkBase}0u`, first)}
    stage(chunk, thread);
    ${norm ? squareSums(squares, shuffle, shuffled, chunks) : ''}
    workgroupBarrier();
    ${exact ? '' : `let count = min(${units}u, ${allUnits}u - chunk * ${units}u);`}
    ${multiply('0u', first, exact)}
    ${
      loops > 0
        ? `for (var base = ${first * TEAM}u; base < ${(first + loops * group) * TEAM}u; base += ${group * TEAM}u) {
    ${loads(t, `${chunkBase}base`, group)}
    ${multiply('base', group, exact)}
    }`
        : ''
    }
    ${left > 0 ? `{ ${loads(t, `${chunkBase}${(steps - left) * TEAM}u`, left)}\n    ${multiply(`${(steps - left) * TEAM}u`, left, exact)} }` : ''}`;

  const finish = (t: number): string =>
    each(outputs * rows, (i) => {
      const [o, r] = [Math.floor(i / rows), i % rows];
      const value = (m: number): string => `(${total(`s${m}_${o}_${r}`)})${norm ? ` * inverse(${r}u)` : ''}`;
      const write = gate
        ? `finish_gated(${r}u, first + ${o}u, ${value(0)}, ${value(1)})`
        : `finish${t}(${r}u, first + ${o}u, ${value(0)})`;
      return `  if (lane == ${i}u && first + ${o}u < params.outputs[${t}]) { ${write}; }`;
    });
  const product = (t: number): string => `fn product${t}(index: u32, team: u32, lane: u32, thread: u32) {
  let first = (index * ${teams}u + team) * ${outputs}u;
  ${each(outputs, (o) => `let row${o} = min(first + ${o}u, params.outputs[${t}] - 1u);`, ' ')}
  ${sums.map((name) => `var ${name} = 0.0;`).join(' ')}
  ${
    chunks === 1
      ? `const chunk = 0u;${body(t)}`
      : `for (var chunk = 0u; chunk < ${chunks}u; chunk++) {${body(t)}
    workgroupBarrier();
  }`
  }
  ${shuffled(sums)}
  ${
    parts > 1
      ? `if (lane % ${shuffle}u == 0u) { ${sums.map((name, i) => `${partial(`lane / ${shuffle}u`, i)} = ${name};`).join(' ')} }
  workgroupBarrier();`
      : ''
  }
${finish(t)}
}`;
  const own = gate ? [0] : targets.map((_, t) => t);
  const choose = own
    .map((t) => {
      const call = `product${gate ? 1 : t}(index${t === 0 ? '' : ` - params.starts[${t}]`}, team, lane, thread);`;
      return t + 1 < own.length ? `if (index < params.starts[${t + 1}]) { ${call} return; }` : call;
    })
    .join('\n  ');
  return wgsl(
    code,
    unitFunctions(layout.type),
    targets.map((_, t) => unitLoader(`load${t}`, `w${t}`, layout)).join('\n'),
    `var<workgroup> staged: array<vec4<f32>, ${rows * octets * 2}>;`,
    parts > 1 ? `var<workgroup> partial: array<f32, ${teams * parts * sums.length}>;` : '',
    norm
      ? `var<workgroup> squares: array<f32, ${rows * teams * parts}>;
${squares.map((name) => `var<private> ${name}: f32;`).join('\n')}
fn inverse(row: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < ${teams * parts}u; i++) { sum += squares[row * ${teams * parts}u + i]; }
  return inverseSqrt(sum / ${layout.columns}.0 + params.epsilon);
}`
      : '',
    stage,
    (gate ? [1] : own).map(product).join('\n'),
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.y * groups.x + group.x;
  let team = thread / ${TEAM}u;
  let lane = thread % ${TEAM}u;
  ${choose}
}`,
  );

  /** Every thread's squares of the last chunk's staging, to where all can add them. */
  function squareSums(
    names: readonly string[],
    lanes: number,
    reduce: (names: readonly string[]) => string,
    count: number,
  ): string {
    const write = `${reduce(names)}
    if (lane % ${lanes}u == 0u) { ${names.map((name, r) => `squares[${r * teams * parts}u + thread / ${lanes}u] = ${name};`).join(' ')} }`;
    return count === 1 ? write : `if (chunk == ${count - 1}u) { ${write} }`;
  }
}

/** Statements: `unit` and `part` of the chunk's octet `at`; chunks begin with a block. */
function place({ octets, place: own }: ReturnType<typeof unitForm>): string {
  if (own) return own.replaceAll('octet', 'at');
  return octets === 1 ? 'let unit = at; let part = 0u;' : `let unit = at / ${octets}u; let part = at % ${octets}u;`;
}
