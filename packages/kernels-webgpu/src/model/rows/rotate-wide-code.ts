// WGSL that norms and turns heads of 8·2ⁿ numbers, halves against halves: a few lanes a head, four pairs a lane.
import type { ElementType } from '../../device/features.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import type { RotateKernel } from './rotate.ts';

const THREADS = 128;

/** Heads of one workgroup; undefined where the kernel does not serve: other widths, pairs or types. */
export function wideHeads({ sets, headDim, rotaryDim, interleaved }: RotateKernel): number | undefined {
  const lanes = headDim / 8;
  const fits = Number.isInteger(lanes) && THREADS % lanes === 0 && rotaryDim === headDim && !interleaved;
  return fits && sets.every(({ x, inPlace }) => x === 'f32' && !inPlace) ? THREADS / lanes : undefined;
}

/** @param declaration of the uniform block */
export function rotateWideCode({ sets, headDim }: RotateKernel, declaration: string): string {
  const lanes = headDim / 8;
  const heads = THREADS / lanes;
  const all = sets.reduce((sum, { count }) => sum + count, 0);
  const four = (out: ElementType): string => `vec4<${out}>`;
  /** A body for the set that a lane's head is of. */
  const ofSet = (body: (s: number) => string): string =>
    sets.length === 1 ? body(0) : `if (head < ${sets[0]!.count}u) { ${body(0)} } else { ${body(1)} }`;
  const base = (s: number): string =>
    `let base = (row * ${sets[s]!.count}u + head${s === 0 ? '' : ` - ${sets[0]!.count}u`}) * ${2 * lanes}u + lane;`;
  const factor = (s: number, at: string): string => {
    const norm = sets[s]!.norm!;
    return `inverse${norm.weight ? ` * (weight${s}[${at}]${norm.unitOffset ? ' + 1.0' : ''})` : ''}`;
  };
  const normed = (s: number): string =>
    sets[s]!.norm
      ? `let inverse = inverseSqrt(sum / ${headDim}.0 + bitcast<f32>(params.epsilons[${s}]));
    low *= ${factor(s, 'lane')}; high *= ${factor(s, `lane + ${lanes}u`)};`
      : '';
  return wgsl(
    sets.some(({ out }) => out === 'f16') ? 'enable f16;' : '',
    declaration,
    bindings([
      'var<uniform> params: Params',
      'var<storage, read> cosines: array<vec4<f32>>',
      'var<storage, read> sines: array<vec4<f32>>',
      ...sets.flatMap(({ out, norm }, s) => [
        `var<storage, read> x${s}: array<vec4<f32>>`,
        ...(norm?.weight ? [`var<storage, read> weight${s}: array<vec4<f32>>`] : []),
        `var<storage, read_write> out${s}: array<${four(out)}>`,
      ]),
    ]),
    `var<workgroup> sums: array<f32, ${THREADS}>;`,
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = (group.y * groups.x + group.x) * ${heads}u + thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  let row = index / ${all}u;
  let head = index % ${all}u;
  var low = vec4<f32>();
  var high = vec4<f32>();
  if (row < params.rows) { ${ofSet((s) => `${base(s)} low = x${s}[base]; high = x${s}[base + ${lanes}u];`)} }
  sums[thread] = dot(low, low) + dot(high, high);
  workgroupBarrier();
  if (row >= params.rows) { return; }
  var sum = 0.0;
  for (var i = 0u; i < ${lanes}u; i++) { sum += sums[thread - lane + i]; }
  let cosine = cosines[row * ${lanes}u + lane];
  let sine = sines[row * ${lanes}u + lane];
  ${ofSet(
    (s) => `${base(s)}
    ${normed(s)}
    out${s}[base] = ${four(sets[s]!.out)}(low * cosine - high * sine);
    out${s}[base + ${lanes}u] = ${four(sets[s]!.out)}(high * cosine + low * sine);`,
  )}
}`,
  );
}
