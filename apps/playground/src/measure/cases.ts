// What a visitor asks for, checked: lengths, runs, devices.
import { PlaygroundError } from '../rpc/protocol.ts';
import type { Case, Device, Part } from './protocol.ts';

/** A query block at least; at most what 32-bit WebAssembly holds beside a peer's copies. */
export const LENGTHS: Readonly<Record<Part, readonly [least: number, most: number]>> = {
  prefill: [64, 32_768],
  decode: [64, 262_144],
};
export const RUNS: readonly [least: number, most: number] = [1, 50];

/**
 * Lengths as a visitor writes them, `1024, 2048`: ascending, each once; none in an empty text.
 *
 * @throws PlaygroundError `invalid-lengths`
 */
export function parseLengths(text: string, part: Part): number[] {
  const [least, most] = LENGTHS[part];
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const lengths = words.map((word) => {
    const length = /^\d+$/.test(word) ? Number(word) : Number.NaN;
    if (length >= least && length <= most) return length;
    const message = `${part}: "${word.slice(0, 40)}" is no length: write whole numbers of tokens from ${least} to ${most}, with commas between`;
    throw new PlaygroundError('invalid-lengths', message);
  });
  return [...new Set(lengths)].sort((a, b) => a - b);
}

export interface Wish {
  readonly prefill: string;
  readonly decode: string;
  readonly runs: number;
  readonly devices: readonly Device[];
}

/** @throws PlaygroundError `invalid-lengths`, `invalid-runs`, `nothing-to-measure` */
export function casesOf({ prefill, decode, runs, devices }: Wish): Case[] {
  const [least, most] = RUNS;
  if (!Number.isInteger(runs) || runs < least || runs > most)
    throw new PlaygroundError('invalid-runs', `runs is ${runs}: give a whole number from ${least} to ${most}`);
  const lengths = { prefill: parseLengths(prefill, 'prefill'), decode: parseLengths(decode, 'decode') };
  const cases = devices.flatMap((device) =>
    (['prefill', 'decode'] as const).flatMap((part) => lengths[part].map((tokens) => ({ part, device, tokens }))),
  );
  if (cases.length === 0)
    throw new PlaygroundError('nothing-to-measure', 'there is no length: give one for prefill or for decode');
  return cases;
}
