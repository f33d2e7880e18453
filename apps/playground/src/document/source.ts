// Where a model's files are: the site's own, an address, the Hub, files that the visitor picked.
import { blobSource, locate, type CheckpointFiles } from '@hip/checkpoints';
import { PlaygroundError } from '../rpc/protocol.ts';
import type { ModelSource } from './protocol.ts';

/** Files, and the GGUF among them that is meant. */
export interface SourceFiles {
  readonly files: CheckpointFiles;
  readonly gguf?: string | undefined;
  /** Whether they come over the network, and are worth keeping. */
  readonly isRemote: boolean;
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

/** @throws PlaygroundError `bad-address`, `no-files` */
export function sourceFiles(source: ModelSource, bundled: string, signal: AbortSignal): SourceFiles {
  if (source.kind === 'files') return { files: pickedFiles(source.files), isRemote: false };
  const address = source.kind === 'bundled' ? bundled : addressOf(source.address);
  return { ...locate(address, { signal }), isRemote: true };
}

/** Files of a picker as a checkpoint's. Of a folder the names are those within it. @throws PlaygroundError `no-files` */
export function pickedFiles(files: readonly File[]): CheckpointFiles {
  if (files.length === 0) {
    const message = 'no file is chosen: choose a .gguf file, or config.json, tokenizer.json and *.safetensors together';
    throw new PlaygroundError('no-files', message);
  }
  const byName = new Map(files.map((file) => [file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file]));
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
