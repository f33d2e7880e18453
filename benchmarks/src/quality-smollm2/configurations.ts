// Configurations by name: default, bounds, paper, profile, dense, and changes of them: "default:k=448,window=128", "k=256".
import { profileConfig, type ModelAttentionOptions } from '@hip/attention';
import { booksLm14m, booksLm6m, smollm2 } from '@hip/attention/profiles';
import {
  BOUND_CONFIG,
  DEFAULT_CONFIG,
  INFINITE_HIP_CONFIG,
  PAPER_CONFIG,
  resolveConfig,
  type HipConfig,
} from '@hip/mask-search';

const STOCK: Readonly<Record<string, HipConfig>> = {
  default: DEFAULT_CONFIG,
  bounds: BOUND_CONFIG,
  paper: PAPER_CONFIG,
  'infinite-hip': INFINITE_HIP_CONFIG,
  profile: profileConfig(smollm2),
  'profile-books-lm-6m': profileConfig(booksLm6m),
  'profile-books-lm-14m': profileConfig(booksLm14m),
};

/** A configuration that a benchmark names, as a model's attention takes it. */
export interface Named {
  readonly name: string;
  readonly options: ModelAttentionOptions;
}

/**
 * `NAME`, `NAME:FIELD=VALUE,…` or `FIELD=VALUE,…`, which changes the default. Values are JSON, `off` is undefined; without stages of its
 * own, another `k` adapts them.
 *
 * @throws on a name or value that is none
 */
export function configurationOf(text: string): Named {
  const name = text.trim();
  if (name === 'dense') return { name, options: { dense: 'always' } };
  const [, stock = 'default', changes = ''] = /^(?:([\w-]+)(?::|$))?(.*)$/s.exec(name)!;
  const base = STOCK[stock];
  if (!base)
    throw new Error(`no configuration "${stock}": use dense, ${Object.keys(STOCK).join(', ')}, or default:FIELD=VALUE`);
  const given = Object.fromEntries(
    changes
      .split(/,(?=\w+=)/)
      .filter(Boolean)
      .map((change) => {
        const [, field, value] = /^(\w+)=(.+)$/s.exec(change) ?? [];
        if (!field || !value || !(field in { ...PAPER_CONFIG, layers: 0, kPerHead: 0, kDense: 0, kPerLayer: 0 }))
          throw new Error(`"${change}" in "${name}": give FIELD=VALUE of a configuration`);
        return [field, value === 'off' ? undefined : (JSON.parse(value) as unknown)];
      }),
  );
  return { name, options: { config: resolveConfig(given, base), dense: 'never' } };
}
