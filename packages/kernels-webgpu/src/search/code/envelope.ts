// Elementwise largest and smallest key of each chunk, [B, Hkv, chunks, 2, d]: what the score `bound` reads.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { ElementType } from '../../device/features.ts';
import { areNaNumbers } from '../../code/finite.ts';
import { loadOctet, octetArray, octetFunctions, storeOctet } from './octets.ts';

export const ENVELOPE_LANES = 128;

export const ENVELOPE = uniformBlock('Sizes', {
  batchFirst: 'u32',
  keys: 'u32',
  /** Row of k, batches counted through, at which the key binding starts. */
  keyBase: 'u32',
  keyRows: 'u32',
  kvHeads: 'u32',
  firstChunk: 'u32',
  endChunk: 'u32',
  envelopeChunks: 'u32',
});

export interface EnvelopeKernel {
  readonly headDim: number;
  readonly type: ElementType;
  readonly sink: number;
  readonly chunk: number;
  readonly pageShift?: number | undefined;
}

/**
 * Bindings: sizes, k, envelope, [pages]. One lane per (chunk, head, octet) from `firstChunk` on; y is the batch. NaN bounds nothing,
 * infinities count as the largest number: a bound is a number then, on every tier.
 */
export function envelopeCode({ headDim, type, sink, chunk, pageShift }: EnvelopeKernel): string {
  const octets = headDim / 8;
  const array = octetArray(type);
  const most = type === 'f32' ? '3.4e38' : '65504.0';
  const take = (half: string): string => `{
      let number = clamp(x_${half}, vec4f(-${most}), vec4f(${most}));
      let absent = ${areNaNumbers(`x_${half}`)};
      max_${half} = max(max_${half}, select(number, vec4f(-${most}), absent));
      min_${half} = min(min_${half}, select(number, vec4f(${most}), absent));
    }`;
  return wgsl(
    ENVELOPE.declaration,
    bindings([
      'var<uniform> sizes: Sizes',
      `var<storage, read> k: ${array}`,
      `var<storage, read_write> envelope: ${array}`,
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    octetFunctions(type),
    `fn key_row(batch: u32, key: u32) -> u32 { return ${
      pageShift === undefined
        ? 'batch * sizes.keyRows + key - sizes.keyBase'
        : `(pages[key >> ${pageShift}u] << ${pageShift}u) | (key & ${2 ** pageShift - 1}u)`
    }; }
@compute @workgroup_size(${ENVELOPE_LANES})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let lane = id.x + id.z * groups.x * ${ENVELOPE_LANES}u;
  let batch = sizes.batchFirst + id.y;
  let c = lane % ${octets}u;
  let head = (lane / ${octets}u) % sizes.kvHeads;
  let chunk = sizes.firstChunk + lane / (${octets}u * sizes.kvHeads);
  if (chunk >= sizes.endChunk) { return; }
  let first = ${sink}u + chunk * ${chunk}u;
  let end = min(first + ${chunk}u, sizes.keys);
  var max_lo = vec4f(-${most});
  var max_hi = max_lo;
  var min_lo = vec4f(${most});
  var min_hi = min_lo;
  for (var key = first; key < end; key++) {
    ${loadOctet(type, 'k', `(key_row(batch, key) * sizes.kvHeads + head) * ${octets}u + c`, 'x')}
    ${take('lo')}
    ${take('hi')}
  }
  let at = ((batch * sizes.kvHeads + head) * sizes.envelopeChunks + chunk) * ${2 * octets}u + c;
  ${storeOctet(type, 'envelope', 'at', 'max_lo', 'max_hi')}
  ${storeOctet(type, 'envelope', `at + ${octets}u`, 'min_lo', 'min_hi')}
}`,
  );
}
