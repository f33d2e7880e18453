// Whether a profile was made of this model: a few numbers that the model computes, since a model is only a function here.
import { HipError } from '@hip/mask-search';
import { KvCache } from '../cache.ts';
import { denseModelAttention } from '../model.ts';
import { hiddenStates, type MeasuredModel } from './model.ts';
import type { CalibrationProfile } from './profile.ts';

const PROBE = Int32Array.of(0, 1, 2, 3);
const NUMBERS = 8;
/** Other weights give something unrelated; other backends and mild quantisation stay below. */
const TOLERANCE = 0.25;

/** Evenly spaced channels of the hidden state after tokens 0, 1, 2, 3, divided by their length, four digits each. */
export async function fingerprintOf(model: MeasuredModel): Promise<number[]> {
  using cache = new KvCache();
  const hidden = hiddenStates(model, PROBE, { attention: denseModelAttention(), cache });
  const width = hidden.shape[1];
  const values = (await hidden.data()).subarray(-width);
  hidden.dispose();
  const picked = Array.from({ length: Math.min(NUMBERS, width) }, (_, i) => values[Math.floor((i * width) / NUMBERS)]!);
  const length = Math.hypot(...picked);
  return picked.map((x) => Number((length > 0 ? x / length : 0).toPrecision(4)));
}

/**
 * Refuses a profile of another model.
 *
 * @throws HipError `unsupported` where the model computes something else; what the model throws
 */
export async function checkProfile(profile: CalibrationProfile, model: MeasuredModel): Promise<void> {
  const { fingerprint, name } = profile.model;
  const found = await fingerprintOf(model);
  const apart =
    found.length === fingerprint.length ? Math.hypot(...found.map((x, i) => x - fingerprint[i]!)) : Infinity;
  if (apart <= TOLERANCE) return;
  const message = `the profile is of ${name ?? 'another model'}, and this model computes [${found.join()}] where that one computed [${fingerprint.join()}]: calibrate this one`;
  throw new HipError('unsupported', message, { found, fingerprint });
}
