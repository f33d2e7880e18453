// The public face of @hip/llm/embedder.
export { loadEmbedder } from './load.ts';
export type { Embedder, EmbedderOptions, Embeddings, EmbedOptions, Pooling } from './types.ts';
