// WGSL of the tiled kernel for devices without matrix units: f32 arithmetic in registers, tiles staged in workgroup memory.
import { capFunction, HEADROOM } from '../code/softmax.ts';
import { enables, packVec4, storageFunctions, unpackVec4, vec4Type } from '../code/storage.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import type { StorageAccess } from '../device/features.ts';
import { CARRY_FUNCTIONS, carryBindings, type Carry } from './carry.ts';
import { keySetFunctions } from './key-sets.ts';
import { attentionParams } from './params.ts';
import { meanAt } from '../remainder/stored-means.ts';
import { enterPseudo, meanGroup, pseudoBindings, PSEUDO_PLACE } from './pseudo-slots.ts';
import { COLUMNS, TILE_KEYS, TileParts, type TileSizes, type VectorSource } from './tile-parts.ts';

/** What stands for minus infinity: finite, so that differences of two are no NaN. */
export const NEVER = '-1e30';

export interface TileKernel extends TileSizes {
  readonly query: StorageAccess;
  readonly key: StorageAccess;
  readonly sparse: boolean;
  readonly carry: Carry;
  /** Whether rows attend to pseudo-keys besides keys, or to nothing else. @defaultValue 'none' */
  readonly remainder?: 'none' | 'besides' | 'alone' | undefined;
}

/** `capped(score)` of the attention kernels. */
export const CAPPED = capFunction('params.cap', '15.0');

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

/** {@link TileParts.addHidden} for the slots of a row tile; expects `sets` and `range0` …. */
export function addHiddenKeys(parts: TileParts, load: (c: string) => string): string {
  return parts.addHidden(
    (body) =>
      `for (var slot = 0u; slot < sets.slots; slot++) {\n    let entry = slotEntry(sets, slot);\n    ${body}\n    }`,
    load,
    (i) => `attends(entry, range${i})`,
  );
}

/** The module. */
export function tileKernelCode(kernel: TileKernel): string {
  const { query, key, carry, rows, shuffle, remainder = 'none' } = kernel;
  const alone = remainder === 'alone';
  const sparse = kernel.sparse && !alone;
  const parts = new TileParts(kernel);
  const { groups, outGroups, threads } = parts;
  const resident = parts.chunks === 1;
  const queries: VectorSource = {
    load: (r, c) => unpackVec4(query, `q[rowBase + (firstRow + ${r} - params.rowFirst) * params.rowStride + ${c}]`),
    valid: (r) => `firstRow + ${r} <= lastRow`,
  };
  const keyOf = (name: 'k' | 'v', entry: string, c: string): string =>
    unpackVec4(key, `${name}[keyBase + ((${entry} & 0x3fffffffu) - params.keyFirst) * params.keyStride + ${c}]`);
  const slots = (name: 'k' | 'v'): VectorSource => ({ load: (n, c) => keyOf(name, `entries[${n}]`, c) });
  const all = (f: (i: number, j: number) => string): string =>
    parts.rowsOf((i) => unroll(4, (j) => f(i, j), ' ')).join('\n      ');
  const weights = parts
    .rowsOf(
      (i) => `{ let old = m${i}; m${i} = max(old, t${i} + ${HEADROOM});
      let shrink = exp2(old - m${i});
      ${unroll(4, (j) => `s${i}_${j} = select(exp2(s${i}_${j} - m${i}), 0.0, s${i}_${j} <= ${NEVER});`, ' ')}
      l${i} = l${i} * shrink + s${i}_0 + s${i}_1 + s${i}_2 + s${i}_3;
      ${unroll(outGroups, (g) => `o${i}_${g} *= shrink;`, ' ')}
      ${parts.putWeights(i, `vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3)`)} }`,
    )
    .join('\n    ');
  const carriedAt = (i: number, g: number): string => `carriedOut[at${i} * ${groups}u + ${g * COLUMNS}u + tx]`;
  const finish = parts
    .rowsOf((i) => {
      const store = carry.out
        ? `let at${i} = carriedIndex(batch, head, firstRow + ${parts.row(i)});
      if (tx == 0u) { carriedRows[at${i}] = vec2<f32>(m${i}, l${i}); }
      ${unroll(outGroups, (g) => `if (${parts.inside(g)}) { ${carriedAt(i, g)} = o${i}_${g}; }`)}`
        : `let inverse = select(1.0 / l${i}, 0.0, l${i} == 0.0);
      let at = rowBase + (firstRow + ${parts.row(i)} - params.rowFirst) * params.rowStride;
      ${unroll(outGroups, (g) => `if (${parts.inside(g)}) { out[at + ${g * COLUMNS}u + tx] = ${packVec4(query, `o${i}_${g} * inverse`, true)}; }`)}`;
      return `if (firstRow + ${parts.row(i)} <= lastRow) {\n      ${store}\n    }`;
    })
    .join('\n    ');
  const resume = parts
    .rowsOf(
      (i) => `if (firstRow + ${parts.row(i)} <= lastRow) {
    let at${i} = carriedIndex(batch, head, firstRow + ${parts.row(i)});
    m${i} = carriedRows[at${i}].x; l${i} = select(0.0, carriedRows[at${i}].y, tx == 0u);
    ${unroll(outGroups, (g) => `if (${parts.inside(g)}) { o${i}_${g} = ${carriedAt(i, g)}; }`)}
  }`,
    )
    .join('\n  ');
  /** A tile of columns: their products, what becomes of the scores, their values. */
  const step = (columns: VectorSource, finished: string, values: VectorSource, mayHide: string): string => `${
    resident
      ? `${parts.zeros('s')}
    ${parts.stageColumns(columns, '0u', true)}
    workgroupBarrier();
    ${parts.dots('s')}`
      : parts.product('s', queries, columns)
  }
    ${all((i, j) => `s${i}_${j} *= params.scale;`)}
    if (params.cap > 0.0) {
      ${all((i, j) => `s${i}_${j} = capped(s${i}_${j});`)}
    }
    ${finished}
    ${parts.rowsOf((i) => `var t${i} = max(max(s${i}_0, s${i}_1), max(s${i}_2, s${i}_3));`).join(' ')}
    ${parts.reduce(
      parts.rowsOf((i) => `t${i}`),
      (a, b) => `max(${a}, ${b})`,
    )}
    ${weights}
    ${parts.accumulate(values, { mayHide })}`;
  const masked = `let edge = !attendsAll(entries[0], entries[${TILE_KEYS - 1}], firstRange, lastRange);
    if (edge) {
      ${unroll(4, (j) => `{ let entry = entries[4u * tx + ${j}u]; ${parts.rowsOf((i) => `s${i}_${j} = select(${NEVER}, s${i}_${j}, attends(entry, range${i}));`).join(' ')} }`, '\n      ')}
    }`;
  const keyTiles = `for (var slot = 0u; slot < sets.slots; slot += ${TILE_KEYS}u) {
    workgroupBarrier();
    for (var index = thread; index < ${TILE_KEYS}u; index += ${threads}u) { entries[index] = slotEntry(sets, slot + index); }
    workgroupBarrier();
    ${step(slots('k'), masked, slots('v'), 'edge')}
  }
  ${addHiddenKeys(parts, (c) => keyOf('v', 'entry', c))}`;
  const meansOf = (side: 'k' | 'v'): VectorSource => ({ load: (n, c) => meanGroup(side, `entries[${n}]`, c, groups) });
  const raised = unroll(
    4,
    (j) =>
      `{ let bias = biases[4u * tx + ${j}u]; ${parts.rowsOf((i) => `s${i}_${j} = select(${NEVER}, s${i}_${j} + bias, bias > ${NEVER});`).join(' ')} }`,
    '\n    ',
  );
  const pseudoTiles = `${PSEUDO_PLACE}
  for (var slot = 0u; slot < pseudoCount; slot += ${TILE_KEYS}u) {
    workgroupBarrier();
    for (var index = thread; index < ${TILE_KEYS}u; index += ${threads}u) ${enterPseudo('index', 'slot + index', NEVER)}
    workgroupBarrier();
    ${step(meansOf('k'), raised, meansOf('v'), 'false')}
  }`;
  const access = [query, key];
  const storedAs = key === 'f32' ? 'f32' : 'f16';
  return wgsl(
    enables({ access, subgroups: shuffle > 1 }),
    attentionParams.declaration,
    bindings([
      'var<uniform> params: Params',
      `var<storage, read> q: array<${vec4Type(query)}>`,
      ...(alone
        ? []
        : [`var<storage, read> k: array<${vec4Type(key)}>`, `var<storage, read> v: array<${vec4Type(key)}>`]),
      ...(sparse ? ['var<storage, read> starts: array<i32>', 'var<storage, read> counts: array<i32>'] : []),
      ...(carry.out ? [] : [`var<storage, read_write> out: array<${vec4Type(query)}>`]),
      ...carryBindings(carry),
      ...(remainder === 'none' ? [] : pseudoBindings(storedAs)),
    ]),
    storageFunctions(access),
    remainder === 'none' ? '' : meanAt(storedAs),
    alone ? '' : keySetFunctions({ sparse }),
    CAPPED,
    carry.in || carry.out ? CARRY_FUNCTIONS : '',
    parts.declarations,
    `var<workgroup> entries: array<u32, ${TILE_KEYS}>;`,
    remainder === 'none' ? '' : `var<workgroup> biases: array<f32, ${TILE_KEYS}>;`,
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${COLUMNS}u;
  let ty = thread / ${COLUMNS}u;
  ${placeRows(rows)}
  ${
    alone
      ? ''
      : `let sets = keySets(batch + params.batchFirst, head, block, firstRow, lastRow);
  let firstRange = rowRange(firstRow);
  let lastRange = rowRange(lastRow);
  ${parts.rowsOf((i) => `let range${i} = rowRange(firstRow + ${parts.row(i)});`).join(' ')}`
  }
  ${parts.rowsOf((i) => `var m${i} = ${NEVER}; var l${i} = 0.0; ${unroll(outGroups, (g) => `var o${i}_${g} = vec4<f32>(0.0);`, ' ')}`).join('\n  ')}
  ${carry.in ? resume : ''}
  ${resident ? parts.stageRows(queries, '0u') : ''}
  ${alone ? '' : keyTiles}
  ${remainder === 'none' ? '' : pseudoTiles}
  ${parts.reduce(
    parts.rowsOf((i) => `l${i}`),
    (a, b) => `${a} + ${b}`,
  )}
  ${finish}
}`,
  );
}
