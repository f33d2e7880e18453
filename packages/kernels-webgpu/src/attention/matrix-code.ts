// WGSL of the kernel for devices with 16×16×16 matrix units: f16 factors, f32 accumulators, softmax through workgroup memory.
import { HALF_FUNCTIONS, isNaNumber, notFinite } from '../code/finite.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import { keySetFunctions } from './key-sets.ts';
import { nativeMatrices, type MatrixBuffer, type MatrixDialect } from './matrix-dialect.ts';
import { FINITE_HALVES, meanOctets, stagedStride, stagingCode, transposedStride } from './matrix-staging.ts';
import { attentionParams } from './params.ts';
import { enterPseudo, pseudoBindings, PSEUDO_PLACE } from './pseudo-slots.ts';
import { CAPPED, NEVER, placeRows } from './tile-code.ts';
import { MATRIX, type MatrixVariant } from './variants.ts';

export interface MatrixKernel extends Omit<MatrixVariant, 'kind'> {
  readonly headDim: number;
  readonly sparse: boolean;
  readonly softcap: boolean;
  /** Rows attend to pseudo-keys besides keys, in tiles behind those of the keys. @defaultValue false */
  readonly remainder?: boolean | undefined;
}

/**
 * The running maximum is raised only when a score exceeds it by more than this (base 2): accumulators cannot be scaled in
 * registers, so raising it sends them through workgroup memory. Weights stay below 2^8, far inside f16.
 */
const SLACK = '8.0';
/** exp2 of anything lower is 0; of far lower it is undefined on some devices. */
const LOWEST = '-150.0';

/**
 * The module. Per tile of keys: scores = q·kᵀ (matrices) → workgroup memory → softmax by lanes, whose row is theirs →
 * weights as f16 in workgroup memory → output += weights·v (matrices). Six barriers a tile.
 *
 * A weight of 0 does not keep NaN or infinity out of a sum: in tiles with keys that some row may not see, such values are staged as
 * 0, and the rows that see them get them at the end.
 */
export function matrixKernelCode(kernel: MatrixKernel, dialect: MatrixDialect = nativeMatrices()): string {
  const {
    headDim,
    sparse,
    softcap,
    subgroups,
    lanes,
    keys,
    prefetch,
    transposeValues = false,
    reloadQueries = false,
    rowMatrices = 1,
    spareBytes = 0,
    speculate = false,
    remainder = false,
  } = kernel;
  const threads = subgroups * lanes;
  /** Rows of a subgroup, and the matrices they make. */
  const subgroupRows = MATRIX * rowMatrices;
  const matrices = Array.from({ length: rowMatrices }, (_, a) => a);
  const rows = subgroupRows * subgroups;
  const steps = headDim / MATRIX;
  const keyMatrices = keys / MATRIX;
  /** Lanes that share a row of scores, or rows a lane owns. */
  const rowLanes = Math.max(1, lanes / MATRIX);
  const laneRows = Math.max(1, MATRIX / lanes);
  /** Pairs of scores a lane holds of one row. */
  const pairs = keys / 2 / rowLanes;
  const tileStride = stagedStride(headDim);
  const scoreStride = keys / 2 + 2;
  const weightStride = keys / 2 + 4;
  /** Rows of a lane, from its first. */
  const own = matrices.flatMap((a) => Array.from({ length: laneRows }, (_, i) => a * MATRIX + i));
  const buffer = (name: string, element: MatrixBuffer['element']): MatrixBuffer => ({ name, element });
  const q = buffer('q', 'vec4<u32>');
  const tile = buffer('staged', 'vec4<u32>');
  const scores = buffer('scores', 'vec2<f32>');
  const weights = buffer('weights', 'u32');

  const { fetch, put, stage, fetchPairs, putPairs, hide, heldVectors, stagedVectors } = stagingCode({
    headDim,
    keys,
    threads,
    transposeValues,
    remainder,
  });
  const valueStride = transposedStride(keys);
  const queryMatrix = (step: number): string =>
    matrices
      .map(
        (a) =>
          `let q${a}_${step} = ${dialect.load('left', q, `queryBase + ${a === 0 ? '' : `${(a * MATRIX) / 2}u * params.rowStride + `}${step * 2}u`, 'params.rowStride / 2u', 'row_major')};`,
      )
      .join('\n  ');
  /** The products of one right matrix with the left one of each row matrix; it is loaded once. */
  const products = (right: string, name: string, left: (a: number) => string, sum: (a: number) => string): string =>
    rowMatrices === 1
      ? `${sum(0)} = ${dialect.multiplyAdd(left(0), right, sum(0))};`
      : `let ${name} = ${right}; ${matrices.map((a) => `${sum(a)} = ${dialect.multiplyAdd(left(a), name, sum(a))};`).join(' ')}`;

  const keyMatrix = (n: number, step: number): string =>
    dialect.load('right', tile, `${n * MATRIX * tileStride + step * 2}u`, `${tileStride}u`, 'col_major');
  const valueMatrix = (n: number, step: number): string =>
    transposeValues
      ? dialect.load('right', tile, `${step * MATRIX * valueStride + n * 2}u`, `${valueStride}u`, 'col_major')
      : dialect.load('right', tile, `${n * MATRIX * tileStride + step * 2}u`, `${tileStride}u`, 'row_major');

  const score = (i: number, c: number): string => `x${i}_${c}`;
  const all = (f: (i: number, c: number) => string): string =>
    own.map((i) => unroll(pairs, (c) => f(i, c), ' ')).join('\n    ');
  const scoreAt = (i: number, c: number): string => `scores[scoreBase + ${i * scoreStride + c * rowLanes}u]`;
  const shuffleSteps = Array.from({ length: Math.log2(rowLanes) }, (_, i) => 2 ** i);
  const overRow = (name: string, combine: (other: string) => string): string =>
    shuffleSteps.map((step) => `${name} = ${combine(`subgroupShuffleXor(${name}, ${step}u)`)};`).join(' ');
  /** Sends the accumulators through workgroup memory, `keys` columns at a time. */
  const throughMemory = (visit: (i: number, c: number, column: number) => string, reload: boolean): string =>
    unroll(
      Math.ceil(steps / keyMatrices),
      (part) => {
        const here = Array.from({ length: Math.min(keyMatrices, steps - part * keyMatrices) }, (_, n) => n);
        const columns = (here.length * MATRIX) / 2 / rowLanes;
        return `${matrices.flatMap((a) => here.map((n) => dialect.store(scores, `matrixBase + ${a * MATRIX * scoreStride + n * 8}u`, `o${a}_${part * keyMatrices + n}`, `${scoreStride}u`))).join('\n      ')}
      workgroupBarrier();
      ${own.map((i) => unroll(columns, (c) => visit(i, c, (part * keys) / 2 + c * rowLanes), ' ')).join('\n      ')}
      workgroupBarrier();
      ${reload ? matrices.flatMap((a) => here.map((n) => `o${a}_${part * keyMatrices + n} = ${dialect.load('result', scores, `matrixBase + ${a * MATRIX * scoreStride + n * 8}u`, `${scoreStride}u`, 'row_major')};`)).join('\n      ') + '\n      workgroupBarrier();' : ''}`;
      },
      '\n      ',
    );

  /** Slot `place` of the entries, for slot `index` of tile `tile`. */
  const enter = (at: string, tile: string): string => {
    const key = `entries[${at}] = slotEntry(sets, ${tile === '0u' ? 'index' : `(${tile}) * ${keys}u + index`});`;
    if (!remainder) return key;
    const pseudoIndex = `(${tile} - keyTiles) * ${keys}u + index`;
    return `if (${tile} < keyTiles) { ${key} } else ${enterPseudo(at, pseudoIndex, NEVER)}`;
  };
  /** The logarithms of how many keys a pseudo-key stands for; those past the last have no weight. */
  const raised = unroll(
    pairs,
    (c) =>
      `{ let bias = vec2<f32>(biases[parity + 2u * (${c * rowLanes}u + part)], biases[parity + 2u * (${c * rowLanes}u + part) + 1u]); ${own.map((i) => `${score(i, c)} = select(vec2<f32>(${NEVER}), ${score(i, c)} + bias, bias > vec2<f32>(${NEVER}));`).join(' ')} }`,
    '\n      ',
  );
  /** Weights of a tile, into workgroup memory, and their sums. */
  const weigh = `{ ${own.map((i) => `let base${i} = select(m${i}, 0.0, m${i} <= ${NEVER});`).join(' ')}
    ${all((i, c) => `let y${i}_${c} = weight(${score(i, c)} - base${i}); added${i} += y${i}_${c}.x + y${i}_${c}.y; seen${i} += ${score(i, c)}.x + ${score(i, c)}.y; weights[weightBase + ${i * weightStride + c * rowLanes}u] = pack2x16float(y${i}_${c});`)} }`;

  const body = `
    let parity = (tileIndex & 1u) * ${keys}u;
    ${remainder ? 'let ofMeans = tileIndex >= keyTiles;\n    ' : ''}let edge = ${remainder ? '!ofMeans && ' : ''}!attendsAll(entries[parity], entries[parity + ${keys - 1}u], firstRange, lastRange);
    ${prefetch ? (transposeValues ? fetchPairs : fetch('v', 'parity', 'ofMeans')) : `${stage('k', 'parity')}\n    workgroupBarrier();`}
    ${matrices.map((a) => unroll(keyMatrices, (n) => dialect.zero(`s${a}_${n}`), ' ')).join(' ')}
    ${unroll(
      steps,
      (step) =>
        `${reloadQueries ? queryMatrix(step) : ''}\n    ${unroll(
          keyMatrices,
          (n) =>
            products(
              keyMatrix(n, step),
              `right${step}_${n}`,
              (a) => `q${a}_${step}`,
              (a) => `s${a}_${n}`,
            ),
          '\n    ',
        )}`,
      '\n    ',
    )}
    ${matrices.map((a) => unroll(keyMatrices, (n) => dialect.store(scores, `matrixBase + ${a * MATRIX * scoreStride + n * 8}u`, `s${a}_${n}`, `${scoreStride}u`), '\n    ')).join('\n    ')}
    workgroupBarrier();
    ${prefetch ? `if (edge) { ${hide} }\n    ${transposeValues ? putPairs : put}` : stage('v', 'parity', 'edge')}
    for (var index = thread; index < ${keys}u; index += ${threads}u) { ${enter(`${keys}u - parity + index`, 'tileIndex + 1u')} }
    ${all((i, c) => `var ${score(i, c)} = ${scoreAt(i, c)} * params.scale;`)}
    ${softcap ? all((i, c) => `${score(i, c)} = vec2<f32>(capped(${score(i, c)}.x), capped(${score(i, c)}.y));`) : ''}
    ${remainder ? `if (ofMeans) {\n      ${raised}\n    }` : ''}
    if (edge) {
      ${unroll(pairs, (c) => `{ let left = entries[parity + 2u * (${c * rowLanes}u + part)]; let right = entries[parity + 2u * (${c * rowLanes}u + part) + 1u]; ${own.map((i) => `${score(i, c)} = select(vec2<f32>(${NEVER}), ${score(i, c)}, vec2<bool>(attends(left, range${i}), attends(right, range${i})));`).join(' ')} }`, '\n      ')}
    }
    ${own
      .map(
        (
          i,
        ) => `var top${i} = ${Array.from({ length: pairs }, (_, c) => score(i, c)).reduce((a, b) => `max(${a}, ${b})`)};
    var most${i} = max(top${i}.x, top${i}.y); ${overRow(`most${i}`, (other) => `max(most${i}, ${other})`)}
    most${i} = max(most${i}, m${i});`,
      )
      .join('\n    ')}
    ${speculate ? `${own.map((i) => `var added${i} = 0.0;`).join(' ')}\n    ${weigh}` : ''}
    if (${own.map((i) => `most${i} > m${i} + ${SLACK}`).join(' || ')}) { atomicStore(&raised, tileIndex + 1u); }
    let raise = workgroupUniformLoad(&raised) == tileIndex + 1u;
    ${prefetch ? `if (tileIndex + 1u < tileCount) {\n    ${fetch('k', `${keys}u - parity`, 'tileIndex + 1u >= keyTiles')}\n    }` : ''}
    // Each row for itself: what one row sees must not change how its neighbours are rounded.
    if (raise) {
      ${own.map((i) => `let high${i} = most${i} > m${i} + ${SLACK}; let factor${i} = select(1.0, exp2(max(m${i} - most${i}, ${LOWEST})), high${i}); m${i} = select(m${i}, most${i}, high${i}); l${i} *= factor${i};`).join(' ')}
      if (tileIndex > 0u) {
      ${throughMemory((i, c) => `scores[scoreBase + ${i * scoreStride + c * rowLanes}u] *= factor${i};`, true)}
      }
      ${speculate ? `${own.map((i) => `added${i} = 0.0;`).join(' ')}\n    ${weigh}\n    workgroupBarrier();` : ''}
    }
    ${speculate ? '' : `${own.map((i) => `var added${i} = 0.0;`).join(' ')}\n    ${weigh}\n    workgroupBarrier();`}
    ${own.map((i) => `l${i} += added${i};`).join(' ')}
    ${unroll(
      keyMatrices,
      (
        n,
      ) => `${matrices.map((a) => `let p${a}_${n} = ${dialect.load('left', weights, `weightMatrix + ${a * MATRIX * weightStride + n * 8}u`, `${weightStride}u`, 'row_major')};`).join(' ')}
    ${unroll(
      steps,
      (step) =>
        products(
          valueMatrix(n, step),
          `value${step}_${n}`,
          (a) => `p${a}_${n}`,
          (a) => `o${a}_${step}`,
        ),
      '\n    ',
    )}`,
      '\n    ',
    )}
    workgroupBarrier();
    ${prefetch ? `if (tileIndex + 1u < tileCount) {\n    ${put}\n    }\n    workgroupBarrier();` : ''}`;

  /** Each lane adds to what it has written itself: its rows' hidden values, a pair of columns at a time. */
  const addHidden = `if (atomicLoad(&hidden) != 0u) {
    for (var pair = part; pair < ${headDim / 2}u; pair += ${rowLanes}u) {
      ${own.map((i) => `if (valid${i}) { let at = outBase${i} + pair - part; out[at] = with_hidden(out[at], sets, range${i}, keyBase, pair); }`).join('\n      ')}
    }
  }`;

  const main = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
  ${spareBytes > 0 ? '// Never true: it keeps the spare memory.\n  if (params.heads == 0u) { spare[thread] = 1u; }' : ''}
  ${placeRows(rows)}
  let sets = keySets(batch + params.batchFirst, head, block, firstRow, lastRow);
  let firstRange = rowRange(firstRow);
  let lastRange = rowRange(lastRow);
  // Matrices of rows never reach past the last row; where they would, they start earlier and repeat rows of a neighbour.
  let wanted = firstRow + subgroup * ${subgroupRows}u;
  let matrixRow = min(wanted, params.rowEnd - ${subgroupRows}u);
  let part = lane % ${rowLanes}u;
  let ownRow = lane / ${rowLanes}u * ${laneRows}u;
  let matrixBase = subgroup * ${subgroupRows * scoreStride}u;
  let scoreBase = matrixBase + ownRow * ${scoreStride}u + part;
  let weightMatrix = subgroup * ${subgroupRows * weightStride}u;
  let weightBase = weightMatrix + ownRow * ${weightStride}u + part;
  ${own.map((i) => `let range${i} = rowRange(matrixRow + ownRow + ${i}u); var m${i} = ${NEVER}; var l${i} = 0.0; var seen${i} = 0.0;`).join('\n  ')}
  let queryBase = (rowBase + (matrixRow - params.rowFirst) * params.rowStride) / 2u;
  ${reloadQueries ? '' : unroll(steps, queryMatrix, '\n  ')}
  ${matrices.map((a) => unroll(steps, (step) => dialect.zero(`o${a}_${step}`), ' ')).join(' ')}
  ${prefetch ? unroll(heldVectors, (i) => `var held${i}: vec4<u32>;`, ' ') : ''}
  ${
    remainder
      ? `let keyTiles = (sets.slots + ${keys - 1}u) / ${keys}u;
  ${PSEUDO_PLACE}
  let tileCount = keyTiles + (pseudoCount + ${keys - 1}u) / ${keys}u;`
      : `let tileCount = (sets.slots + ${keys - 1}u) / ${keys}u;`
  }
  for (var index = thread; index < ${keys}u; index += ${threads}u) { ${enter('index', '0u')} }
  workgroupBarrier();
  ${prefetch ? `${fetch('k', '0u', 'keyTiles == 0u')}\n  ${put}\n  workgroupBarrier();` : ''}
  for (var tileIndex = 0u; tileIndex < tileCount; tileIndex++) {${body}
  }
  ${own.map((i) => `${overRow(`l${i}`, (other) => `l${i} + ${other}`)} ${overRow(`seen${i}`, (other) => `seen${i} + ${other}`)} let inverse${i} = select(select(1.0 / l${i}, 0.0, l${i} == 0.0), seen${i}, ${isNaNumber(`seen${i}`)});`).join('\n  ')}
  ${own
    .map(
      (i) => `let row${i} = matrixRow + ownRow + ${i}u; let valid${i} = row${i} >= wanted && row${i} <= lastRow;
  let outBase${i} = (rowBase + (row${i} - params.rowFirst) * params.rowStride) * 2u + part;`,
    )
    .join('\n  ')}
  workgroupBarrier();
  ${throughMemory((i, c, column) => `if (valid${i}) { out[outBase${i} + ${column}u] = pack_means(scores[scoreBase + ${i * scoreStride + c * rowLanes}u] * inverse${i}); }`, false)}
  ${addHidden}
}`;
  return wgsl(
    dialect.header,
    attentionParams.declaration,
    bindings([
      'var<uniform> params: Params',
      'var<storage, read> q: array<vec4<u32>>',
      'var<storage, read> k: array<vec4<u32>>',
      'var<storage, read> v: array<vec4<u32>>',
      ...(sparse ? ['var<storage, read> starts: array<i32>', 'var<storage, read> counts: array<i32>'] : []),
      'var<storage, read_write> out: array<u32>',
      ...(remainder ? pseudoBindings('f16') : []),
    ]),
    keySetFunctions({ sparse }),
    HALF_FUNCTIONS,
    softcap && CAPPED,
    `var<workgroup> staged: array<vec4<u32>, ${stagedVectors}>;`,
    spareBytes > 0 ? `var<workgroup> spare: array<u32, ${spareBytes / 4}>;` : '',
    `var<workgroup> scores: array<vec2<f32>, ${rows * scoreStride}>;
var<workgroup> weights: array<u32, ${rows * weightStride}>;
var<workgroup> entries: array<u32, ${2 * keys}>;
${remainder ? `var<workgroup> biases: array<f32, ${2 * keys}>;\n` : ''}// The last tile (counted from 1) in which some row's maximum rose.
var<workgroup> raised: atomic<u32>;
// Some value was staged as 0 because it is not finite.
var<workgroup> hidden: atomic<u32>;
${FINITE_HALVES}
// Some compilers make this max, and max a number of NaN: rows that see NaN are told by the sum of their scores.
fn weight(x: vec2<f32>) -> vec2<f32> { return exp2(select(x, vec2<f32>(${LOWEST}), x < vec2<f32>(${LOWEST}))); }
// Two columns of a row's output, and the values that are not finite among those the row sees.
fn with_hidden(halves: u32, sets: KeySets, range: RowRange, keyBase: u32, pair: u32) -> u32 {
  var sum = unpack2x16float(halves);
  var found = false;
  for (var slot = 0u; slot < sets.slots; slot++) {
    let entry = slotEntry(sets, slot);
    let octet = v[(keyBase + ((entry & 0x3fffffffu) - params.keyFirst) * params.keyStride) / 2u + pair / 4u];
    let value = unpack2x16float(octet[pair % 4u]);
    let odd = ${notFinite('value', 2)} & vec2<bool>(attends(entry, range));
    sum = select(sum, sum + value, odd);
    found |= any(odd);
  }
  return select(halves, pack_means(sum), found);
}`,
    remainder && meanOctets(headDim),
    dialect.functions(),
    main,
  );
}
