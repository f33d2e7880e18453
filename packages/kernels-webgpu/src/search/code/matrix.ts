// Pieces of the kernels that score with 16×16×16 subgroup matrices (f16 in, f32 out).
import { enables } from '../../code/storage.ts';
import { unroll } from '../../code/wgsl.ts';

/** Rows, columns and depth of one subgroup matrix. */
export const TILE = 16;

/** `enable` directives and type names; stands first. */
export const MATRIX_PRELUDE = `${enables({ access: ['f16'], matrices: true })}
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;`;

/** `let NAME0 … NAMEn`: rows of a row-major buffer, 16 columns each. */
export function loadLeft(name: string, count: number, buffer: string, offset: string, stride: string): string {
  return unroll(
    count,
    (i) => `let ${name}${i} = subgroupMatrixLoad<Left, row_major>(&${buffer}, ${offset} + ${TILE * i}u, ${stride});`,
  );
}

/** `acc += rows · columns`, where column n is 16·count consecutive numbers at `offset + n·stride`. */
export function multiplyColumns(
  acc: string,
  left: string,
  count: number,
  buffer: string,
  offset: string,
  stride: string,
  first = 0,
): string {
  return unroll(
    count,
    (i) =>
      `${acc} = subgroupMatrixMultiplyAccumulate(${left}${first + i}, subgroupMatrixLoad<Right, col_major>(&${buffer}, ${offset} + ${TILE * i}u, ${stride}), ${acc});`,
  );
}
