// POST /v1/embeddings: vectors of texts, by an encoder beside the language model.
import { ApiError } from './api-error.ts';
import { parseRequest } from './body.ts';
import { embeddingRequest } from './requests.ts';

/** What a server asks of an encoder; `loadEmbedder` gives one. */
export interface ServedEmbedder {
  /** Numbers of a vector. */
  readonly width: number;
  /** Tokens that a text may have; what is behind them may be cut. */
  readonly maxTokens: number;
  /** @returns vectors [width], and each text's tokens */
  embed(
    texts: readonly string[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly vectors: readonly Float32Array[]; readonly tokens: readonly number[] }>;
}

/** @param model - its name @throws ApiError 400, what the encoder throws */
export async function embeddings(
  embedder: ServedEmbedder,
  model: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const { input, dimensions, encoding_format } = parseRequest(embeddingRequest, body);
  if (dimensions !== null && dimensions !== undefined && dimensions !== embedder.width) {
    const message = `dimensions is ${dimensions}: this model's vectors have ${embedder.width}, and cannot be cut`;
    throw new ApiError(400, message, { param: 'dimensions', code: 'invalid_value' });
  }
  const texts = typeof input === 'string' ? [input] : input;
  const { vectors, tokens } = await embedder.embed(texts, { signal });
  const total = tokens.reduce((sum, count) => sum + count, 0);
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: encoding_format === 'base64' ? base64(vector) : [...vector],
    })),
    model,
    usage: { prompt_tokens: total, total_tokens: total },
  };
}

/** Little-endian float32. */
function base64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * vector.length));
  vector.forEach((value, index) => view.setFloat32(4 * index, value, true));
  let text = '';
  for (const byte of new Uint8Array(view.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}
