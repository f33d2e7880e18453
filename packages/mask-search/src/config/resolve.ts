// A whole configuration from what a caller gives of it, every value checked.
import { HipError } from '../errors.ts';
import type { EnsembleConfig, HipConfig, LayerOverride, Representative } from './config.ts';
import { checkFields } from './fields.ts';
import { applyOverride } from './override.ts';
import { resolveRemainder } from './remainder.ts';
import { checkStages, boundStages, MOST, splitStages, voteStages, type SearchStage } from './stages.ts';
import { DEFAULT_CONFIG } from './stock.ts';

const MINIMUM = {
  k: 1,
  blockQ: 1,
  blockK: 1,
  strideQ: 1,
  strideK: 1,
  window: 0,
  sink: 0,
  refreshInterval: 1,
  denseLayers: 0,
  seed: 0,
} as const;

/** Every field of a configuration, of a layer's deviations, and of an ensemble. */
const FIELDS = Object.keys({
  ...MINIMUM,
  representative: 0,
  causal: 0,
  shareHeads: 0,
  denseTokens: 0,
  kDense: 0,
  stages: 0,
  ensemble: 0,
  kPerHead: 0,
  remainder: 0,
  decodeKeys: 0,
  kPerLayer: 0,
  layers: 0,
} satisfies Record<keyof HipConfig, 0 | 1>);
const LAYER_FIELDS = Object.keys({ dense: 0, k: 0, kPerHead: 0, remainder: 0, candidates: 0 } satisfies Record<
  keyof LayerOverride,
  0
>);
const ENSEMBLE_FIELDS = Object.keys({ members: 0, votes: 0, truncate: 0, rounds: 0 } satisfies Record<
  keyof EnsembleConfig,
  0
>);

const REPRESENTATIVES: readonly string[] = ['center', 'first', 'last', 'random', 'oracle'] satisfies Representative[];
const DECODE_KEYS: readonly string[] = ['selected', 'candidates'] satisfies HipConfig['decodeKeys'][];

function fail(name: string, value: unknown, fix: string, at = name): never {
  throw new HipError('invalid-config', `${at} is ${String(value)}: give ${fix}`, { name, value });
}

/**
 * Fills in defaults, also for what is undefined, and checks every value. Another `k` without `stages` adapts the default's stages; `stages: undefined`
 * selects the tree search, `remainder: undefined` no remainder, `denseTokens: undefined` dense layers at any length. The default's
 * remainder goes with its stages: a configuration with `stages` of its own has one where it names one.
 *
 * @throws HipError `invalid-config` naming the field, the value and the fix
 * @example
 * ```ts
 * import { resolveConfig } from '@hip/mask-search';
 * console.log(resolveConfig({ k: 256 }).stages?.at(-1)?.keep); // => 256
 * ```
 */
export function resolveConfig(config: Partial<HipConfig> = {}, defaults: HipConfig = DEFAULT_CONFIG): HipConfig {
  checkForm(config);
  const meant = (name: string, value: unknown): boolean =>
    value !== undefined || name === 'stages' || name === 'remainder' || name === 'denseTokens';
  const given = Object.fromEntries(Object.entries(config).filter(([name, value]) => meant(name, value)));
  const alone = 'stages' in config && !('remainder' in config) && { remainder: undefined };
  const merged: HipConfig = { ...defaults, ...given, ...adaptedStages(config, defaults), ...alone };
  checkOne(merged);
  checkLayers(merged);
  return { ...merged, ...(merged.remainder && { remainder: resolveRemainder(merged.remainder) }) };
}

/** The default's stages for another budget, where no stages are given. */
function adaptedStages(
  config: Partial<HipConfig>,
  { k, blockK, stages }: HipConfig,
): { readonly stages?: readonly SearchStage[] } {
  if ('stages' in config || !stages) return {};
  if (splitStages(stages).vote) {
    const [keys, block] = [config.k ?? k, config.blockK ?? blockK];
    return keys === k && block === blockK ? {} : { stages: voteStages(keys, block) };
  }
  const first = splitStages(stages).scored[0];
  return config.k === undefined ? {} : { stages: boundStages(config.k, first?.strideQ) };
}

/** Everything but the layers' deviations. */
function checkOne(config: HipConfig): void {
  for (const [name, minimum] of Object.entries(MINIMUM) as [keyof typeof MINIMUM, number][]) {
    const value = config[name];
    checkInteger(name, value, minimum, name === 'seed' ? Infinity : MOST);
  }
  for (const name of ['causal', 'shareHeads'] as const)
    if (typeof config[name] !== 'boolean') fail(name, config[name], 'true or false');
  if (!REPRESENTATIVES.includes(config.representative))
    fail('representative', config.representative, `one of ${REPRESENTATIVES.join(', ')}`);
  if (!DECODE_KEYS.includes(config.decodeKeys))
    fail('decodeKeys', config.decodeKeys, `one of ${DECODE_KEYS.join(', ')}`);
  if (config.denseTokens !== undefined) checkInteger('denseTokens', config.denseTokens, 1);
  if (config.kDense !== undefined) checkInteger('kDense', config.kDense, 1);
  if (config.stages) checkStages(config.stages, config);
  checkEnsemble(config);
  for (const k of config.kPerLayer ?? [])
    if (!Number.isSafeInteger(k) || k < 1)
      throw new HipError('invalid-config', `kPerLayer holds ${k}: give integers >= 1`, { name: 'kPerLayer', value: k });
  checkHeads(config);
  if (config.remainder) resolveRemainder(config.remainder);
  if (config.decodeKeys === 'candidates' && config.stages?.length === 1 && config.stages[0]!.score === 'mass')
    fail('decodeKeys', 'candidates', 'selected, or a stage before the vote: its candidates are all keys');
}

function checkInteger(name: string, value: number, minimum: number, most = MOST): void {
  if (!Number.isSafeInteger(value) || value < minimum) fail(name, value, `an integer >= ${minimum}`);
  if (value > most) fail(name, value, `at most ${most}`);
}

/** Budgets a head: their number is checked where the heads are known. */
function checkHeads({ kPerHead, blockK, shareHeads, stages }: HipConfig): void {
  if (!kPerHead) return;
  if (shareHeads)
    fail('kPerHead', `[${kPerHead.join()}]`, 'no budgets by head with shareHeads: the heads have one mask');
  const most = stages?.at(-2)?.keep ?? MOST;
  kPerHead.forEach((k, head) => {
    const at = `kPerHead[${head}]`;
    if (!Number.isSafeInteger(k) || k < 0 || k % blockK !== 0)
      fail('kPerHead', k, `a multiple of blockK = ${blockK}, or 0`, at);
    if (k > most)
      fail('kPerHead', k, `at most ${most}, or more ${stages ? 'tokens to the stage before the last' : 'k'}`, at);
  });
}

/** Each layer's deviations alone, and the configuration that they make. */
function checkLayers(config: HipConfig): void {
  config.layers?.forEach((override: unknown, layer) => {
    const at = `layers[${layer}]`;
    if (typeof override !== 'object' || override === null) fail('layers', override, '{} or deviations', at);
    checkFields(override, LAYER_FIELDS, at);
    const { dense, k, kPerHead, remainder, candidates } = override as LayerOverride;
    if (dense !== undefined && typeof dense !== 'boolean') fail('layers', dense, 'true or false', `${at}.dense`);
    for (const [name, value] of Object.entries({ k, candidates }))
      if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && value <= MOST))
        fail('layers', value, 'an integer >= 1', `${at}.${name}`);
    if (kPerHead !== undefined && !Array.isArray(kPerHead)) fail('layers', kPerHead, 'a list', `${at}.kPerHead`);
    if (candidates !== undefined && !(config.stages && config.stages.length > 1))
      fail('layers', candidates, 'candidates to stages: one before the last leaves them', `${at}.candidates`);
    try {
      if (remainder !== undefined && remainder !== false) resolveRemainder(remainder);
      checkOne(applyOverride(config, override));
    } catch (error) {
      if (!(error instanceof HipError)) throw error;
      throw new HipError(error.code, `${at}: ${error.message}`, { ...error.details, name: 'layers', layer });
    }
  });
}

/** What callers without types pass. */
function checkForm(config: unknown): void {
  if (typeof config !== 'object' || config === null) fail('config', config, 'an object, or leave it out');
  checkFields(config, FIELDS, 'config');
  const { stages, kPerLayer, kPerHead, layers, ensemble } = config as Record<string, unknown>;
  if (stages !== undefined && !Array.isArray(stages)) fail('stages', stages, 'a list of stages');
  if (kPerLayer !== undefined && !Array.isArray(kPerLayer)) fail('kPerLayer', kPerLayer, 'a list of integers >= 1');
  if (kPerHead !== undefined && !Array.isArray(kPerHead)) fail('kPerHead', kPerHead, 'a list of integers >= 0');
  if (layers !== undefined && !Array.isArray(layers)) fail('layers', layers, 'a list, {} for a layer as the others');
  if (ensemble !== undefined && (typeof ensemble !== 'object' || ensemble === null))
    fail('ensemble', ensemble, '{ members, votes, truncate, rounds }');
  if (ensemble) checkFields(ensemble, ENSEMBLE_FIELDS, 'ensemble');
}

function checkEnsemble({ ensemble, stages }: HipConfig): void {
  if (!ensemble) return;
  const { members, votes = 1, rounds = [0, 0] } = ensemble;
  const refuse = (name: string, value: number, fix: string): never => {
    throw new HipError('invalid-config', `ensemble.${name} is ${value}: ${fix}`, { name: 'ensemble', value });
  };
  if (stages) refuse('members', members, 'ensembles are of tree searches: set stages to undefined');
  if (!Number.isSafeInteger(members) || members < 1) refuse('members', members, 'give an integer >= 1');
  if (!Number.isSafeInteger(votes) || votes < 1 || votes > members)
    refuse('votes', votes, `give an integer from 1 to members = ${members}`);
  for (const round of rounds)
    if (!Number.isSafeInteger(round) || round < 0) refuse('rounds', round, 'give integers >= 0');
  if (rounds.length !== 2 || rounds[0] > rounds[1]) {
    const message = `ensemble.rounds is [${rounds.join()}]: give the first round and the last`;
    throw new HipError('invalid-config', message, { name: 'ensemble', value: rounds });
  }
}
