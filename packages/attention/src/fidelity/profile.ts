// A calibration as it is stored beside a model: JSON of a few hundred numbers (docs/specification/hip.md §8.5).
import { HipError, resolveConfig, type HipConfig, type LayerOverride } from '@hip/mask-search';
import type { CurveConfig } from './mass-curves.ts';

/** The version that this package writes and reads. */
export const PROFILE_VERSION = 1;

/** What budgets were found for a model, and what they were found on. Plain data. */
export interface CalibrationProfile {
  readonly version: typeof PROFILE_VERSION;
  readonly model: {
    /** What the caller calls it. */
    readonly name?: string | undefined;
    /** Some of the model's final hidden states after tokens 0, 1, 2, 3, divided by their length: see `checkProfile`. */
    readonly fingerprint: readonly number[];
    readonly heads: number;
  };
  /** What it was calibrated on: tokens read, and blocks of rows whose probabilities were summed, all from `from` on. */
  readonly text: { readonly tokens: number; readonly from: number; readonly rowBlocks: number };
  /** The search that budgets are for; `k` is the mean of a sparse layer's heads. */
  readonly config: CurveConfig & { readonly k: number };
  /** What each layer does differently: `layers` of a configuration. */
  readonly layers: readonly LayerOverride[];
  /** What the text lost with these budgets, where it was measured. */
  readonly measured?: MeasuredProfile | undefined;
}

export interface MeasuredProfile {
  /** Mean KL from dense attention over the text from `from` on, in 10⁻³ nats. */
  readonly kl: number;
  readonly perplexityRatio: number;
  /** Keys and pseudo-keys of a row in sparse layers, on average. */
  readonly keysPerRow: number;
  readonly pseudoKeysPerRow: number;
}

const SHARED = ['blockQ', 'blockK', 'window', 'sink'] as const;

const fail = (name: string, value: unknown, fix: string): never => {
  const shown = JSON.stringify(value) ?? typeof value;
  throw new HipError('invalid-config', `${name} of the profile is ${shown.slice(0, 80)}: ${fix}`, { name, value });
};

/**
 * Reads a profile from JSON, text or parsed, and checks all of it.
 *
 * @throws HipError `invalid-config` naming the field, the value and the fix
 *
 * @example
 * ```ts
 * import { loadProfile, profileConfig } from '@hip/attention';
 *
 * const json = `{"version": 1, "model": {"fingerprint": [0.6, -0.8], "heads": 2},
 *   "text": {"tokens": 4096, "from": 2048, "rowBlocks": 32},
 *   "config": {"k": 320, "blockQ": 64, "blockK": 2, "window": 64, "sink": 16},
 *   "layers": [{"dense": true}, {"kPerHead": [500, 140], "remainder": false}]}`;
 * const { layers, k } = profileConfig(loadProfile(json)); // hipModelAttention({ config: profileConfig(profile) })
 * console.log([k, ...layers![1]!.kPerHead!]); // => [ 320, 500, 140 ]
 * ```
 */
export function loadProfile(json: unknown): CalibrationProfile {
  const given = typeof json === 'string' ? parse(json) : json;
  const profile = objectOf('the whole', given);
  if (profile['version'] !== PROFILE_VERSION)
    fail('version', profile['version'], `this package reads version ${PROFILE_VERSION}: calibrate again`);
  const model = objectOf('model', profile['model']);
  const fingerprint = model['fingerprint'];
  if (!Array.isArray(fingerprint) || fingerprint.length === 0 || !fingerprint.every((x) => Number.isFinite(x)))
    fail('model.fingerprint', fingerprint, 'give a list of finite numbers');
  if (model['name'] !== undefined && typeof model['name'] !== 'string')
    fail('model.name', model['name'], 'give a text, or leave it out');
  const heads = integer('model.heads', model['heads'], 1);
  const text = objectOf('text', profile['text']);
  for (const name of ['tokens', 'from', 'rowBlocks']) integer(`text.${name}`, text[name], 0);
  const config = objectOf('config', profile['config']);
  for (const name of ['k', 'blockQ', 'blockK'] as const) integer(`config.${name}`, config[name], 1);
  for (const name of ['window', 'sink'] as const) integer(`config.${name}`, config[name], 0);
  const layers = profile['layers'];
  if (!Array.isArray(layers)) fail('layers', layers, 'give a list, {} for a layer as the others');
  if (profile['measured'] !== undefined) {
    const measured = objectOf('measured', profile['measured']);
    for (const name of ['kl', 'perplexityRatio', 'keysPerRow', 'pseudoKeysPerRow'])
      if (!Number.isFinite(measured[name])) fail(`measured.${name}`, measured[name], 'give a number');
  }
  const checked = profile as unknown as CalibrationProfile;
  checkLayers(checked);
  for (const [layer, { kPerHead }] of checked.layers.entries())
    if (kPerHead && kPerHead.length !== heads)
      fail(`layers[${layer}].kPerHead`, kPerHead, `give ${heads} numbers, one a head`);
  return checked;
}

/**
 * The configuration of a profile: `base` with its layers worked in. Which layers are dense, the profile alone says.
 *
 * @param base what was calibrated. @defaultValue DEFAULT_CONFIG, with the profile's blocks, window and sinks
 * @throws HipError `invalid-config` where `base` searches other blocks, windows or sinks than were calibrated
 */
export function profileConfig(profile: CalibrationProfile, base: Partial<HipConfig> = {}): HipConfig {
  const { k: _, ...shared } = profile.config;
  for (const name of SHARED)
    if ((base[name] ?? shared[name]) !== shared[name])
      fail(`config.${name}`, shared[name], `the configuration has ${base[name]}: calibrate with it`);
  return resolveConfig({ ...base, ...shared, denseLayers: 0, layers: profile.layers });
}

/** Every layer's deviations, as any configuration's are checked, whatever stages they will meet. */
function checkLayers({ config, layers }: CalibrationProfile): void {
  const { k, blockK } = config;
  const stage = { chunk: blockK, strideQ: 1, rows: 'max', score: 'exact' } as const;
  const stages = [
    { ...stage, keep: k },
    { ...stage, keep: k },
  ];
  if (k % blockK !== 0) fail('config.k', k, `give a multiple of blockK = ${blockK}`);
  resolveConfig({ ...config, stages, layers });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new HipError('invalid-config', `the profile is no JSON: ${String(cause)}`, { name: 'profile' }, { cause });
  }
}

function objectOf(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(name, value, 'give an object');
  return value as Record<string, unknown>;
}

function integer(name: string, value: unknown, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) fail(name, value, `give an integer >= ${least}`);
  return value as number;
}
