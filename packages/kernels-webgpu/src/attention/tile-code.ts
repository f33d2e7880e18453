// WGSL of the tiled kernel for devices without matrix units: f32 arithmetic in registers, tiles staged in workgroup memory.
import { enables, packVec4, storageFunctions, unpackVec4, vec4Type } from '../code/storage.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import type { StorageAccess } from '../device/features.ts';
import { CARRY_FUNCTIONS, carryBindings, type Carry } from './carry.ts';
import { keySetFunctions } from './key-sets.ts';
import { attentionParams } from './params.ts';

/** Threads that share a row: each owns 4 keys of a tile, and every eighth group of four numbers of the output. */
export const COLUMNS = 8;
/** Keys of a tile. */
export const TILE_KEYS = 4 * COLUMNS;
/** Rows a thread owns. */
export const THREAD_ROWS = 4;
/** What stands for minus infinity: finite, so that differences of two are no NaN. */
export const NEVER = '-1e30';

export interface TileKernel {
  readonly headDim: number;
  readonly query: StorageAccess;
  readonly key: StorageAccess;
  readonly sparse: boolean;
  readonly carry: Carry;
  /** Rows of a tile, a multiple of 4; 2·rows threads. */
  readonly rows: number;
  /** Groups of four numbers staged at once, a multiple of 8. */
  readonly chunk: number;
  /** Lanes that may exchange values by shuffles: 1 (none), 2, 4 or 8; at most the smallest subgroup. */
  readonly shuffle: 1 | 2 | 4 | 8;
}

/** Workgroup memory of the kernel in bytes. */
export function tileWorkgroupBytes({ rows, chunk, shuffle }: Pick<TileKernel, 'rows' | 'chunk' | 'shuffle'>): number {
  const staged = (rows + TILE_KEYS) * (chunk + 1) * 16;
  const weights = rows * (COLUMNS + 1) * 16;
  return staged + weights + 4 * TILE_KEYS + (shuffle < COLUMNS ? 4 * rows * (COLUMNS / shuffle) : 0);
}

/** `value` maximised or added over the threads of a row, through shuffles and, for the rest, workgroup memory. */
export function reduceRows(
  names: readonly string[],
  combine: (a: string, b: string) => string,
  { rows, shuffle }: Pick<TileKernel, 'rows' | 'shuffle'>,
): string {
  const steps = [1, 2, 4].filter((step) => step < shuffle);
  const shuffles = names
    .map((name) =>
      steps.map((step) => `${name} = ${combine(name, `subgroupShuffleXor(${name}, ${step}u)`)};`).join(' '),
    )
    .join('\n');
  if (shuffle === COLUMNS) return shuffles;
  const parts = COLUMNS / shuffle;
  const rowOf = (i: number): string => `(ty + ${(i * rows) / THREAD_ROWS}u) * ${parts}u`;
  return `${shuffles}
workgroupBarrier();
if (tx % ${shuffle}u == 0u) {
${names.map((name, i) => `  partial[${rowOf(i)} + tx / ${shuffle}u] = ${name};`).join('\n')}
}
workgroupBarrier();
${names.map((name, i) => `${name} = partial[${rowOf(i)}]; ${unroll(parts - 1, (p) => `${name} = ${combine(name, `partial[${rowOf(i)} + ${p + 1}u]`)};`, ' ')}`).join('\n')}`;
}

/** The soft-cap of a scaled score, to base 2. */
export function cap(score: string): string {
  return `params.cap * tanh(clamp(${score}, -15.0, 15.0))`;
}

/** Where a workgroup stands: declares head, batch, block, firstRow, lastRow. */
export function placeRows(rows: number): string {
  return `let head = group.y;
  let batch = group.z;
  let tile = params.tiles - 1u - group.x;
  let block = params.rowFirst / params.blockQ + tile / params.tilesPerBlock;
  let firstRow = block * params.blockQ + (tile % params.tilesPerBlock) * ${rows}u;
  let rowLimit = min(min(firstRow + ${rows}u, (block + 1u) * params.blockQ), params.rowEnd);
  if (firstRow >= rowLimit) { return; }
  let lastRow = rowLimit - 1u;
  let keyBase = batch * params.keyBatchStride + head / params.group * params.keyHeadStride;
  let rowBase = batch * params.batchStride + (params.headFirst + head) * params.headStride;`;
}

/** The module. */
export function tileKernelCode(kernel: TileKernel): string {
  const { headDim, query, key, sparse, carry, rows, chunk, shuffle } = kernel;
  const groups = headDim / 4;
  const chunks = Math.ceil(groups / chunk);
  const resident = chunks === 1;
  const outGroups = Math.ceil(groups / COLUMNS);
  const threads = 2 * rows;
  const stride = chunk + 1;
  const rowsOf = <T>(f: (i: number) => T): T[] => Array.from({ length: THREAD_ROWS }, (_, i) => f(i));
  const row = (i: number): string => `(ty + ${(i * rows) / THREAD_ROWS}u)`;
  const stageQuery = (
    start: string,
  ): string => `for (var index = thread; index < ${rows * chunk}u; index += ${threads}u) {
    let r = index / ${chunk}u; let c = index % ${chunk}u + ${start};
    var value = vec4<f32>(0.0);
    if (firstRow + r <= lastRow && c < ${groups}u) { value = ${unpackVec4(query, `q[rowBase + (firstRow + r - params.rowFirst) * params.rowStride + c]`)}; }
    staged[r * ${stride}u + index % ${chunk}u] = value;
  }`;
  // Keys are stored permuted so that the four keys of a thread, 4·tx + j, stand in rows j·8 + tx: no bank conflicts.
  const stageKeys = (
    source: string,
    start: string,
    place: string,
  ): string => `for (var index = thread; index < ${TILE_KEYS * chunk}u; index += ${threads}u) {
    let n = index / ${chunk}u; let c = index % ${chunk}u + ${start};
    var value = vec4<f32>(0.0);
    if (c < ${groups}u) { value = ${unpackVec4(key, `${source}[keyBase + ((entries[n] & 0x3fffffffu) - params.keyFirst) * params.keyStride + c]`)}; }
    staged[(${rows}u + ${place}) * ${stride}u + index % ${chunk}u] = value;
  }`;
  const scores = rowsOf((i) => unroll(4, (j) => `var s${i}_${j} = 0.0;`, ' ')).join('\n    ');
  const dots = `for (var c = 0u; c < ${chunk}u; c++) {
      ${unroll(4, (j) => `let k${j} = staged[(${rows + j * COLUMNS}u + tx) * ${stride}u + c];`, ' ')}
      ${rowsOf((i) => `let q${i} = staged[${row(i)} * ${stride}u + c]; ${unroll(4, (j) => `s${i}_${j} += dot(q${i}, k${j});`, ' ')}`).join('\n      ')}
    }`;
  const weights = rowsOf(
    (i) => `{ let old = m${i}; m${i} = max(old, t${i});
      let shrink = exp2(old - m${i});
      ${unroll(4, (j) => `s${i}_${j} = select(exp2(s${i}_${j} - m${i}), 0.0, s${i}_${j} <= ${NEVER});`, ' ')}
      l${i} = l${i} * shrink + s${i}_0 + s${i}_1 + s${i}_2 + s${i}_3;
      ${unroll(outGroups, (g) => `o${i}_${g} *= shrink;`, ' ')}
      weights[${row(i)} * ${COLUMNS + 1}u + tx] = vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3); }`,
  ).join('\n    ');
  const multiplyValues = (first: number): string => {
    const here = Array.from({ length: Math.min(chunk / COLUMNS, outGroups - first) }, (_, g) => g);
    return `for (var n = 0u; n < ${COLUMNS}u; n++) {
      ${rowsOf((i) => `let p${i} = weights[${row(i)} * ${COLUMNS + 1}u + n];`).join(' ')}
      ${here
        .map(
          (
            g,
          ) => `{ ${unroll(4, (e) => `let v${e} = staged[(${rows}u + 4u * n + ${e}u) * ${stride}u + ${g * COLUMNS}u + tx];`, ' ')}
        ${rowsOf((i) => `o${i}_${first + g} += p${i}.x * v0 + p${i}.y * v1 + p${i}.z * v2 + p${i}.w * v3;`).join(' ')} }`,
        )
        .join('\n      ')}
    }`;
  };
  const outAt = (i: number, g: number): string =>
    `carriedOut[at * ${groups}u + ${g * COLUMNS}u + tx]`.replace('at', `at${i}`);
  const inside = (g: number): string =>
    g * COLUMNS + COLUMNS <= groups ? 'true' : `${g * COLUMNS}u + tx < ${groups}u`;
  const finish = rowsOf((i) => {
    const valid = `firstRow + ${row(i)} <= lastRow`;
    const store = carry.out
      ? `let at${i} = carriedIndex(batch, head, firstRow + ${row(i)});
      if (tx == 0u) { carriedRows[at${i}] = vec2<f32>(m${i}, l${i}); }
      ${unroll(outGroups, (g) => `if (${inside(g)}) { ${outAt(i, g)} = o${i}_${g}; }`)}`
      : `let inverse = select(0.0, 1.0 / l${i}, l${i} > 0.0);
      let at = rowBase + (firstRow + ${row(i)} - params.rowFirst) * params.rowStride;
      ${unroll(outGroups, (g) => `if (${inside(g)}) { out[at + ${g * COLUMNS}u + tx] = ${packVec4(query, `o${i}_${g} * inverse`)}; }`)}`;
    return `if (${valid}) {\n      ${store}\n    }`;
  }).join('\n    ');
  const resume = carry.in
    ? rowsOf(
        (i) => `if (firstRow + ${row(i)} <= lastRow) {
    let at${i} = carriedIndex(batch, head, firstRow + ${row(i)});
    m${i} = carriedRows[at${i}].x; l${i} = select(0.0, carriedRows[at${i}].y, tx == 0u);
    ${unroll(outGroups, (g) => `if (${inside(g)}) { o${i}_${g} = ${outAt(i, g)}; }`)}
  }`,
      ).join('\n  ')
    : '';
  const access = [query, key];
  return wgsl(
    enables({ access, subgroups: shuffle > 1 }),
    attentionParams.declaration,
    bindings([
      'var<uniform> params: Params',
      `var<storage, read> q: array<${vec4Type(query)}>`,
      `var<storage, read> k: array<${vec4Type(key)}>`,
      `var<storage, read> v: array<${vec4Type(key)}>`,
      ...(sparse ? ['var<storage, read> starts: array<i32>', 'var<storage, read> counts: array<i32>'] : []),
      ...(carry.out ? [] : [`var<storage, read_write> out: array<${vec4Type(query)}>`]),
      ...carryBindings(carry),
    ]),
    storageFunctions(access),
    keySetFunctions({ sparse, aligned: false }),
    carry.in || carry.out ? CARRY_FUNCTIONS : '',
    `// Queries (rows) and then keys or values, a chunk of the head dimension at a time.
var<workgroup> staged: array<vec4<f32>, ${(rows + TILE_KEYS) * stride}>;
var<workgroup> weights: array<vec4<f32>, ${rows * (COLUMNS + 1)}>;
var<workgroup> entries: array<u32, ${TILE_KEYS}>;`,
    shuffle < COLUMNS ? `var<workgroup> partial: array<f32, ${rows * (COLUMNS / shuffle)}>;` : '',
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${COLUMNS}u;
  let ty = thread / ${COLUMNS}u;
  ${placeRows(rows)}
  let sets = keySets(batch + params.batchFirst, head, block, firstRow, lastRow);
  let firstRange = rowRange(firstRow);
  let lastRange = rowRange(lastRow);
  ${rowsOf((i) => `let range${i} = rowRange(firstRow + ${row(i)});`).join(' ')}
  ${rowsOf((i) => `var m${i} = ${NEVER}; var l${i} = 0.0; ${unroll(outGroups, (g) => `var o${i}_${g} = vec4<f32>(0.0);`, ' ')}`).join('\n  ')}
  ${resume}
  ${resident ? stageQuery('0u') : ''}
  for (var slot = 0u; slot < sets.slots; slot += ${TILE_KEYS}u) {
    workgroupBarrier();
    for (var index = thread; index < ${TILE_KEYS}u; index += ${threads}u) { entries[index] = slotEntry(sets, slot + index); }
    workgroupBarrier();
    ${scores}
    ${
      resident
        ? `${stageKeys('k', '0u', `(n % 4u) * ${COLUMNS}u + n / 4u`)}
    workgroupBarrier();
    ${dots}`
        : `for (var start = 0u; start < ${chunks * chunk}u; start += ${chunk}u) {
    ${stageQuery('start')}
    ${stageKeys('k', 'start', `(n % 4u) * ${COLUMNS}u + n / 4u`)}
    workgroupBarrier();
    ${dots}
    workgroupBarrier();
    }`
    }
    ${rowsOf((i) => unroll(4, (j) => `s${i}_${j} *= params.scale;`, ' ')).join('\n    ')}
    if (params.cap > 0.0) {
      ${rowsOf((i) => unroll(4, (j) => `s${i}_${j} = ${cap(`s${i}_${j}`)};`, ' ')).join('\n      ')}
    }
    if (!attendsAll(entries[0], entries[${TILE_KEYS - 1}], firstRange, lastRange)) {
      ${unroll(4, (j) => `{ let entry = entries[4u * tx + ${j}u]; ${rowsOf((i) => `s${i}_${j} = select(${NEVER}, s${i}_${j}, attends(entry, range${i}));`).join(' ')} }`, '\n      ')}
    }
    ${rowsOf((i) => `var t${i} = max(max(s${i}_0, s${i}_1), max(s${i}_2, s${i}_3));`).join(' ')}
    ${reduceRows(
      rowsOf((i) => `t${i}`),
      (a, b) => `max(${a}, ${b})`,
      kernel,
    )}
    ${weights}
    ${unroll(chunks, (c) => `workgroupBarrier();\n    ${stageKeys('v', `${c * chunk}u`, 'n')}\n    workgroupBarrier();\n    ${multiplyValues((c * chunk) / COLUMNS)}`, '\n    ')}
  }
  ${reduceRows(
    rowsOf((i) => `l${i}`),
    (a, b) => `${a} + ${b}`,
    kernel,
  )}
  {
    ${finish}
  }
}`,
  );
}
