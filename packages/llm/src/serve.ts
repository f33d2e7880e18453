// @hip/llm/serve: a language model behind the endpoints of the OpenAI API.
export { ApiError, type ApiErrorDetails } from './serve/api-error.ts';
export type { AccessOptions } from './serve/access.ts';
export type { ServedEmbedder } from './serve/embeddings.ts';
export { createServer, LlmServer } from './serve/server.ts';
export type { ListenOptions, ServerOptions } from './serve/server.ts';
export type { ServerLoad, ServiceOptions } from './serve/service.ts';
