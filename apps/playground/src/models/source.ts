// Where a model's files are: the site's own, an address, the Hub, files that the visitor picked.
import { blobSource, locate, openBrowserCache, type CheckpointFiles } from '@hip/checkpoints';
import { PlaygroundError } from '../rpc/protocol.ts';

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: 'bundled' }
  /** `https://…`, a Hub name `owner/name`, `hf://owner/name[@revision][/file.gguf]`. */
  | { readonly kind: 'address'; readonly address: string }
  /** Of a file or folder picker. */
  | { readonly kind: 'files'; readonly files: readonly File[] };

/** Files, and the GGUF among them that is meant. */
export interface SourceFiles {
  readonly files: CheckpointFiles;
  readonly gguf?: string | undefined;
}

const HUB = /^(?:hf:\/\/)?(\w[\w.-]*\/\w[\w.-]*?)(?:@([\w./-]+?))?(\/[^@]+\.gguf)?$/i;

/**
 * The address behind what a visitor types.
 *
 * @throws PlaygroundError `bad-address`
 */
export function addressOf(typed: string): string {
  const text = typed.trim();
  if (/^https?:\/\//i.test(text)) {
    if (URL.canParse(text)) return text;
  } else {
    const [, repo, revision = 'main', file = ''] = HUB.exec(text) ?? [];
    if (repo) return `https://huggingface.co/${repo}/resolve/${revision}${file}`;
  }
  const message = `"${text}" is no address: give https://…/model.gguf, the address of a model's folder, or a Hub name such as HuggingFaceTB/SmolLM2-135M-Instruct`;
  throw new PlaygroundError('bad-address', message);
}

/**
 * The files of a source; what is downloaded is kept by the browser, where it keeps such things.
 *
 * @param bundled - address of the site's own model
 * @throws PlaygroundError `bad-address`, `no-files`
 */
export async function sourceFiles(
  source: ModelSource,
  bundled: string,
  signal: AbortSignal,
  onProgress: (progress: { readonly loaded: number; readonly total: number }) => void,
): Promise<SourceFiles> {
  if (source.kind === 'files') return { files: pickedFiles(source.files) };
  const { files, gguf } = locate(source.kind === 'bundled' ? bundled : addressOf(source.address), { signal });
  // Private windows have no such file system: the network is asked each time then.
  const cache = await openBrowserCache().catch(() => undefined);
  return { files: cache?.files(files, { signal, onProgress }) ?? files, gguf };
}

/** Files of a picker as a checkpoint's. Of a folder the names are those within it. @throws PlaygroundError `no-files` */
export function pickedFiles(files: readonly File[]): CheckpointFiles {
  if (files.length === 0) {
    const message = 'no file is chosen: choose a .gguf file, or config.json, tokenizer.json and *.safetensors together';
    throw new PlaygroundError('no-files', message);
  }
  const byName = new Map(
    files.map((file) => [file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file]),
  );
  const [first] = files;
  const location = first!.webkitRelativePath.split('/')[0] || (files.length === 1 ? first!.name : 'the chosen files');
  return {
    location,
    open: async (name) => {
      const file = byName.get(name);
      return file && blobSource(file, name);
    },
    text: async (name) => byName.get(name)?.text(),
    list: async () => [...byName.keys()],
  };
}
