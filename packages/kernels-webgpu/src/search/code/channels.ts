// The channels that a stage multiplies: all of them, or the slower half of the rotary pairs (docs/specification/hip.md §8.1), by octets.
import type { MassStage } from '@hip/mask-search';

/** Octets of a vector that take part, numbered without gaps. */
export interface ChannelOctets {
  readonly count: number;
  /** Expression: the octet of the whole vector that the c-th one is. */
  readonly at: (c: string) => string;
  /**
   * Expression of `vec4<bool>`: which of the four channels of a half of octet `c` take part. Absent: all do. Rows hold 0 in the others,
   * so that products need not know.
   */
  readonly partial?: ((c: string, half: 'lo' | 'hi') => string) | undefined;
}

/** Octets of vectors of `headDim` numbers, a multiple of 8. With a multiple of 32 the slow half is whole octets. */
export function channelOctets(headDim: number, dims: MassStage['dims'] = 'all'): ChannelOctets {
  const octets = headDim / 8;
  if (dims === 'all') return { count: octets, at: (c) => c };
  const quarter = octets / 4;
  if (headDim % 32 === 0)
    return { count: 2 * quarter, at: (c) => `(${c} + select(${2 * quarter}u, ${quarter}u, ${c} < ${quarter}u))` };
  const slow = (c: string, half: 'lo' | 'hi'): string =>
    `((vec4u(8u * ${c} + ${half === 'lo' ? 0 : 4}u) + vec4u(0u, 1u, 2u, 3u)) / vec4u(${headDim / 4}u)) % vec4u(2u) == vec4u(1u)`;
  return { count: octets, at: (c) => c, partial: slow };
}
