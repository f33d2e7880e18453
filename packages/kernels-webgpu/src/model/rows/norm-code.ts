// WGSL of norms of rows: a workgroup a row.
import type { ElementType } from '../../device/features.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import { reduceFunction, ROW_THREADS } from './reduce-code.ts';

export interface NormKernel {
  readonly x: ElementType;
  readonly out: ElementType;
  /** Less their mean: a LayerNorm. */
  readonly centred: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly unitOffset: boolean;
  /** The normed row is added to what the output holds. */
  readonly add: boolean;
  /** x and out are one tensor. */
  readonly inPlace: boolean;
}

export const normParams = uniformBlock('Params', { rows: 'u32', width: 'u32', epsilon: 'f32', scale: 'f32' });

/** Expression of number `at`; f16 is read as halves of u32 words, so that no device needs `shader-f16` for it. */
export function numberAt(buffer: string, type: ElementType, at: string): string {
  return type === 'f32' ? `${buffer}[${at}]` : `unpack2x16float(${buffer}[(${at}) >> 1u])[(${at}) & 1u]`;
}

/** The array type that {@link numberAt} reads. */
export function numbersOf(type: ElementType): string {
  return type === 'f32' ? 'array<f32>' : 'array<u32>';
}

/** The mean is taken first, then the variance about it: their difference would cancel. */
export function normKernelCode({ x, out, centred, weight, bias, unitOffset, add, inPlace }: NormKernel): string {
  const read = (at: string): string => (inPlace ? `f32(out[${at}])` : numberAt('x', x, at));
  const factor = weight ? ` * (weight[i]${unitOffset ? ' + 1.0' : ''})` : '';
  const value = `params.scale * ((${read('base + i')}${centred ? ' - mean' : ''}) * inverse${factor}${bias ? ' + bias[i]' : ''})`;
  const steps = `i += ${ROW_THREADS}u`;
  return wgsl(
    out === 'f16' ? 'enable f16;' : '',
    normParams.declaration,
    bindings([
      'var<uniform> params: Params',
      ...(inPlace ? [] : [`var<storage, read> x: ${numbersOf(x)}`]),
      ...(weight ? ['var<storage, read> weight: array<f32>'] : []),
      ...(bias ? ['var<storage, read> bias: array<f32>'] : []),
      `var<storage, read_write> out: array<${out}>`,
    ]),
    reduceFunction('sum_of', 'a + b'),
    `@compute @workgroup_size(${ROW_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let base = row * params.width;
  let count = f32(params.width);
  var sum = 0.0;
  ${
    centred
      ? `for (var i = thread; i < params.width; ${steps}) { sum += ${read('base + i')}; }
  let mean = sum_of(sum, thread) / count;
  sum = 0.0;`
      : ''
  }
  for (var i = thread; i < params.width; ${steps}) { let value = ${read('base + i')}${centred ? ' - mean' : ''}; sum += value * value; }
  let inverse = inverseSqrt(sum_of(sum, thread) / count + params.epsilon);
  for (var i = thread; i < params.width; ${steps}) { out[base + i] = ${out}(${add ? 'f32(out[base + i]) + ' : ''}${value}); }
}`,
  );
}
