// @hip/llm/serve: a language model behind the endpoints of the OpenAI API.
export { ApiError, type ApiErrorDetails } from './serve/api-error.ts';
export type { AccessOptions } from './serve/access.ts';
export type { ServedEmbedder } from './serve/embeddings.ts';
export { createServer, LlmServer } from './serve/server.ts';
export type { ListenOptions, ServerLoad, ServerOptions } from './serve/server.ts';
export type { ServiceOptions } from './serve/service.ts';
