// WGSL of the gradients of attention over a mask held fixed: probabilities are recomputed, nothing of size Tq·Tk is stored.
import { isNaNumber } from '../code/finite.ts';
import { enables, packVec4, storageFunctions, unpackVec4, vec4Type } from '../code/storage.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import type { StorageAccess } from '../device/features.ts';
import { keySetFunctions } from './key-sets.ts';
import { attentionParams } from './params.ts';
import { meanAt } from '../remainder/stored-means.ts';
import { pseudoBindings } from './pseudo-slots.ts';
import { addHiddenKeys, NEVER, placeRows } from './tile-code.ts';
import { COLUMNS, TILE_KEYS, TileParts, type Hiding, type TileSizes, type VectorSource } from './tile-parts.ts';

/**
 * `rows`: per row, log2 of the softmax's sum and Σ p·dp. `query`: dq, a tile of rows over its keys. `key`, `value`: dk and dv,
 * a tile of keys over all rows that may see it, all heads of its group: no atomics, so the same result every time.
 */
export type GradientPass = 'rows' | 'query' | 'key' | 'value';

export interface GradientKernel extends TileSizes {
  readonly pass: GradientPass;
  readonly access: StorageAccess;
  readonly sparse: boolean;
}

/** A row without keys: exp2(score − this) is 0. */
export const NO_KEYS = '1e30';
/** Which rows see which keys is decided pair by pair here, so any tile may hide something. */
export const ALWAYS: Hiding = { mayHide: 'true' };

/**
 * The module around a pass.
 *
 * @param ofMeans the columns are pseudo-keys, or the rows their means
 */
export function gradientModule(
  kernel: GradientKernel,
  parts: TileParts,
  main: string,
  shared: string,
  ofMeans = false,
): string {
  const { access, sparse, pass, shuffle } = kernel;
  const element = vec4Type(access);
  const storedAs = access === 'f32' ? 'f32' : 'f16';
  const means = ofMeans && (pass === 'key' || pass === 'value');
  const input = (name: string): string => `var<storage, read> ${name}: array<${element}>`;
  return wgsl(
    enables({ access: [access], subgroups: pass === 'rows' && shuffle > 1 }),
    attentionParams.declaration,
    bindings([
      'var<uniform> params: Params',
      input('q'),
      ...(ofMeans ? [] : [input('k')]),
      ...(ofMeans || pass === 'value' ? [] : [input('v')]),
      input('g'),
      `var<storage, ${pass === 'rows' ? 'read_write' : 'read'}> stats: array<vec2<f32>>`,
      ...(sparse && !ofMeans ? ['var<storage, read> starts: array<i32>', 'var<storage, read> counts: array<i32>'] : []),
      ...(pass === 'rows' ? [] : [`var<storage, read_write> out: array<${means ? 'vec4<f32>' : element}>`]),
      ...(ofMeans ? pseudoBindings(storedAs) : []),
    ]),
    storageFunctions([access]),
    ofMeans ? meanAt(storedAs) : keySetFunctions({ sparse }),
    `// A row's entry of the statistics [batch, queries, heads].
fn statsIndex(batch: u32, head: u32, row: u32) -> u32 {
  return ((params.batchFirst + batch) * params.queries + row) * params.heads + head;
}
// log2-domain score of a dot product, and its derivative by the dot product.
fn logit(product: f32) -> vec2<f32> {
  let raw = product * params.scale;
  // NaN passes by the clamp, which would make a number of it.
  if (params.cap > 0.0) { let t = select(tanh(clamp(raw, -15.0, 15.0)), raw, ${isNaNumber('raw')}); return vec2<f32>(params.cap * t, params.slope * (1.0 - t * t)); }
  return vec2<f32>(raw, params.slope);
}
// The weight of a score in a row whose softmax has this logarithm. It is 1 at most but for rounding; NaN stays NaN.
fn probability(score: f32, total: f32) -> f32 {
  let x = score - total;
  return exp2(select(x, 0.0, x > 0.0));
}`,
    parts.declarations,
    shared,
    `@compute @workgroup_size(${parts.threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${COLUMNS}u;
  let ty = thread / ${COLUMNS}u;
${main}
}`,
  );
}

/** A row tile over its keys: `rows` and `query`. */
function rowPass(kernel: GradientKernel, parts: TileParts): string {
  const { access, rows, pass } = kernel;
  const row = (name: 'q' | 'g'): VectorSource => ({
    load: (r, c) =>
      unpackVec4(access, `${name}[rowBase + (firstRow + ${r} - params.rowFirst) * params.rowStride + ${c}]`),
    valid: (r) => `firstRow + ${r} <= lastRow`,
  });
  const keyOf = (name: 'k' | 'v', entry: string, c: string): string =>
    unpackVec4(access, `${name}[keyBase + ((${entry} & 0x3fffffffu) - params.keyFirst) * params.keyStride + ${c}]`);
  const slot = (name: 'k' | 'v'): VectorSource => ({ load: (n, c) => keyOf(name, `entries[${n}]`, c) });
  const begin = `  ${placeRows(rows)}
  let sets = keySets(batch + params.batchFirst, head, block, firstRow, lastRow);
  ${parts.rowsOf((i) => `let range${i} = rowRange(firstRow + ${parts.row(i)});`).join(' ')}`;
  const loop = (body: string): string => `  for (var slot = 0u; slot < sets.slots; slot += ${TILE_KEYS}u) {
    workgroupBarrier();
    for (var index = thread; index < ${TILE_KEYS}u; index += ${parts.threads}u) { entries[index] = slotEntry(sets, slot + index); }
    workgroupBarrier();
    ${parts.product('s', row('q'), slot('k'))}
    ${parts.product('d', row('g'), slot('v'))}
    ${body}
  }`;
  const columns = (f: (j: number) => string): string =>
    unroll(4, (j) => `{ let entry = entries[4u * tx + ${j}u]; ${f(j)} }`, '\n    ');
  if (pass === 'rows') {
    return `${begin}
  ${parts.rowsOf((i) => `var m${i} = ${NEVER}; var l${i} = 0.0; var a${i} = 0.0;`).join(' ')}
${loop(`${columns((j) => parts.rowsOf((i) => `{ let seen = attends(entry, range${i}); s${i}_${j} = select(${NEVER}, logit(s${i}_${j}).x, seen); d${i}_${j} = select(0.0, d${i}_${j}, seen); }`).join(' '))}
    ${parts.rowsOf((i) => `var t${i} = max(max(s${i}_0, s${i}_1), max(s${i}_2, s${i}_3));`).join(' ')}
    ${parts.reduce(
      parts.rowsOf((i) => `t${i}`),
      (a, b) => `max(${a}, ${b})`,
    )}
    ${parts
      .rowsOf(
        (i) => `{ let old = m${i}; m${i} = max(old, t${i}); let shrink = exp2(old - m${i});
      ${unroll(4, (j) => `s${i}_${j} = select(exp2(s${i}_${j} - m${i}), 0.0, s${i}_${j} <= ${NEVER});`, ' ')}
      l${i} = l${i} * shrink + s${i}_0 + s${i}_1 + s${i}_2 + s${i}_3;
      a${i} = a${i} * shrink + s${i}_0 * d${i}_0 + s${i}_1 * d${i}_1 + s${i}_2 * d${i}_2 + s${i}_3 * d${i}_3; }`,
      )
      .join('\n    ')}`)}
  ${['l', 'a']
    .map((name) =>
      parts.reduce(
        parts.rowsOf((i) => `${name}${i}`),
        (a, b) => `${a} + ${b}`,
      ),
    )
    .join('\n  ')}
  if (tx == 0u) {
    ${parts.rowsOf((i) => `if (firstRow + ${parts.row(i)} <= lastRow) { stats[statsIndex(batch, head, firstRow + ${parts.row(i)})] = select(vec2<f32>(m${i} + log2(l${i}), a${i} / l${i}), vec2<f32>(${NO_KEYS}, 0.0), l${i} == 0.0); }`).join('\n    ')}
  }`;
  }
  return `${begin}
  ${parts.rowsOf((i) => `let stat${i} = stats[statsIndex(batch, head, min(firstRow + ${parts.row(i)}, lastRow))]; ${unroll(parts.outGroups, (g) => `var o${i}_${g} = vec4<f32>(0.0);`, ' ')}`).join('\n  ')}
${loop(`${columns((j) => parts.rowsOf((i) => `{ let x = logit(s${i}_${j}); s${i}_${j} = select(0.0, probability(x.x, stat${i}.x) * (d${i}_${j} - stat${i}.y) * x.y, attends(entry, range${i})); }`).join(' '))}
    ${parts.rowsOf((i) => parts.putWeights(i, `vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3)`)).join('\n    ')}
    ${parts.accumulate(slot('k'), ALWAYS)}`)}
  ${addHiddenKeys(parts, (c) => keyOf('k', 'entry', c))}
  ${parts.rowsOf((i) => `if (firstRow + ${parts.row(i)} <= lastRow) { let at = rowBase + (firstRow + ${parts.row(i)} - params.rowFirst) * params.rowStride; ${unroll(parts.outGroups, (g) => `if (${parts.inside(g)}) { out[at + ${g * COLUMNS}u + tx] = ${packVec4(access, `o${i}_${g}`)}; }`, ' ')} }`).join('\n  ')}`;
}

/** A tile of keys over the rows that may see it: `key` and `value`. */
function keyPass(kernel: GradientKernel, parts: TileParts): string {
  const { access, rows, pass, sparse } = kernel;
  const key = (name: 'k' | 'v'): VectorSource => ({
    load: (r, c) => unpackVec4(access, `${name}[keyBase + (firstKey + ${r}) * params.keyStride + ${c}]`),
    valid: (r) => `firstKey + ${r} < params.keys`,
  });
  const query = (name: 'q' | 'g'): VectorSource => ({
    load: (n, c) => unpackVec4(access, `${name}[rowBase + (firstRow + ${n}) * params.rowStride + ${c}]`),
    valid: (n) => `firstRow + ${n} < rowLimit`,
  });
  const summed = query(pass === 'key' ? 'q' : 'g');
  const weight = (i: number, j: number): string =>
    pass === 'value'
      ? `probability(logit(s${i}_${j}).x, stat.x)`
      : `probability(logit(s${i}_${j}).x, stat.x) * (d${i}_${j} - stat.y) * logit(s${i}_${j}).y`;
  const sees = (i: number): string =>
    sparse
      ? `((key${i} >= range.windowStart) | (key${i} < params.sink) | (selected[${parts.row(i)}] == 1u))`
      : `(key${i} >= range.windowStart)`;
  const tile = `for (var firstRow = blockFirst; firstRow < rowLimit; firstRow += ${TILE_KEYS}u) {
        for (var index = thread; index < ${TILE_KEYS}u; index += ${parts.threads}u) { columnStats[index] = stats[statsIndex(batch, head, min(firstRow + index, rowLimit - 1u))]; }
        ${parts.product('s', key('k'), query('q'))}
        ${pass === 'key' ? parts.product('d', key('v'), query('g')) : ''}
        ${unroll(
          4,
          (
            j,
          ) => `{ let row = firstRow + 4u * tx + ${j}u; let range = rowRange(row); let stat = columnStats[4u * tx + ${j}u];
        ${parts.rowsOf((i) => `s${i}_${j} = select(0.0, ${weight(i, j)}, (row < rowLimit) & (key${i} < range.visible) & ${sees(i)});`).join(' ')} }`,
          '\n        ',
        )}
        ${parts.rowsOf((i) => parts.putWeights(i, `vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3)`)).join('\n        ')}
        ${parts.accumulate(summed, ALWAYS)}
        ${parts.addHidden(
          (body) =>
            `for (var n = 0u; n < min(${TILE_KEYS}u, rowLimit - firstRow); n++) { let range = rowRange(firstRow + n); ${body} }`,
          (c) => summed.load('n', c),
          (i) => `((key${i} < range.visible) & ${sees(i)})`,
        )}
        workgroupBarrier();
      }`;
  const selection = `let cell = ((params.batchFirst + batch) * params.maskHeads + select(params.headFirst + head, 0u, params.maskHeads == 1u)) * params.queryBlocks + block;
      let count = min(u32(max(counts[cell], 0)), params.capacity);
      for (var index = thread; index < ${rows}u; index += ${parts.threads}u) {
        let key = i32(firstKey + index);
        var low = 0u; var high = count;
        while (low < high) { let middle = (low + high) / 2u; if (starts[cell * params.capacity + middle] <= key) { low = middle + 1u; } else { high = middle; } }
        var inside = 0u;
        if (low > 0u) { inside = select(0u, 1u, key < starts[cell * params.capacity + low - 1u] + i32(params.blockK)); }
        selected[index] = inside;
        if (inside == 1u) { atomicStore(&found, h * params.queryBlocks + block + 1u); }
      }
      let hit = workgroupUniformLoad(&found) == h * params.queryBlocks + block + 1u;`;
  return `  let firstKey = group.x * ${rows}u;
  let lastKey = min(firstKey + ${rows}u, params.keys) - 1u;
  let batch = group.z;
  let keyBase = batch * params.keyBatchStride + group.y * params.keyHeadStride;
  ${parts.rowsOf((i) => `let key${i} = firstKey + ${parts.row(i)}; ${unroll(parts.outGroups, (g) => `var o${i}_${g} = vec4<f32>(0.0);`, ' ')}`).join('\n  ')}
  let blocks = (params.queries + params.blockQ - 1u) / params.blockQ;
  // Rows before this one see no key of the tile.
  let firstBlock = select(0u, u32(clamp(i32(firstKey) - params.shift, 0, i32(params.queries))) / params.blockQ, params.causal == 1u);
  for (var h = 0u; h < params.group; h++) {
    let head = group.y * params.group + h;
    let rowBase = batch * params.batchStride + (params.headFirst + head) * params.headStride;
    for (var block = firstBlock; block < blocks; block++) {
      let blockFirst = block * params.blockQ;
      let rowLimit = min(blockFirst + params.blockQ, params.queries);
      ${sparse ? selection : ''}
      let touched = (firstKey < rowRange(rowLimit - 1u).visible) & (${sparse ? 'hit | (firstKey < params.sink) | ' : ''}(lastKey >= rowRange(blockFirst).windowStart));
      if (touched) {
      ${tile}
      }
    }
  }
  ${parts.rowsOf((i) => `if (key${i} <= lastKey) { let at = keyBase + key${i} * params.keyStride; ${unroll(parts.outGroups, (g) => `if (${parts.inside(g)}) { out[at + ${g * COLUMNS}u + tx] = ${packVec4(access, `o${i}_${g}`)}; }`, ' ')} }`).join('\n  ')}`;
}

/** The module of one pass. */
export function gradientCode(kernel: GradientKernel): string {
  const parts = new TileParts(kernel);
  if (kernel.pass === 'rows' || kernel.pass === 'query') {
    return gradientModule(kernel, parts, rowPass(kernel, parts), `var<workgroup> entries: array<u32, ${TILE_KEYS}>;`);
  }
  const shared = `var<workgroup> columnStats: array<vec2<f32>, ${TILE_KEYS}>;
${kernel.sparse ? `var<workgroup> selected: array<u32, ${kernel.rows}>;\n// Head and query block (counted from 1) in which a key of the tile was last selected.\nvar<workgroup> found: atomic<u32>;` : ''}`;
  return gradientModule(kernel, parts, keyPass(kernel, parts), shared);
}
