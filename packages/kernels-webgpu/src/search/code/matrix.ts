// Pieces of the kernels that score with 16×16×16 subgroup matrices (f16 in, f32 out). Factors lie in arrays of octets (vec4u).
import { enables } from '../../code/storage.ts';
import { unroll } from '../../code/wgsl.ts';

/** Rows, columns and depth of one subgroup matrix. */
export const TILE = 16;

/** Octets between two staged columns beyond their length, against bank conflicts. */
export const PAD = 1;

/** `enable` directives and type names; stands first. */
export const MATRIX_PRELUDE = `${enables({ access: ['f16'], matrices: true })}
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;`;

/** `let NAME0 … NAMEn`: 16 rows of `count`·16 numbers; offset and stride in octets. */
export function loadLeft(name: string, count: number, buffer: string, offset: string, stride: string): string {
  return unroll(
    count,
    (i) => `let ${name}${i} = subgroupMatrixLoad<Left, row_major>(&${buffer}, ${offset} + ${2 * i}u, ${stride});`,
  );
}

/** Left matrices `NAME0 …` of which `count` from `first` on are multiplied with the same part of each column. */
export interface LeftMatrices {
  readonly name: string;
  readonly first: number;
  readonly count: number;
}

/** `acc += rows · columns`: column n is 16 numbers for each left matrix, at octet `offset + n·stride` for the first. */
export function multiplyColumns(
  acc: string,
  { name, first, count }: LeftMatrices,
  buffer: string,
  offset: string,
  stride: string,
): string {
  return unroll(
    count,
    (i) =>
      `${acc} = subgroupMatrixMultiplyAccumulate(${name}${first + i}, subgroupMatrixLoad<Right, col_major>(&${buffer}, ${offset} + ${2 * (first + i)}u, ${stride}), ${acc});`,
  );
}

/** Each left matrix times the same right one, which is loaded once. */
export function multiplyShared(
  name: string,
  buffer: string,
  offset: string,
  stride: string,
  products: readonly { readonly acc: string; readonly left: string }[],
): string {
  const load = `let ${name} = subgroupMatrixLoad<Right, col_major>(&${buffer}, ${offset}, ${stride});`;
  const sums = products.map(({ acc, left }) => `${acc} = subgroupMatrixMultiplyAccumulate(${left}, ${name}, ${acc});`);
  return [load, ...sums].join(' ');
}

/**
 * Columns that travel through workgroup memory: `fetch` reads the next ones into registers while the staged ones are multiplied,
 * `put` stores them. Matrices loaded straight from a buffer wait for it: measured on an H100, staging is 3 to 10 times faster.
 */
export interface Staging {
  readonly columns: number;
  /** Octets of a column. */
  readonly octets: number;
  readonly lanes: number;
  /** Expression: where the c-th octet stands in the buffer's column. @defaultValue c */
  readonly at?: ((c: string) => string) | undefined;
}

/** Octets between two staged columns. */
export function stagedStride({ octets }: Staging): number {
  return octets + PAD;
}

/** Bytes of the staged columns. */
export function stagedBytes(staging: Staging): number {
  return staging.columns * stagedStride(staging) * 16;
}

/** Declarations in `main`: the registers. */
export function heldCode(staging: Staging): string {
  return unroll(loadsOf(staging), (i) => `var held${i}: vec4u;`, ' ');
}

/**
 * Statements: the registers take octets from `buffer`.
 *
 * @param column expression of the octet at which a column starts; its index is `n`
 */
export function fetchCode(staging: Staging, buffer: string, column: string): string {
  const { at = (c: string): string => c } = staging;
  return unroll(loadsOf(staging), (i) =>
    guarded(
      staging,
      i,
      `let n = ${place(staging, i)} / ${staging.octets}u; held${i} = ${buffer}[${column} + ${at(`${place(staging, i)} % ${staging.octets}u`)}];`,
    ),
  );
}

/** Statements: the registers go to `staged`. @param base expression of the octet there at which the columns begin */
export function putCode(staging: Staging, base?: string): string {
  return unroll(loadsOf(staging), (i) =>
    guarded(
      staging,
      i,
      `staged[${base === undefined ? '' : `${base} + `}${place(staging, i)} / ${staging.octets}u * ${stagedStride(staging)}u + ${place(staging, i)} % ${staging.octets}u] = held${i};`,
    ),
  );
}

function loadsOf({ columns, octets, lanes }: Staging): number {
  return Math.ceil((columns * octets) / lanes);
}

function place({ lanes }: Staging, i: number): string {
  return i === 0 ? 'lane' : `(lane + ${i * lanes}u)`;
}

function guarded({ columns, octets, lanes }: Staging, i: number, body: string): string {
  return (i + 1) * lanes <= columns * octets
    ? `{ ${body} }`
    : `if (lane + ${i * lanes}u < ${columns * octets}u) { ${body} }`;
}
