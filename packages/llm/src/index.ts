// The public face of @hip/llm.
export { LlmError, type LlmErrorCode } from './errors.ts';
export type * from './engine/types.ts';
export { loadEngine } from './engine/load.ts';
export { planEngine } from './engine/plan.ts';
