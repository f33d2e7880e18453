// Rotary positions of heads, with the norm of each head before: a workgroup a head, or a few lanes where heads are even enough.
import { HipError } from '../../errors/gpu-errors.ts';
import type { ElementType } from '../../device/features.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { Binding, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, floatsOf, rangeOf, writableOf } from '../check.ts';
import { spreadRows } from '../spread.ts';
import { numberAt, numbersOf } from './norm-code.ts';
import { reduceFunction } from './reduce-code.ts';
import { rotateWideCode, wideHeads } from './rotate-wide-code.ts';

const THREADS = 64;

/** Heads that are rotated: a row's queries, or keys. */
export interface RotatedHeads {
  /** [rows, count, headDim] */
  readonly x: GpuTensor;
  /** The same, f32 or f16. @defaultValue x */
  readonly out?: GpuTensor | undefined;
  readonly count: number;
  /** The root mean square norm of each head before it is turned. */
  readonly norm?:
    | {
        /** [headDim], f32. */
        readonly weight?: GpuTensor | undefined;
        readonly epsilon: number;
        /** @defaultValue false */
        readonly unitOffset?: boolean | undefined;
      }
    | undefined;
}

export interface RotateOptions {
  readonly rows: number;
  readonly headDim: number;
  /** Numbers of a head that are turned, the first ones. @defaultValue headDim */
  readonly rotaryDim?: number | undefined;
  /** Pairs are neighbours (2i, 2i + 1), not halves (i, i + rotaryDim / 2). @defaultValue false */
  readonly interleaved?: boolean | undefined;
}

/** Heads as the kernel sees them. */
interface KernelHeads {
  readonly x: ElementType;
  readonly out: ElementType;
  readonly inPlace: boolean;
  readonly count: number;
  readonly norm: { readonly weight: boolean; readonly unitOffset: boolean } | undefined;
}

const params = uniformBlock('Params', { rows: 'u32', epsilons: 'vec2u' });

export interface RotateKernel {
  readonly sets: readonly KernelHeads[];
  readonly headDim: number;
  /** 0: heads are normed and copied only. */
  readonly rotaryDim: number;
  readonly interleaved: boolean;
}

export function rotateCode({ sets, headDim, rotaryDim, interleaved }: RotateKernel): string {
  const half = rotaryDim / 2;
  const loop = (body: string): string => `for (var i = thread; i < ${headDim}u; i += ${THREADS}u) { ${body} }`;
  const turned = interleaved
    ? 'let pair = i >> 1u; let second = (i & 1u) == 1u; let other = held[i ^ 1u];'
    : `let second = i >= ${half}u; let pair = select(i, i - ${half}u, second); let other = held[select(i + ${half}u, i - ${half}u, second)];`;
  const heads = (
    { x, out, inPlace, count, norm }: KernelHeads,
    s: number,
  ): string => `fn heads${s}(row: u32, head: u32, thread: u32) {
  let base = (row * ${count}u + head) * ${headDim}u;
  var sum = 0.0;
  ${loop(`let value = ${inPlace ? `f32(out${s}[base + i])` : numberAt(`x${s}`, x, 'base + i')}; held[i] = value; sum += value * value;`)}
  ${
    norm
      ? `let inverse = inverseSqrt(sum_of(sum, thread) / ${headDim}.0 + bitcast<f32>(params.epsilons[${s}]));
  ${loop(`held[i] *= inverse${norm.weight ? ` * (weight${s}[i]${norm.unitOffset ? ' + 1.0' : ''})` : ''};`)}`
      : ''
  }
  workgroupBarrier();
  ${loop(
    `var value = held[i];
    ${
      rotaryDim > 0
        ? `if (i < ${rotaryDim}u) { ${turned}
      let at = row * ${half}u + pair;
      value = value * cosines[at] + select(-other, other, second) * sines[at]; }`
        : ''
    }
    out${s}[base + i] = ${out}(value);`,
  )}
}`;
  const all = sets.reduce((sum, { count }) => sum + count, 0);
  return wgsl(
    sets.some(({ out }) => out === 'f16') ? 'enable f16;' : '',
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      ...(rotaryDim > 0 ? ['var<storage, read> cosines: array<f32>', 'var<storage, read> sines: array<f32>'] : []),
      ...sets.flatMap(({ x, out, inPlace, norm }, s) => [
        ...(inPlace ? [] : [`var<storage, read> x${s}: ${numbersOf(x)}`]),
        ...(norm?.weight ? [`var<storage, read> weight${s}: array<f32>`] : []),
        `var<storage, read_write> out${s}: array<${out}>`,
      ]),
    ]),
    `var<workgroup> held: array<f32, ${headDim}>;`,
    sets.some(({ norm }) => norm) ? reduceFunction('sum_of', 'a + b', THREADS) : '',
    sets.map(heads).join('\n'),
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.y * groups.x + group.x;
  let row = index / ${all}u;
  let head = index % ${all}u;
  if (row >= params.rows) { return; }
  ${
    sets.length === 1
      ? 'heads0(row, head, thread);'
      : `if (head < ${sets[0]!.count}u) { heads0(row, head, thread); } else { heads1(row, head - ${sets[0]!.count}u, thread); }`
  }
}`,
  );
}

const wideCode = (kernel: RotateKernel): string => rotateWideCode(kernel, params.declaration);

/**
 * Norms and rotates the heads of rows: queries and keys in one pass. Without tables, heads are normed (and converted) only.
 *
 * A pair (a, b) becomes (a·cos − b·sin, b·cos + a·sin).
 *
 * @param heads one or two sets
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeRotate(
  call: GpuCall,
  {
    heads,
    tables,
  }: {
    readonly heads: readonly RotatedHeads[];
    /** [rows, rotaryDim / 2], f32, of the rows' positions. */
    readonly tables?: { readonly cos: GpuTensor; readonly sin: GpuTensor } | undefined;
  },
  { rows, headDim, rotaryDim = headDim, interleaved = false }: RotateOptions,
): void {
  const { context } = call;
  if (heads.length < 1 || heads.length > 2)
    throw new HipError('invalid-shape', `${heads.length} sets of heads are given: give one or two`, {
      sets: heads.length,
    });
  checkCounts({ rows, headDim, rotaryDim });
  if (rotaryDim % 2 !== 0 || rotaryDim > headDim) {
    const message = `rotaryDim is ${rotaryDim}: give an even number up to headDim = ${headDim}`;
    throw new HipError('invalid-shape', message, { name: 'rotaryDim', value: rotaryDim, headDim });
  }
  const epsilons = new Uint32Array(Float32Array.from([0, 1], (s) => heads[s]?.norm?.epsilon ?? 0).buffer);
  const list: Binding[] = [{ uniform: params.pack({ rows, epsilons: [...epsilons] }) }];
  if (tables) {
    list.push(floatsOf('cos', tables.cos, (rows * rotaryDim) / 2));
    list.push(floatsOf('sin', tables.sin, (rows * rotaryDim) / 2));
  }
  let all = 0;
  const sets = heads.map(({ x, out = x, count, norm }): KernelHeads => {
    checkCounts({ count });
    all += count;
    if (norm) checkNumber('epsilon', norm.epsilon);
    const inPlace = x.buffer === out.buffer && (x.offset ?? 0) === (out.offset ?? 0);
    const length = rows * count * headDim;
    if (!inPlace) list.push(rangeOf('x', x, length));
    if (norm?.weight) list.push(floatsOf('the norm’s weight', norm.weight, headDim));
    list.push(writableOf(context, 'out', out, length));
    const own = norm && { weight: norm.weight !== undefined, unitOffset: norm.unitOffset ?? false };
    return { x: x.type, out: out.type, inPlace, count, norm: own };
  });
  const kernel = { sets, headDim, rotaryDim: tables ? rotaryDim : 0, interleaved };
  const wide = wideHeads(kernel);
  call.pass({
    label: 'rotate',
    pipeline: { label: 'rotate', code: memoCode(wide === undefined ? rotateCode : wideCode, kernel) },
    bindings: list,
    workgroups: spreadRows(Math.ceil((rows * all) / (wide ?? 1)), context.limits),
  });
}
