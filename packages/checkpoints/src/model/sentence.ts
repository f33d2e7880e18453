// The layout of sentence-transformers: modules.json says that a text's tokens are pooled to one vector, and how.
import type { CheckpointFiles } from '../files/files.ts';
import { optionalJson, optionalText } from '../files/files.ts';
import { parseJson } from '../json.ts';
import type { ModelConfig } from './config.ts';

/** Where each module of a list stands, by the last part of its type. */
interface Module {
  readonly kind: string;
  readonly path: string;
}

/**
 * A bare encoder that comes as a sentence encoder: what `modules.json` and the pooling's `config.json` say of it. Such of other modules
 * (Dense, maximum pooling) stay bare.
 *
 * @throws CheckpointError `invalid-config` for a pooling that is no JSON, and what reading the files throws
 */
export async function withSentenceLayout(config: ModelConfig, files: CheckpointFiles): Promise<ModelConfig> {
  if (config.head !== 'none' || config.causal || config.patches) return config;
  const modules = readModules(await optionalText(files, 'modules.json'));
  const [first, pooling, ...rest] = modules;
  const isKnown = first?.kind === 'Transformer' && first.path === '' && pooling?.kind === 'Pooling';
  if (!isKnown || rest.some(({ kind }) => kind !== 'Normalize')) return config;
  const settings = (await optionalJson(files, `${pooling.path}/config.json`)) ?? {};
  const modes = Object.keys(settings).filter((key) => key.startsWith('pooling_mode_') && settings[key] === true);
  const told = settings['pooling_mode'];
  const mode =
    typeof told === 'string' ? told : modes.length === 1 ? modes[0]?.replace('pooling_mode_', '') : undefined;
  const readout = { mean: 'mean', mean_tokens: 'mean', cls: 'first', cls_token: 'first' } as const;
  if (mode === undefined || !Object.hasOwn(readout, mode)) return config;
  const how = readout[mode as keyof typeof readout];
  return { ...config, head: 'sentence-embedding', readout: how, unitEmbedding: rest.length > 0 };
}

function readModules(text: string | undefined): readonly Module[] {
  const value = text === undefined ? undefined : parseJson(text).value;
  if (!Array.isArray(value)) return [];
  return value.map((entry: unknown) => {
    const { type, path } = Object(entry) as { readonly type?: unknown; readonly path?: unknown };
    const kind = typeof type === 'string' ? (type.split('.').at(-1) ?? '') : '';
    // Folders beside the list only.
    const isPlain = typeof path === 'string' && /^[\w-]*$/.test(path);
    return { kind: isPlain ? kind : '', path: isPlain ? path : '' };
  });
}
