// WGSL of products on 16×16×16 matrix units: float32 factors rounded to float16 on the way into workgroup memory, float32 sums.

/** Rows, columns and depth of a matrix. */
export const MATRIX = 16;
/** Lanes of a subgroup: what the kernel is written for. */
export const LANES = 32;
/** Inner extent that is staged at a time. */
export const DEPTH = 32;

/** How a workgroup's tile is cut: subgroups along rows and columns, and matrices of each. */
export interface HalfTile {
  readonly rowSubgroups: number;
  readonly columnSubgroups: number;
  readonly rowMatrices: number;
  readonly columnMatrices: number;
}

/** A kernel; how each factor lies decides how it is staged. */
export interface HalfProductKernel {
  readonly tile: HalfTile;
  /** a is [K, M] rather than [M, K]. */
  readonly transposeA: boolean;
  /** b is [N, K] rather than [K, N]. */
  readonly transposeB: boolean;
  /** A bias [N] is added. */
  readonly bias: boolean;
}

/** How matrices are spelled: by Dawn's experimental subgroup matrices, unless a test has something to run without them. */
export interface MatrixSpelling {
  readonly enables: string;
  readonly left: string;
  readonly right: string;
  readonly result: string;
  /** Functions that the spelled expressions call. */
  readonly functions: string;
  load(
    kind: 'left' | 'right' | 'result',
    order: 'row_major' | 'col_major',
    buffer: string,
    offset: string,
    stride: string,
  ): string;
  multiplyAdd(left: string, right: string, sum: string): string;
  store(buffer: string, offset: string, value: string, stride: string): string;
}

const TYPES = {
  left: 'subgroup_matrix_left<f16, 16, 16>',
  right: 'subgroup_matrix_right<f16, 16, 16>',
  result: 'subgroup_matrix_result<f32, 16, 16>',
} as const;

/** Dawn's spelling. */
export const NATIVE: MatrixSpelling = {
  enables:
    'enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\ndiagnostic(off, chromium.subgroup_matrix_uniformity);\ndiagnostic(off, subgroup_uniformity);',
  ...TYPES,
  functions: '',
  load: (kind, order, buffer, offset, stride) =>
    `subgroupMatrixLoad<${TYPES[kind]}, ${order}>(&${buffer}, ${offset}, ${stride})`,
  multiplyAdd: (left, right, sum) => `subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sum})`,
  store: (buffer, offset, value, stride) =>
    `subgroupMatrixStore<row_major>(&${buffer}, ${offset}, ${value}, ${stride});`,
};

/** Rows and columns of a workgroup, and its threads. */
export function extentOf({ rowSubgroups, columnSubgroups, rowMatrices, columnMatrices }: HalfTile): {
  readonly rows: number;
  readonly columns: number;
  readonly threads: number;
} {
  return {
    rows: MATRIX * rowSubgroups * rowMatrices,
    columns: MATRIX * columnSubgroups * columnMatrices,
    threads: LANES * rowSubgroups * columnSubgroups,
  };
}

/** A factor's tile in workgroup memory, in units of eight float16. */
interface Staged {
  /** Runs of the extent that is contiguous in memory. */
  readonly runs: number;
  /** Units of a run. */
  readonly units: number;
  /** Units from run to run: one more, so that runs begin in different banks. */
  readonly stride: number;
  /** Whether a run goes along the inner extent. */
  readonly inner: boolean;
}

function staged(extent: number, inner: boolean): Staged {
  const [runs, units] = inner ? [extent, DEPTH / 8] : [DEPTH, extent / 8];
  return { runs, units, stride: units + 1, inner };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/**
 * `fn run(group, thread, subgroup)` over bindings `result: array<f32>`, `a`, `b: array<vec4<f32>>`, `bias: array<f32>` and uniforms rows,
 * columns, inner, part. Rows and columns are multiples of 16, the contiguous extent of each factor of 8. Workgroup z computes the part
 * z·part … (z+1)·part of the inner extent, into a result of its own. The next step's factors are read while those staged are multiplied.
 */
export function halfProductCode(
  { tile, transposeA, transposeB, bias }: HalfProductKernel,
  spelling: MatrixSpelling = NATIVE,
): string {
  const { rowMatrices, columnMatrices, columnSubgroups } = tile;
  const { rows, columns, threads } = extentOf(tile);
  const a = staged(rows, !transposeA);
  const b = staged(columns, transposeB);
  const firstOfB = a.runs * a.stride;
  const size = firstOfB + b.runs * b.stride;
  const moves = (side: Staged) => numbers(Math.ceil((side.runs * side.units) / threads));
  const at = (i: number): string => (i === 0 ? 'thread' : `(thread + ${i * threads}u)`);
  const within = (side: Staged, i: number, body: string): string =>
    (i + 1) * threads <= side.runs * side.units ? body : `if (${at(i)} < ${side.runs * side.units}u) { ${body} }`;
  const fetch = (name: 'a' | 'b', side: Staged, i: number): string => {
    const run = `${at(i)} / ${side.units}u`;
    const unit = `${at(i)} % ${side.units}u * 8u`;
    const first = name === 'a' ? 'firstRow' : 'firstColumn';
    const outer = side.inner ? `${first} + ${run}` : `${first} + ${unit}`;
    const inner = side.inner ? `k + ${unit}` : `k + ${run}`;
    return within(side, i, `${name}${i} = octet_${name}(${outer}, ${inner}, end);`);
  };
  const put = (name: 'a' | 'b', side: Staged, i: number): string => {
    const place = `${at(i)} / ${side.units}u * ${side.stride}u + ${at(i)} % ${side.units}u`;
    return within(side, i, `staged[${name === 'b' ? `${firstOfB}u + ` : ''}${place}] = ${name}${i};`);
  };
  const all = (each: (name: 'a' | 'b', side: Staged, i: number) => string): string =>
    [...moves(a).map((i) => each('a', a, i)), ...moves(b).map((i) => each('b', b, i))].join('\n    ');
  /** Offset of matrix i of a side at depth k, from the side's first for this subgroup. */
  const offset = (side: Staged, base: string, i: number, k: number): string =>
    side.inner
      ? `${base} + ${i * MATRIX * side.stride + (k * MATRIX) / 8}u`
      : `${base} + ${k * MATRIX * side.stride + (i * MATRIX) / 8}u`;
  const left = (i: number, k: number) =>
    spelling.load('left', a.inner ? 'row_major' : 'col_major', 'staged', offset(a, 'rowPart', i, k), `${a.stride}u`);
  const right = (j: number, k: number) =>
    spelling.load(
      'right',
      b.inner ? 'col_major' : 'row_major',
      'staged',
      offset(b, 'columnPart', j, k),
      `${b.stride}u`,
    );
  const multiply = numbers(DEPTH / MATRIX)
    .map((k) =>
      [
        ...numbers(rowMatrices).map((i) => `let l${k}_${i} = ${left(i, k)};`),
        ...numbers(columnMatrices).flatMap((j) => [
          `let r${k}_${j} = ${right(j, k)};`,
          ...numbers(rowMatrices).map(
            (i) => `s${i}_${j} = ${spelling.multiplyAdd(`l${k}_${i}`, `r${k}_${j}`, `s${i}_${j}`)};`,
          ),
        ]),
      ].join('\n    '),
    )
    .join('\n    ');
  const cells = numbers(rowMatrices).flatMap((i) => numbers(columnMatrices).map((j) => [i, j] as const));
  const part = (side: Staged, extent: number): string => (side.inner ? `${extent * side.stride}u` : `${extent / 8}u`);
  const octet = (name: 'a' | 'b', inner: boolean): string => {
    const extent = name === 'a' ? 'rows' : 'columns';
    const from = inner ? `outer * u32(uniforms.inner) + k` : `k * u32(uniforms.${extent}) + outer`;
    return `fn octet_${name}(outer: u32, k: u32, end: u32) -> vec4<u32> {
  if (outer >= u32(uniforms.${extent}) || k >= end) { return vec4<u32>(); }
  let first = (${from}) / 4u;
  return halves(${name}[first], ${name}[first + 1u]);
}`;
  };
  return `
var<workgroup> staged: array<vec4<u32>, ${size}>;
${bias ? `var<workgroup> biases: array<f32, ${MATRIX * columns}>;` : ''}
const MOST = vec4<f32>(65504.0);
fn halves(first: vec4<f32>, second: vec4<f32>) -> vec4<u32> {
  let x = clamp(first, -MOST, MOST);
  let y = clamp(second, -MOST, MOST);
  return vec4<u32>(pack2x16float(x.xy), pack2x16float(x.zw), pack2x16float(y.xy), pack2x16float(y.zw));
}
${octet('a', a.inner)}
${octet('b', b.inner)}
${spelling.functions}
fn run(group: vec3<u32>, thread: u32, subgroup: u32) {
  let firstRow = group.y * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let rowSubgroup = subgroup / ${columnSubgroups}u;
  let columnSubgroup = subgroup % ${columnSubgroups}u;
  let rowPart = rowSubgroup * ${part(a, rowMatrices * MATRIX)};
  let columnPart = ${firstOfB}u + columnSubgroup * ${part(b, columnMatrices * MATRIX)};
  var k = group.z * u32(uniforms.part);
  let end = min(k + u32(uniforms.part), u32(uniforms.inner));
  ${moves(a)
    .map((i) => `var a${i}: vec4<u32>;`)
    .join(' ')} ${moves(b)
    .map((i) => `var b${i}: vec4<u32>;`)
    .join(' ')}
  ${cells.map(([i, j]) => `var s${i}_${j}: ${spelling.result};`).join(' ')}
  ${
    bias
      ? `for (var i = thread; i < ${MATRIX * columns}u; i += ${threads}u) {
    biases[i] = 0.0;
    if (firstColumn + i % ${columns}u < u32(uniforms.columns)) { biases[i] = bias[firstColumn + i % ${columns}u]; }
  }
  workgroupBarrier();
  ${cells.map(([i, j]) => `s${i}_${j} = ${spelling.load('result', 'row_major', 'biases', `columnSubgroup * ${columnMatrices * MATRIX}u + ${j * MATRIX}u`, `${columns}u`)};`).join('\n  ')}`
      : ''
  }
  ${all(fetch)}
  ${all(put)}
  workgroupBarrier();
  loop {
    k += ${DEPTH}u;
    let more = k < end;
    if (more) {
    ${all(fetch)}
    }
    ${multiply}
    if (!more) { break; }
    workgroupBarrier();
    ${all(put)}
    workgroupBarrier();
  }
  let base = group.z * u32(uniforms.rows) * u32(uniforms.columns);
  ${cells
    .map(
      ([i, j]) => `{
    let row = firstRow + (rowSubgroup * ${rowMatrices}u + ${i}u) * ${MATRIX}u;
    let column = firstColumn + (columnSubgroup * ${columnMatrices}u + ${j}u) * ${MATRIX}u;
    if (row < u32(uniforms.rows) && column < u32(uniforms.columns)) {
      ${spelling.store('result', 'base + row * u32(uniforms.columns) + column', `s${i}_${j}`, 'u32(uniforms.columns)')}
    }
  }`,
    )
    .join('\n  ')}
}`;
}
