// @hip/llm, or whatever loads a checkpoint's files; it is no dependency.
import { SupernetError } from '../errors.ts';
import { renderCheckpoint } from '../export/extract.ts';
import type { LatencyRunner } from './runner.ts';

/** The part of @hip/llm's model that is used. */
export interface TimedLanguageModel {
  /** Runs a prompt of so many tokens and is done when its logits are there. */
  run(tokens: readonly number[]): Promise<void>;
  dispose(): void | Promise<void>;
}

/**
 * `@hip/llm`, or whatever loads a checkpoint's files: `load` is given the sub-network as files by name (config.json, model.safetensors, the
 * tokenizer), as `memoryFiles` takes them.
 */
export function checkpointRunner(
  name: string,
  load: (files: ReadonlyMap<string, Uint8Array>) => Promise<TimedLanguageModel>,
): LatencyRunner {
  return {
    name,
    prepare: async (model, subnet, { batch, sequence }) => {
      if (batch !== 1)
        throw new SupernetError('invalid-option', `batch = ${batch}: ${name} takes one prompt`, { batch });
      const { files } = await renderCheckpoint(model, subnet);
      const bytes = new Map(files.map((file) => [file.name, joined(file.chunks)]));
      const loaded = await load(bytes);
      const ids = Array.from({ length: sequence }, (_, i) => 1 + ((i * 31) % Math.max(1, model.config.vocabSize - 1)));
      return { run: () => loaded.run(ids), dispose: () => loaded.dispose() };
    },
  };
}

function joined(chunks: Iterable<Uint8Array>): Uint8Array {
  const all = [...chunks];
  const bytes = new Uint8Array(all.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of all) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
