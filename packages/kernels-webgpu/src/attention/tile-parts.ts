// WGSL building blocks of tiled kernels without matrix units: a tile of rows against 32 columns, staged chunk by chunk.
import { notFinite } from '../code/finite.ts';
import { unroll } from '../code/wgsl.ts';

/** Threads that share a row: each owns 4 columns of a tile, and every eighth group of four numbers of the output. */
export const COLUMNS = 8;
/** Columns of a tile: keys in the forward pass, queries where keys are the rows. */
export const TILE_KEYS = 4 * COLUMNS;
/** Rows a thread owns. */
export const THREAD_ROWS = 4;

export interface TileSizes {
  readonly headDim: number;
  /** Rows of a tile, a multiple of 4; 2·rows threads. */
  readonly rows: number;
  /** Groups of four numbers staged at once, a multiple of 8. */
  readonly chunk: number;
  /** Lanes that may exchange values by shuffles: 1 (none), 2, 4 or 8; at most the smallest subgroup. */
  readonly shuffle: 1 | 2 | 4 | 8;
}

/** Expression of `vec4<f32>`: group `c` of vector `index` of the tile (both are expressions); guarded by `valid`. */
export interface VectorSource {
  readonly load: (index: string, c: string) => string;
  /** Condition on `index`; absent: always there. */
  readonly valid?: ((index: string) => string) | undefined;
}

/**
 * How a weighted sum keeps out the vectors that a row may not see. Their weight is 0, but 0 times NaN or infinity is NaN: where
 * `mayHide` holds, numbers that are not finite are staged as 0, and {@link TileParts.addHidden} gives them to the rows that see them.
 */
export interface Hiding {
  /** Condition, the same for all threads: some row of the tile does not see some column. */
  readonly mayHide: string;
}

/** Workgroup memory of the building blocks in bytes. */
export function tileWorkgroupBytes({ rows, chunk, shuffle }: Omit<TileSizes, 'headDim'>): number {
  const staged = (rows + TILE_KEYS) * (chunk + 1) * 16;
  const weights = rows * (COLUMNS + 1) * 16;
  return staged + weights + 4 * TILE_KEYS + 4 + (shuffle < COLUMNS ? 4 * rows * (COLUMNS / shuffle) : 0);
}

/** The building blocks. They expect `thread`, `tx = thread % 8`, `ty = thread / 8`. */
export class TileParts {
  readonly sizes: TileSizes;
  /** Groups of four numbers of a vector. */
  readonly groups: number;
  readonly chunks: number;
  /** Groups of four numbers of the output that a thread owns. */
  readonly outGroups: number;
  readonly threads: number;
  readonly #stride: number;

  constructor(sizes: TileSizes) {
    this.sizes = sizes;
    this.groups = sizes.headDim / 4;
    this.chunks = Math.ceil(this.groups / sizes.chunk);
    this.outGroups = Math.ceil(this.groups / COLUMNS);
    this.threads = 2 * sizes.rows;
    this.#stride = sizes.chunk + 1;
  }

  /** Workgroup variables. */
  get declarations(): string {
    const { rows, shuffle } = this.sizes;
    return `// Rows and then columns, a chunk of the head dimension at a time.
var<workgroup> staged: array<vec4<f32>, ${(rows + TILE_KEYS) * this.#stride}>;
var<workgroup> weights: array<vec4<f32>, ${rows * (COLUMNS + 1)}>;
// Some number was staged as 0 because it is not finite.
var<workgroup> hidden: atomic<u32>;
${shuffle < COLUMNS ? `var<workgroup> partial: array<f32, ${rows * (COLUMNS / shuffle)}>;` : ''}`;
  }

  /** Something for each row a thread owns. */
  rowsOf<T>(f: (i: number) => T): T[] {
    return Array.from({ length: THREAD_ROWS }, (_, i) => f(i));
  }

  /** Expression: the i-th row a thread owns. */
  row(i: number): string {
    return `(ty + ${(i * this.sizes.rows) / THREAD_ROWS}u)`;
  }

  /** Condition: the g-th output group of a thread exists. */
  inside(g: number): string {
    return g * COLUMNS + COLUMNS <= this.groups ? 'true' : `${g * COLUMNS}u + tx < ${this.groups}u`;
  }

  /** Stages chunk `start` of the tile's rows. */
  stageRows({ load, valid }: VectorSource, start: string): string {
    const { rows, chunk } = this.sizes;
    return `for (var index = thread; index < ${rows * chunk}u; index += ${this.threads}u) {
    let r = index / ${chunk}u; let c = index % ${chunk}u + ${start};
    var value = vec4<f32>(0.0);
    if (${valid ? `${valid('r')} && ` : ''}c < ${this.groups}u) { value = ${load('r', 'c')}; }
    staged[r * ${this.#stride}u + index % ${chunk}u] = value;
  }`;
  }

  /**
   * Stages chunk `start` of the tile's columns. Permuted for products: the four columns of a thread, 4·tx + j, stand in rows
   * j·8 + tx, which no two threads read from one bank.
   */
  stageColumns({ load, valid }: VectorSource, start: string, permuted: boolean, hiding?: Hiding): string {
    const { rows, chunk } = this.sizes;
    const hide = hiding
      ? `
    if (${hiding.mayHide}) {
      let odd = ${notFinite('value', 4)};
      if (any(odd)) { atomicStore(&hidden, 1u); value = select(value, vec4<f32>(0.0), odd); }
    }`
      : '';
    const place = permuted ? `(n % 4u) * ${COLUMNS}u + n / 4u` : 'n';
    return `for (var index = thread; index < ${TILE_KEYS * chunk}u; index += ${this.threads}u) {
    let n = index / ${chunk}u; let c = index % ${chunk}u + ${start};
    var value = vec4<f32>(0.0);
    if (${valid ? `${valid('n')} && ` : ''}c < ${this.groups}u) { value = ${load('n', 'c')}; }${hide}
    staged[(${rows}u + ${place}) * ${this.#stride}u + index % ${chunk}u] = value;
  }`;
  }

  /** Declares NAMEi_j = 0 for a thread's rows and columns. */
  zeros(name: string): string {
    return this.rowsOf((i) => unroll(4, (j) => `var ${name}${i}_${j} = 0.0;`, ' ')).join('\n    ');
  }

  /** NAMEi_j += row i · column j over the staged chunk. */
  dots(name: string): string {
    const { rows, chunk } = this.sizes;
    const stride = this.#stride;
    return `for (var c = 0u; c < ${chunk}u; c++) {
      ${unroll(4, (j) => `let k${j} = staged[(${rows + j * COLUMNS}u + tx) * ${stride}u + c];`, ' ')}
      ${this.rowsOf((i) => `let q${i} = staged[${this.row(i)} * ${stride}u + c]; ${unroll(4, (j) => `${name}${i}_${j} += dot(q${i}, k${j});`, ' ')}`).join('\n      ')}
    }`;
  }

  /** Declares and computes NAMEi_j, all dot products of a tile. Starts and ends with the staged chunk free. */
  product(name: string, rows: VectorSource, columns: VectorSource): string {
    const { chunk } = this.sizes;
    return `${this.zeros(name)}
    for (var start = 0u; start < ${this.chunks * chunk}u; start += ${chunk}u) {
    ${this.stageRows(rows, 'start')}
    ${this.stageColumns(columns, 'start', true)}
    workgroupBarrier();
    ${this.dots(name)}
    workgroupBarrier();
    }`;
  }

  /** Statement: a thread's four numbers of row i, for {@link accumulate}. */
  putWeights(i: number, value: string): string {
    return `weights[${this.row(i)} * ${COLUMNS + 1}u + tx] = ${value};`;
  }

  /** oI_G += weights · columns; waits for the weights itself. Numbers that hiding staged as 0 are {@link addHidden}'s. */
  accumulate(columns: VectorSource, hiding: Hiding): string {
    const { rows, chunk } = this.sizes;
    const stride = this.#stride;
    return unroll(
      this.chunks,
      (part) => {
        const first = (part * chunk) / COLUMNS;
        const here = Array.from({ length: Math.min(chunk / COLUMNS, this.outGroups - first) }, (_, g) => g);
        return `workgroupBarrier();
    ${this.stageColumns(columns, `${part * chunk}u`, false, hiding)}
    workgroupBarrier();
    for (var n = 0u; n < ${COLUMNS}u; n++) {
      ${this.rowsOf((i) => `let p${i} = weights[${this.row(i)} * ${COLUMNS + 1}u + n];`).join(' ')}
      ${here
        .map(
          (
            g,
          ) => `{ ${unroll(4, (e) => `let v${e} = staged[(${rows}u + 4u * n + ${e}u) * ${stride}u + ${g * COLUMNS}u + tx];`, ' ')}
        ${this.rowsOf((i) => `o${i}_${first + g} += p${i}.x * v0 + p${i}.y * v1 + p${i}.z * v2 + p${i}.w * v3;`).join(' ')} }`,
        )
        .join('\n      ')}
    }`;
      },
      '\n    ',
    );
  }

  /**
   * oI_G += the numbers that are not finite among the columns a row sees: whatever its weight, such a number makes the sum infinite
   * or NaN. A loop over single columns that runs only where {@link accumulate} hid something.
   *
   * @param each statements that loop over the columns around those they are given
   * @param load expression of group `c` of the column @param sees condition: the i-th row of a thread sees the column
   */
  addHidden(each: (body: string) => string, load: (c: string) => string, sees: (i: number) => string): string {
    const body = Array.from({ length: this.outGroups }, (_, g) => {
      const c = `${g * COLUMNS}u + tx`;
      return `if (${this.inside(g)}) { let x = ${load(c)}; let odd = ${notFinite('x', 4)};
      if (any(odd)) { ${this.rowsOf((i) => `o${i}_${g} = select(o${i}_${g}, o${i}_${g} + x, odd & vec4<bool>(${sees(i)}));`).join(' ')} } }`;
    }).join('\n    ');
    return `if (atomicLoad(&hidden) != 0u) {
    ${each(body)}
  }`;
  }

  /** Combines a value per row (one name for each of a thread's rows) over the threads of the row. */
  reduce(names: readonly string[], combine: (a: string, b: string) => string): string {
    const { rows, shuffle } = this.sizes;
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
}
