// WGSL of the gradients by way of pseudo-keys: what they add to the row statistics and to dq, and the gradients of their means.
import { unpackVec4, packVec4 } from '../code/storage.ts';
import { unroll } from '../code/wgsl.ts';
import { ALWAYS, gradientModule, NO_KEYS, type GradientKernel } from './gradient-code.ts';
import { enterPseudo, meanGroup, PSEUDO_PLACE } from './pseudo-slots.ts';
import { NEVER, placeRows } from './tile-code.ts';
import { COLUMNS, TILE_KEYS, TileParts, type VectorSource } from './tile-parts.ts';

/** Condition: a column of this bias is a pseudo-key of the cell. */
const THERE = (bias: string): string => `(${bias} > ${NEVER})`;

/** A row tile over its pseudo-keys, after the pass over its keys, whose results it continues: `rows` and `query`. */
function rowPass(kernel: GradientKernel, parts: TileParts): string {
  const { access, rows, pass } = kernel;
  const row = (name: 'q' | 'g'): VectorSource => ({
    load: (r, c) =>
      unpackVec4(access, `${name}[rowBase + (firstRow + ${r} - params.rowFirst) * params.rowStride + ${c}]`),
    valid: (r) => `firstRow + ${r} <= lastRow`,
  });
  const mean = (side: 'k' | 'v'): VectorSource => ({
    load: (n, c) => meanGroup(side, `entries[${n}]`, c, parts.groups),
  });
  const begin = `  ${placeRows(rows)}
  ${PSEUDO_PLACE}
  ${parts.rowsOf((i) => `let stat${i} = stats[statsIndex(batch, head, min(firstRow + ${parts.row(i)}, lastRow))];`).join('\n  ')}`;
  const loop = (body: string): string => `  for (var slot = 0u; slot < pseudoCount; slot += ${TILE_KEYS}u) {
    workgroupBarrier();
    for (var index = thread; index < ${TILE_KEYS}u; index += ${parts.threads}u) ${enterPseudo('index', 'slot + index', NEVER)}
    workgroupBarrier();
    ${parts.product('s', row('q'), mean('k'))}
    ${parts.product('d', row('g'), mean('v'))}
    ${body}
  }`;
  const columns = (f: (j: number) => string): string =>
    unroll(4, (j) => `{ let bias = biases[4u * tx + ${j}u]; ${f(j)} }`, '\n    ');
  if (pass === 'rows') {
    // What the keys left is one more key, whose weight is their sum.
    return `${begin}
  ${parts.rowsOf((i) => `let had${i} = stat${i}.x != ${NO_KEYS}; var m${i} = select(${NEVER}, stat${i}.x, had${i}); var l${i} = select(0.0, 1.0, had${i} && tx == 0u); var a${i} = select(0.0, stat${i}.y, had${i} && tx == 0u);`).join('\n  ')}
${loop(`${columns((j) => parts.rowsOf((i) => `s${i}_${j} = select(${NEVER}, logit(s${i}_${j}).x + bias, ${THERE('bias')}); d${i}_${j} = select(0.0, d${i}_${j}, ${THERE('bias')});`).join(' '))}
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
  if (tx == 0u && pseudoCount > 0u) {
    ${parts.rowsOf((i) => `if (firstRow + ${parts.row(i)} <= lastRow) { stats[statsIndex(batch, head, firstRow + ${parts.row(i)})] = select(vec2<f32>(m${i} + log2(l${i}), a${i} / l${i}), vec2<f32>(${NO_KEYS}, 0.0), l${i} == 0.0); }`).join('\n    ')}
  }`;
  }
  const place = (i: number): string =>
    `let at${i} = rowBase + (min(firstRow + ${parts.row(i)}, lastRow) - params.rowFirst) * params.rowStride;`;
  const before = (i: number, g: number): string =>
    `var o${i}_${g} = vec4<f32>(0.0); if (${parts.inside(g)}) { o${i}_${g} = ${unpackVec4(access, `out[at${i} + ${g * COLUMNS}u + tx]`)}; }`;
  return `${begin}
  ${parts.rowsOf((i) => `${place(i)} ${unroll(parts.outGroups, (g) => before(i, g), ' ')}`).join('\n  ')}
${loop(`${columns((j) => parts.rowsOf((i) => `{ let x = logit(s${i}_${j}); s${i}_${j} = select(0.0, probability(x.x + bias, stat${i}.x) * (d${i}_${j} - stat${i}.y) * x.y, ${THERE('bias')}); }`).join(' '))}
    ${parts.rowsOf((i) => parts.putWeights(i, `vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3)`)).join('\n    ')}
    ${parts.accumulate(mean('k'), { mayHide: 'false' })}`)}
  ${parts.rowsOf((i) => `if (firstRow + ${parts.row(i)} <= lastRow) { ${unroll(parts.outGroups, (g) => `if (${parts.inside(g)}) { out[at${i} + ${g * COLUMNS}u + tx] = ${packVec4(access, `o${i}_${g}`)}; }`, ' ')} }`).join('\n  ')}`;
}

/** A tile of means over the rows that attend to them, all heads of the group: `key` and `value`. */
function meanPass(kernel: GradientKernel, parts: TileParts): string {
  const { access, rows, pass } = kernel;
  const mean = (side: 'k' | 'v'): VectorSource => ({
    load: (r, c) => meanGroup(side, `firstMean + ${r}`, c, parts.groups),
    valid: (r) => `firstMean + ${r} < params.meanRows`,
  });
  const query = (name: 'q' | 'g'): VectorSource => ({
    load: (n, c) => unpackVec4(access, `${name}[rowBase + (firstRow + ${n}) * params.rowStride + ${c}]`),
    valid: (n) => `firstRow + ${n} < rowLimit`,
  });
  const summed = query(pass === 'key' ? 'q' : 'g');
  const weight = (i: number, j: number): string =>
    pass === 'value'
      ? `probability(logit(s${i}_${j}).x + bias${i}, stat.x)`
      : `probability(logit(s${i}_${j}).x + bias${i}, stat.x) * (d${i}_${j} - stat.y) * logit(s${i}_${j}).y`;
  const tile = `for (var firstRow = blockFirst; firstRow < rowLimit; firstRow += ${TILE_KEYS}u) {
        for (var index = thread; index < ${TILE_KEYS}u; index += ${parts.threads}u) { columnStats[index] = stats[statsIndex(batch, head, min(firstRow + index, rowLimit - 1u))]; }
        ${parts.product('s', mean('k'), query('q'))}
        ${pass === 'key' ? parts.product('d', mean('v'), query('g')) : ''}
        ${parts.rowsOf((i) => `let bias${i} = biases[${parts.row(i)}];`).join(' ')}
        ${unroll(
          4,
          (j) => `{ let row = firstRow + 4u * tx + ${j}u; let stat = columnStats[4u * tx + ${j}u];
        ${parts.rowsOf((i) => `s${i}_${j} = select(0.0, ${weight(i, j)}, (row < rowLimit) & ${THERE(`bias${i}`)});`).join(' ')} }`,
          '\n        ',
        )}
        ${parts.rowsOf((i) => parts.putWeights(i, `vec4<f32>(s${i}_0, s${i}_1, s${i}_2, s${i}_3)`)).join('\n        ')}
        ${parts.accumulate(summed, ALWAYS)}
        ${parts.addHidden(
          (body) => `for (var n = 0u; n < min(${TILE_KEYS}u, rowLimit - firstRow); n++) { ${body} }`,
          (c) => summed.load('n', c),
          (i) => THERE(`bias${i}`),
        )}
        workgroupBarrier();
      }`;
  const side = pass === 'key' ? 0 : parts.groups;
  return `  let firstMean = group.x * ${rows}u;
  let batch = group.z;
  let meanBase = ((batch + params.batchFirst) * (params.heads / params.group) + group.y) * params.meanRows;
  ${parts.rowsOf((i) => unroll(parts.outGroups, (g) => `var o${i}_${g} = vec4<f32>(0.0);`, ' ')).join('\n  ')}
  let blocks = (params.queries + params.blockQ - 1u) / params.blockQ;
  for (var h = 0u; h < params.group; h++) {
    let head = group.y * params.group + h;
    let rowBase = batch * params.batchStride + (params.headFirst + head) * params.headStride;
    for (var block = 0u; block < blocks; block++) {
      let blockFirst = block * params.blockQ;
      let rowLimit = min(blockFirst + params.blockQ, params.queries);
      let pseudoAt = (((batch + params.batchFirst) * params.maskHeads + select(params.headFirst + head, 0u, params.maskHeads == 1u)) * params.queryBlocks + block) * (params.pseudoMost + 1u);
      let pseudoCount = pseudo[pseudoAt].x;
      for (var index = thread; index < ${rows}u; index += ${parts.threads}u) {
        var bias = ${NEVER};
        for (var i = 0u; i < pseudoCount; i++) {
          let known = pseudo[pseudoAt + 1u + i];
          if (known.x == firstMean + index) { bias = bitcast<f32>(known.y); }
        }
        biases[index] = bias;
        if (${THERE('bias')}) { atomicStore(&found, h * params.queryBlocks + block + 1u); }
      }
      let hit = workgroupUniformLoad(&found) == h * params.queryBlocks + block + 1u;
      if (hit) {
      ${tile}
      }
      workgroupBarrier();
    }
  }
  ${parts.rowsOf((i) => `if (firstMean + ${parts.row(i)} < params.meanRows) { let at = (meanBase + firstMean + ${parts.row(i)}) * ${2 * parts.groups}u + ${side}u; ${unroll(parts.outGroups, (g) => `if (${parts.inside(g)}) { out[at + ${g * COLUMNS}u + tx] = o${i}_${g}; }`, ' ')} }`).join('\n  ')}`;
}

/** The module of one pass over pseudo-keys. `key` and `value` give the gradients of mean keys and mean values. */
export function pseudoGradientCode(kernel: GradientKernel): string {
  const parts = new TileParts(kernel);
  if (kernel.pass === 'rows' || kernel.pass === 'query') {
    const shared = `var<workgroup> entries: array<u32, ${TILE_KEYS}>;\nvar<workgroup> biases: array<f32, ${TILE_KEYS}>;`;
    return gradientModule(kernel, parts, rowPass(kernel, parts), shared, true);
  }
  const shared = `var<workgroup> columnStats: array<vec2<f32>, ${TILE_KEYS}>;
var<workgroup> biases: array<f32, ${kernel.rows}>;
// Head and query block (counted from 1) in which a mean of the tile was last attended to.
var<workgroup> found: atomic<u32>;`;
  return gradientModule(kernel, parts, meanPass(kernel, parts), shared, true);
}
