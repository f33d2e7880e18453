// What the three product kernels share: their description, bindings, uniform, and how a sum becomes an output.
import type { ElementType } from '../../device/features.ts';
import { bindings } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import { octetReader, type OctetReader } from '../octets.ts';
import { activationCode, type ActivationFunction } from '../rows/activation-code.ts';
import { READER_FUNCTIONS, readerCode } from '../weights/code.ts';
import type { RowLayout } from '../weights/layout.ts';

/** Matrices that one dispatch can multiply. */
export const MOST_TARGETS = 4;

/** One of a kernel's matrices. */
export interface KernelTarget {
  readonly bias: boolean;
  /** The product is added to what the output holds. */
  readonly add: boolean;
  readonly out: ElementType;
}

/** A product x · wᵀ with one matrix or several of one layout. */
export interface ProductKernel {
  readonly layout: RowLayout;
  readonly x: ElementType;
  readonly targets: readonly KernelTarget[];
  /** Two matrices, gate and up, whose one output is f(x · gateᵀ) · (x · upᵀ). */
  readonly gate?: ActivationFunction | undefined;
}

export const productParams = uniformBlock('Params', {
  /** Of each target: its first workgroup or tile of outputs. */
  starts: 'vec4u',
  /** Outputs that this dispatch computes. */
  outputs: 'vec4u',
  /** The first of them. */
  offsets: 'vec4u',
  /** Outputs of a row. */
  strides: 'vec4u',
  scales: 'vec4f',
  rows: 'u32',
  epsilon: 'f32',
});

/** Reads, writes and their bindings. */
export interface ProductParts {
  /** `enable` directives, bindings, readers `x8(row, octet)` and `weightsT(row, octet)`, and `finishT(row, output, value)`. */
  readonly code: string;
  readonly x: OctetReader;
}

/**
 * @param norm has a weight, which stands behind x
 * @param wide outputs are written four at a time, by `finish_wideT(row, output, values)`
 */
export function productParts(kernel: ProductKernel, { enables = '', norm = false, wide = false } = {}): ProductParts {
  const { layout, targets, gate } = kernel;
  const x = octetReader('x8', 'x', kernel.x, layout.columns);
  const declarations = [
    'var<uniform> params: Params',
    `var<storage, read> x: ${x.array}`,
    ...(norm ? [`var<storage, read> norm_weight: array<${layout.columns % 8 === 0 ? 'vec4<f32>' : 'f32'}>`] : []),
  ];
  for (const [t, { bias, out }] of targets.entries()) {
    declarations.push(`var<storage, read> w${t}: array<vec4<u32>>`);
    if (bias) declarations.push(`var<storage, read> bias${t}: array<f32>`);
    if (!gate || t === 1) declarations.push(`var<storage, read_write> out${t}: array<${wide ? `vec4<${out}>` : out}>`);
  }
  const half = targets.some(({ out }) => out === 'f16');
  const code = [
    // The matrix kernel's directives enable it themselves.
    half && !enables.includes('enable f16;') ? 'enable f16;' : '',
    enables,
    productParams.declaration,
    bindings(declarations),
    READER_FUNCTIONS,
    x.code,
    ...targets.map((_, t) => readerCode(`weights${t}`, { buffer: `w${t}`, layout })),
    gate ? gatedFinish(gate, targets, wide) : targets.map((target, t) => finish(target, t, wide)).join('\n'),
  ];
  return { code: code.filter(Boolean).join('\n'), x };
}

const biased = ({ bias }: KernelTarget, t: number, value: string): string =>
  bias ? `(${value} + bias${t}[params.offsets[${t}] + output])` : value;

/** Of four outputs. */
function biasedWide({ bias }: KernelTarget, t: number, value: string): string {
  const at = `params.offsets[${t}] + output`;
  return bias ? `(${value} + vec4<f32>(${[0, 1, 2, 3].map((i) => `bias${t}[${at} + ${i}u]`).join(', ')}))` : value;
}

function finish(target: KernelTarget, t: number, wide: boolean): string {
  const { add, out } = target;
  const at = `row * params.strides[${t}] + params.offsets[${t}] + output`;
  if (wide)
    return `fn finish_wide${t}(row: u32, output: u32, value: vec4<f32>) {
  let at = (${at}) / 4u;
  out${t}[at] = vec4<${out}>(${add ? `vec4<f32>(out${t}[at]) + ` : ''}params.scales[${t}] * ${biasedWide(target, t, 'value')});
}`;
  return `fn finish${t}(row: u32, output: u32, value: f32) {
  let at = ${at};
  out${t}[at] = ${out}(${add ? `f32(out${t}[at]) + ` : ''}params.scales[${t}] * ${biased(target, t, 'value')});
}`;
}

function gatedFinish(gate: ActivationFunction, [first, second]: readonly KernelTarget[], wide: boolean): string {
  const { out } = second!;
  const at = 'row * params.strides[1] + params.offsets[1] + output';
  if (wide)
    return `${activationCode(gate)}
fn finish_gated_wide(row: u32, output: u32, gate: vec4<f32>, up: vec4<f32>) {
  let g = ${biasedWide(first!, 0, 'gate')};
  out1[(${at}) / 4u] = vec4<${out}>(vec4<f32>(activate(g.x), activate(g.y), activate(g.z), activate(g.w)) * ${biasedWide(second!, 1, 'up')});
}`;
  return `${activationCode(gate)}
fn finish_gated(row: u32, output: u32, gate: f32, up: f32) {
  out1[${at}] = ${out}(activate(${biased(first!, 0, 'gate')}) * ${biased(second!, 1, 'up')});
}`;
}
