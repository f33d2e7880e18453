// loadEmbedder: a sentence encoder, wherever it is, as something that embeds texts.
import { openCheckpoint, type CheckpointFiles, type OpenCheckpoint } from '@hip/checkpoints';
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { translated } from '../engine/failures.ts';
import { loadWasmWeights } from '../engine/wasm/weights.ts';
import { LlmError, throwIfAborted } from '../errors.ts';
import { WasmEmbedder } from './embedder.ts';
import { Encoder } from './encoder.ts';
import { readSettings } from './settings.ts';
import { bareEncoder, requireEncoder } from './support.ts';
import type { Embedder, EmbedderOptions } from './types.ts';

/** Tokens that pass through the layers at a time: enough rows for products to run near the peak, few enough to stay in caches. */
const PASS_TOKENS = 512;

/**
 * Loads a sentence encoder: BERT, RoBERTa or DistilBERT with what `modules.json` of sentence-transformers says of pooling, or bare.
 * It is computed on WebAssembly, in float32, on all threads.
 *
 * @param source - a folder, an `http(s)://` address, `hf://owner/name`; files; an open checkpoint, which stays open
 * @throws CheckpointError where the files are not what they should be; LlmError `unsupported-model`, `invalid-input`, `out-of-memory`,
 * `aborted`. Nothing is left behind
 *
 * @example
 * ```ts
 * import { loadEmbedder } from '@hip/llm/embedder';
 *
 * using embedder = await loadEmbedder('./minilm-l6'); // or hf://sentence-transformers/all-MiniLM-L6-v2
 * const { vectors } = await embedder.embed(['A whale rose.', 'A big animal came up.', 'Rates were unchanged.']);
 * const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
 * console.log(cosine(vectors[0]!, vectors[1]!) > cosine(vectors[0]!, vectors[2]!)); // => true
 * ```
 */
export async function loadEmbedder(
  source: string | CheckpointFiles | OpenCheckpoint,
  options: EmbedderOptions = {},
): Promise<Embedder> {
  if (typeof source === 'object' && 'weights' in source) return fromCheckpoint(source, options);
  await using checkpoint = await openCheckpoint(source, options);
  return await fromCheckpoint(checkpoint, options);
}

async function fromCheckpoint(checkpoint: OpenCheckpoint, options: EmbedderOptions): Promise<Embedder> {
  const { weights = 'f32', threads = 'auto', signal, onProgress } = options;
  throwIfAborted(signal, 'loading');
  requireEncoder(checkpoint.config);
  const settings = await readSettings(checkpoint, options);
  const tokenizer = await checkpoint.tokenizer();
  if (!tokenizer) {
    const message =
      'the checkpoint has no tokenizer (tokenizer.json, vocab.txt), which texts need: add it to the folder';
    throw new LlmError('unsupported-model', message, { location: checkpoint.files.location });
  }
  const config = bareEncoder(checkpoint.config);
  let cpu: CpuRuntime | undefined;
  try {
    cpu = await createCpuRuntime({ threads });
    const loaded = await loadWasmWeights(cpu, { ...checkpoint, config }, { weights, signal, onProgress });
    const encoder = new Encoder(cpu, config, loaded, Math.max(PASS_TOKENS, settings.maxTokens));
    return new WasmEmbedder({ cpu, encoder, tokenizer, settings, width: config.hiddenSize });
  } catch (error) {
    cpu?.close();
    throw translated(error);
  }
}
