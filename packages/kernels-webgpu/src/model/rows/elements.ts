// Operations on activations, number by number: gates, sums, factors, soft-caps.
import type { ElementType } from '../../device/features.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { Binding, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, rangeOf, writableOf } from '../check.ts';
import { spreadRows } from '../spread.ts';
import { activationCode, checkActivation, SOFTCAP_CODE, type ActivationFunction } from './activation-code.ts';
import { numberAt, numbersOf } from './norm-code.ts';

const THREADS = 256;
/** Numbers of a thread. */
const EACH = 4;

const params = uniformBlock('Params', { length: 'u32', factor: 'f32' });

/** What is computed of each number: an expression of `x`, the output's number `y`, and the second operand's `u`. */
interface Operation {
  readonly name: string;
  readonly functions: string;
  readonly value: string;
}

interface Operands {
  readonly x: GpuTensor;
  readonly up?: GpuTensor | undefined;
  readonly out: GpuTensor;
}

const sameTensor = (a: GpuTensor, b: GpuTensor): boolean =>
  a.buffer === b.buffer && (a.offset ?? 0) === (b.offset ?? 0) && a.type === b.type;

/** Types of operands that are not the output itself, and of that. */
interface Kernel {
  readonly operation: Operation;
  readonly x?: ElementType;
  readonly up?: ElementType;
  readonly out: ElementType;
}

function code({ operation, x, up, out }: Kernel): string {
  const xs = x ? numberAt('x', x, 'i') : 'f32(out[i])';
  return wgsl(
    out === 'f16' ? 'enable f16;' : '',
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      ...(x ? [`var<storage, read> x: ${numbersOf(x)}`] : []),
      ...(up ? [`var<storage, read> up: ${numbersOf(up)}`] : []),
      `var<storage, read_write> out: array<${out}>`,
    ]),
    operation.functions,
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = (group.y * groups.x + group.x) * ${THREADS * EACH}u + thread;
  for (var step = 0u; step < ${EACH}u; step++) {
    let i = first + step * ${THREADS}u;
    if (i >= params.length) { return; }
    let value = ${xs};
    ${operation.value.includes('second') ? `let second = ${up ? numberAt('up', up, 'i') : 'f32(out[i])'};` : ''}
    out[i] = ${out}(${operation.value});
  }
}`,
  );
}

function encode(call: GpuCall, operation: Operation, { x, up, out }: Operands, length: number, factor: number): void {
  const { context } = call;
  checkCounts({ length });
  const target = writableOf(context, 'out', out, length);
  const apart = !sameTensor(x, out);
  const upApart = up !== undefined && !sameTensor(up, out);
  const list: Binding[] = [{ uniform: params.pack({ length, factor }) }];
  if (apart) list.push(rangeOf('x', x, length));
  if (upApart) list.push(rangeOf('up', up, length));
  list.push(target);
  const types = { ...(apart ? { x: x.type } : {}), ...(upApart ? { up: up.type } : {}), out: out.type };
  call.pass({
    label: operation.name,
    pipeline: { label: operation.name, code: memoCode(code, { operation, ...types }) },
    bindings: list,
    workgroups: spreadRows(Math.ceil(length / (THREADS * EACH)), context.limits),
  });
}

/**
 * out = f(x) · up, or f(x) where there is no up. Any of them may be one tensor.
 *
 * @throws HipError `invalid-shape`, `unsupported`
 */
export function encodeGate(
  call: GpuCall,
  operands: Operands,
  { length, activation }: { readonly length: number; readonly activation: ActivationFunction },
): void {
  checkActivation(activation);
  const value = operands.up ? 'activate(value) * second' : 'activate(value)';
  encode(call, { name: 'gate', functions: activationCode(activation), value }, operands, length, 1);
}

/** out = out + scale · x. @throws HipError `invalid-shape`, `invalid-config`, `unsupported` */
export function encodeAddScaled(
  call: GpuCall,
  { x, out }: Omit<Operands, 'up'>,
  { length, scale = 1 }: { readonly length: number; readonly scale?: number | undefined },
): void {
  checkNumber('scale', scale);
  const operation = { name: 'add', functions: '', value: 'second + params.factor * value' };
  encode(call, operation, { x, up: out, out }, length, scale);
}

/** x = factor · x. @throws HipError `invalid-shape`, `invalid-config`, `unsupported` */
export function encodeScale(
  call: GpuCall,
  x: GpuTensor,
  { length, factor }: { readonly length: number; readonly factor: number },
): void {
  checkNumber('factor', factor);
  encode(call, { name: 'scale', functions: '', value: 'params.factor * value' }, { x, out: x }, length, factor);
}

/** x = cap · tanh(x / cap). @throws HipError `invalid-shape`, `invalid-config`, `unsupported` */
export function encodeSoftcap(
  call: GpuCall,
  x: GpuTensor,
  { length, cap }: { readonly length: number; readonly cap: number },
): void {
  checkNumber('cap', cap, 0);
  const operation = { name: 'softcap', functions: SOFTCAP_CODE, value: 'softcapped(value, params.factor)' };
  encode(call, operation, { x, out: x }, length, cap);
}
