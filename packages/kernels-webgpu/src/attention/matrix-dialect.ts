// How the matrix kernel spells its 16×16 matrices. The tests swap in a spelling that runs without matrix units.

/** Left factor (row-major: rows of queries or weights), right factor, or f32 accumulator. */
export type MatrixKind = 'left' | 'right' | 'result';

/** The buffers matrices are read from, and their element types. */
export interface MatrixBuffer {
  readonly name: string;
  readonly element: 'vec4<u32>' | 'u32' | 'vec2<f32>';
}

export interface MatrixDialect {
  /** Directives that stand first in the module. */
  readonly header: string;
  /** Declares an accumulator of zeros. */
  zero(name: string): string;
  /** Expression; offset and stride count elements of the buffer. */
  load(
    kind: MatrixKind,
    buffer: MatrixBuffer,
    offset: string,
    stride: string,
    order: 'row_major' | 'col_major',
  ): string;
  /** Expression: left·right + accumulator. */
  multiplyAdd(left: string, right: string, accumulator: string): string;
  /** Statement: stores an accumulator, row-major. */
  store(buffer: MatrixBuffer, offset: string, value: string, stride: string): string;
  /** Functions that the expressions call, known once all of them were made. */
  functions(): string;
}

const TYPES: Readonly<Record<MatrixKind, string>> = {
  left: 'subgroup_matrix_left<f16, 16, 16>',
  right: 'subgroup_matrix_right<f16, 16, 16>',
  result: 'subgroup_matrix_result<f32, 16, 16>',
};

/** Dawn's experimental subgroup matrices. */
export function nativeMatrices(): MatrixDialect {
  return {
    // Row and key counts come from uniforms and are equal for a workgroup; the analysis cannot see it through shared memory.
    header:
      'enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\ndiagnostic(off, chromium.subgroup_matrix_uniformity);\ndiagnostic(off, subgroup_uniformity);',
    zero: (name) => `var ${name} = ${TYPES.result}();`,
    load: (kind, { name }, offset, stride, order) =>
      `subgroupMatrixLoad<${TYPES[kind]}, ${order}>(&${name}, ${offset}, ${stride})`,
    multiplyAdd: (left, right, accumulator) => `subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${accumulator})`,
    store: ({ name }, offset, value, stride) =>
      `subgroupMatrixStore<row_major>(&${name}, ${offset}, ${value}, ${stride});`,
    functions: () => '',
  };
}
