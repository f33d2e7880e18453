// WGSL that takes results out of matrices: through each subgroup's share of the staged memory, then four outputs at a time.
import type { MatrixBuffer, MatrixDialect } from '../../attention/matrix-dialect.ts';
import { MATRIX, resultStride, stagedVectors, type MatrixTiling } from './matrix-tiling.ts';

export interface ResultCode {
  readonly tiling: MatrixTiling;
  readonly lanes: number;
  readonly dialect: MatrixDialect;
  readonly staged: MatrixBuffer;
  readonly gated: boolean;
  /** Outputs are written four at a time. */
  readonly wide: boolean;
}

/** Statements for the results `sI_J`; expect `which`, `outputs`, `firstRow`, `firstOutput`, `rowSubgroup`, `outputSubgroup`, `subgroup`, `lane`. */
export function resultCode({ tiling, lanes, dialect, staged, gated, wide }: ResultCode): string {
  const { rowMatrices, outputMatrices } = tiling;
  const share = Math.floor(stagedVectors(tiling) / (tiling.rowSubgroups * tiling.outputSubgroups));
  const pairs = outputMatrices / 2;
  /** Matrices of one row of them that pass together; of a gated product, those of the same outputs. */
  const counts = Array.from({ length: outputMatrices }, (_, i) => i + 1);
  const together = Math.max(
    ...counts.filter((count) => outputMatrices % count === 0 && MATRIX * resultStride(count) <= share),
  );
  const groups: readonly (readonly number[])[] = gated
    ? Array.from({ length: pairs }, (_, j) => [j, pairs + j])
    : Array.from({ length: outputMatrices / together }, (_, g) =>
        Array.from({ length: together }, (_unused, j) => g * together + j),
      );
  const stride = resultStride(groups[0]!.length);
  const columns = gated ? 4 : 4 * groups[0]!.length;
  const subgroupOutputs = (gated ? pairs : outputMatrices) * MATRIX;
  const read = (at: string): string => `bitcast<vec4<f32>>(staged[${at}])`;
  const each = (body: string): string =>
    `for (var each = 0u; each < 4u; each++) { if (output + each < outputs) { ${body} } }`;
  const write = gated
    ? wide
      ? `if (output < outputs) { finish_gated_wide(row, output, ${read('source')}, ${read('source + 4u')}); }`
      : `let gates = ${read('source')}; let ups = ${read('source + 4u')}; ${each('finish_gated(row, output + each, gates[each], ups[each]);')}`
    : wide
      ? `if (output < outputs) { finish_wide(which, row, output, ${read('source')}); }`
      : `let values = ${read('source')}; ${each(`finish(which, row, output + each, values[each]);`)}`;
  const pass = (i: number, group: readonly number[]): string =>
    `${group.map((j, at) => dialect.store(staged, `resultBase + ${4 * at}u`, `s${i}_${j}`, `${stride}u`)).join('\n  ')}
  workgroupBarrier();
  for (var cell = lane; cell < ${MATRIX * columns}u; cell += ${lanes}u) {
    let row = firstRow + (rowSubgroup * ${rowMatrices}u + ${i}u) * ${MATRIX}u + cell / ${columns}u;
    let output = firstOutput + outputSubgroup * ${subgroupOutputs}u + ${group[0]! * MATRIX}u + cell % ${columns}u * 4u;
    let source = resultBase + cell / ${columns}u * ${stride}u + cell % ${columns}u;
    if (row < params.rows) { ${write} }
  }
  workgroupBarrier();`;
  const passes = Array.from({ length: rowMatrices }, (_, i) => groups.map((group) => pass(i, group))).flat();
  return `let resultBase = subgroup * ${share}u;\n  ${passes.join('\n  ')}`;
}
