// The matrix kernel's 16×16 matrices without matrix units: each lane keeps a copy of a whole matrix. Slow, but the same kernel.
import type { MatrixBuffer, MatrixDialect, MatrixKind } from '../../src/attention/matrix-dialect.ts';

const WORDS = { 'vec4<u32>': 4, u32: 1, 'vec2<f32>': 2 } as const;

/** @param lanes of a subgroup of the device that runs it */
export function emulatedMatrices(lanes: number): MatrixDialect {
  const functions = new Map<string, string>();
  const word = ({ name, element }: MatrixBuffer, index: string): string =>
    WORDS[element] === 1
      ? `${name}[${index}]`
      : `${name}[(${index}) / ${WORDS[element]}u][(${index}) % ${WORDS[element]}u]`;
  const load = (kind: MatrixKind, buffer: MatrixBuffer, order: 'row_major' | 'col_major'): string => {
    const name = `load_${kind}_${buffer.name}_${order}`;
    const words = WORDS[buffer.element];
    const perElement = kind === 'result' ? words : 2 * words;
    const at =
      order === 'row_major'
        ? `offset * ${perElement}u + row * stride * ${perElement}u + column`
        : `offset * ${perElement}u + column * stride * ${perElement}u + row`;
    const value = kind === 'result' ? word(buffer, 'at') : `unpack2x16float(${word(buffer, 'at / 2u')})[at % 2u]`;
    functions.set(
      name,
      `fn ${name}(offset: u32, stride: u32) -> array<f32, 256> {
  var matrix: array<f32, 256>;
  for (var row = 0u; row < 16u; row++) { for (var column = 0u; column < 16u; column++) { let at = ${at}; matrix[row * 16u + column] = ${value}; } }
  return matrix;
}`,
    );
    return name;
  };
  return {
    header: 'enable subgroups;',
    zero: (name) => `var ${name} = array<f32, 256>();`,
    load: (kind, buffer, offset, stride, order) => `${load(kind, buffer, order)}(${offset}, ${stride})`,
    multiplyAdd: (left, right, accumulator) => {
      functions.set(
        'multiplyAdd',
        `fn multiplyAdd(left: array<f32, 256>, right: array<f32, 256>, accumulator: array<f32, 256>) -> array<f32, 256> {
  var a = left; var b = right; var matrix = accumulator;
  for (var row = 0u; row < 16u; row++) { for (var column = 0u; column < 16u; column++) {
    var sum = matrix[row * 16u + column];
    for (var i = 0u; i < 16u; i++) { sum += a[row * 16u + i] * b[i * 16u + column]; }
    matrix[row * 16u + column] = sum;
  } }
  return matrix;
}`,
      );
      return `multiplyAdd(${left}, ${right}, ${accumulator})`;
    },
    store: (buffer, offset, value, stride) => {
      const words = WORDS[buffer.element];
      functions.set(
        `store_${buffer.name}`,
        `fn store_${buffer.name}(offset: u32, stride: u32, value: array<f32, 256>, lane: u32) {
  var matrix = value;
  for (var i = lane; i < 256u; i += ${lanes}u) { let at = offset * ${words}u + i / 16u * stride * ${words}u + i % 16u; ${word(buffer, 'at')} = ${buffer.element === 'vec2<f32>' ? 'matrix[i]' : 'bitcast<u32>(matrix[i])'}; }
}`,
      );
      return `store_${buffer.name}(${offset}, ${stride}, ${value}, lane);`;
    },
    functions: () => [...functions.values()].join('\n'),
  };
}
