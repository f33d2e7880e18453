// Two vectors a chunk of keys, [B, Hkv, chunks, 2, d]: elementwise largest and smallest (score `bound`), or mean and variance (`deviation`).
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { ElementType } from '../../device/features.ts';
import { areNaNumbers, notFinite } from '../../code/finite.ts';
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

/** Scores that read a summary of each chunk. */
export type SummaryScore = 'bound' | 'deviation';

export interface EnvelopeKernel {
  readonly headDim: number;
  /** Of the keys. */
  readonly type: ElementType;
  /** @defaultValue 'bound' */
  readonly score?: SummaryScore | undefined;
  /** Of the two vectors. @defaultValue as the keys */
  readonly store?: ElementType | undefined;
  readonly sink: number;
  readonly chunk: number;
  readonly pageShift?: number | undefined;
}

/**
 * Bindings: sizes, k, envelope, [pages]. One lane per (chunk, head, octet) from `firstChunk` on; y is the batch. NaN bounds nothing,
 * infinities count as the largest number: a bound is a number then, on every tier. Means and variances leave both out, channel by
 * channel; the variance is Welford's, so that equal keys have none.
 */
export function envelopeCode(kernel: EnvelopeKernel): string {
  const { headDim, type, sink, chunk, pageShift, score = 'bound', store = type } = kernel;
  const octets = headDim / 8;
  const array = octetArray(type);
  const most = store === 'f32' ? '3.4e38' : '65504.0';
  const bound = (half: string): string => `{
      let number = clamp(x_${half}, vec4f(-${most}), vec4f(${most}));
      let absent = ${areNaNumbers(`x_${half}`)};
      max_${half} = max(max_${half}, select(number, vec4f(-${most}), absent));
      min_${half} = min(min_${half}, select(number, vec4f(${most}), absent));
    }`;
  const moment = (half: string): string => `{
      let present = !${notFinite(`x_${half}`, 4)};
      let number = select(mean_${half}, x_${half}, present);
      count_${half} += select(vec4f(0.0), vec4f(1.0), present);
      let off = number - mean_${half};
      mean_${half} += off / max(count_${half}, vec4f(1.0));
      spread_${half} += off * (number - mean_${half});
    }`;
  const take = score === 'bound' ? bound : moment;
  const begin =
    score === 'bound'
      ? `var max_lo = vec4f(-${most});
  var max_hi = max_lo;
  var min_lo = vec4f(${most});
  var min_hi = min_lo;`
      : ['lo', 'hi']
          .map(
            (half) => `var mean_${half} = vec4f(0.0); var spread_${half} = vec4f(0.0); var count_${half} = vec4f(0.0);`,
          )
          .join('\n  ');
  const kept = (value: string): string => `clamp(${value}, vec4f(-${most}), vec4f(${most}))`;
  // Like the reference's, the variance of a chunk that is cut short counts its missing keys.
  const spread = (half: string): string =>
    kept(`spread_${half} / max(vec4f(${chunk}.0) - vec4f(f32(end - first)) + count_${half}, vec4f(1.0))`);
  const [first, second] =
    score === 'bound'
      ? [
          ['max_lo', 'max_hi'],
          ['min_lo', 'min_hi'],
        ]
      : [
          [kept('mean_lo'), kept('mean_hi')],
          [spread('lo'), spread('hi')],
        ];
  return wgsl(
    ENVELOPE.declaration,
    bindings([
      'var<uniform> sizes: Sizes',
      `var<storage, read> k: ${array}`,
      `var<storage, read_write> envelope: ${octetArray(store)}`,
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    octetFunctions(store),
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
  ${begin}
  for (var key = first; key < end; key++) {
    ${loadOctet(type, 'k', `(key_row(batch, key) * sizes.kvHeads + head) * ${octets}u + c`, 'x')}
    ${take('lo')}
    ${take('hi')}
  }
  let at = ((batch * sizes.kvHeads + head) * sizes.envelopeChunks + chunk) * ${2 * octets}u + c;
  ${storeOctet(store, 'envelope', 'at', first[0]!, first[1]!)}
  ${storeOctet(store, 'envelope', `at + ${octets}u`, second[0]!, second[1]!)}
}`,
  );
}
