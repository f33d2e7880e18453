// Configurations by name: default, vote, paper, profile, dense, and changes of them: "vote:k=448,window=128", "k=256".
import { profileConfig, type ModelAttentionOptions } from '@hip/attention';
import { booksLm14m, booksLm6m, smollm2 } from '@hip/attention/profiles';
import {
  DEFAULT_CONFIG,
  FAST_CONFIG,
  PAPER_CONFIG,
  resolveConfig,
  VOTE_CONFIG,
  type HipConfig,
} from '@hip/mask-search';

const STOCK: Readonly<Record<string, HipConfig>> = {
  default: DEFAULT_CONFIG,
  vote: VOTE_CONFIG,
  fast: FAST_CONFIG,
  paper: PAPER_CONFIG,
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
 * `NAME`, `NAME:FIELD=VALUE,…` or `FIELD=VALUE,…`, which changes the vote. Values are JSON, `off` is undefined; without stages of its
 * own, another `k` adapts them.
 *
 * @throws on a name or value that is none
 */
export function configurationOf(text: string): Named {
  const name = text.trim();
  if (name === 'dense') return { name, options: { dense: 'always' } };
  const [, stock = 'vote', changes = ''] = /^(?:([\w-]+)(?::|$))?(.*)$/s.exec(name)!;
  const base = STOCK[stock];
  if (!base)
    throw new Error(`no configuration "${stock}": use dense, ${Object.keys(STOCK).join(', ')}, or vote:FIELD=VALUE`);
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
