// adapter_config.json: which of peft's LoRA it is, and the scale of each module.
import * as v from 'valibot';
import { SupernetError } from '../../errors.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const patterns = v.nullish(v.record(v.string(), v.number()), {});
const schema = v.looseObject({
  peft_type: v.string(),
  r: count,
  lora_alpha: v.pipe(v.number(), v.finite()),
  use_rslora: v.nullish(v.boolean(), false),
  bias: v.nullish(v.string(), 'none'),
  init_lora_weights: v.nullish(v.union([v.boolean(), v.string()]), true),
  rank_pattern: patterns,
  alpha_pattern: patterns,
});

/** What of adapter_config.json decides the numbers. */
export interface PeftConfig {
  readonly rankOf: (module: string) => number;
  readonly alphaOf: (module: string) => number;
  /** α/√r instead of α/r (Kalajdzievski 2023). */
  readonly isRankStabilized: boolean;
}

/** Beginnings that leave the base's weights as they are. */
const PLAIN_STARTS: readonly (boolean | string)[] = [true, false, 'gaussian', 'eva', 'orthogonal'];

/** Settings that make another computation of it, where they say something. */
const VARIANTS = [
  'lora_bias',
  'layer_replication',
  'alora_invocation_tokens',
  'trainable_token_indices',
  'target_parameters',
  'arrow_config',
  'kasa_config',
  'velora_config',
  'monteclora_config',
];

/** @throws SupernetError `invalid-config`, `unsupported` naming the setting and what to do */
export function readPeftConfig(raw: Readonly<Record<string, unknown>>, location: string): PeftConfig {
  const parsed = v.safeParse(schema, raw);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? '';
    const message = `${location}/adapter_config.json: ${path} ${issue.message}`;
    throw new SupernetError('invalid-config', message, { location, path });
  }
  const config = parsed.output;
  const refuse = (name: string, value: unknown, fix: string): never => {
    const message = `${location}/adapter_config.json: ${name} = ${JSON.stringify(value)} is not supported, ${fix}`;
    throw new SupernetError('unsupported', message, { name, value });
  };
  const merge = 'merge it by peft (merge_and_unload) and load the merged checkpoint';
  if (config.peft_type !== 'LORA') refuse('peft_type', config.peft_type, 'LORA is');
  if (config.bias !== 'none') refuse('bias', config.bias, merge);
  if (!PLAIN_STARTS.includes(config.init_lora_weights)) {
    refuse('init_lora_weights', config.init_lora_weights, `it changes the base's weights: ${merge}`);
  }
  for (const [name, value] of Object.entries(raw)) {
    const says = Boolean(value) && !(Array.isArray(value) && value.length === 0);
    const isVariant = VARIANTS.includes(name) || (name.startsWith('use_') && name !== 'use_rslora');
    if (says && isVariant) refuse(name, value, merge);
  }
  return {
    rankOf: patternValue('rank_pattern', config.rank_pattern ?? {}, config.r, refuse),
    alphaOf: patternValue('alpha_pattern', config.alpha_pattern ?? {}, config.lora_alpha, refuse),
    isRankStabilized: config.use_rslora ?? false,
  };
}

/** Literal names, digits, classes of characters and two `.*` at most: nothing that takes long to match. */
const PLAIN_PATTERN = /^\^?(?:[\w-]|\\?\.|\\d\+?|\[[\w-]+\]\+?|\((?:[\w.-]+\|)*[\w.-]+\)|\.\*)*\$?$/;

/** The value of the first pattern that a module's name ends in, as peft's `get_pattern_key` finds it. */
function patternValue(
  name: string,
  patterns: Readonly<Record<string, number>>,
  usual: number,
  refuse: (name: string, value: unknown, fix: string) => never,
): (module: string) => number {
  const tests = Object.entries(patterns).map(([pattern, value]) => {
    const isPlain = PLAIN_PATTERN.test(pattern) && pattern.length <= 200 && pattern.split('.*').length <= 3;
    if (!isPlain) refuse(name, pattern, 'name the modules instead of the regular expression');
    return { test: new RegExp(`^(?:.*\\.)?(?:${pattern})$`), value };
  });
  return (module) => tests.find(({ test }) => test.test(module))?.value ?? usual;
}
