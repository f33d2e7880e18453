// The public face of @hip/llm.
export { LlmError, type LlmErrorCode } from './errors.ts';
export type * from './engine/types.ts';
export { loadEngine } from './engine/load.ts';
export { planEngine } from './engine/plan.ts';
export { loadLanguageModel, type LoadOptions } from './model/load.ts';
export { LanguageModel, type LossOptions } from './model/language-model.ts';
export type { FinishReason, GeneratedToken, GenerateOptions, LogitsContext } from './generation/options.ts';
export { Chat } from './chat/chat.ts';
export type * from './chat/types.ts';
export type { RestoreOptions } from './chat/saved.ts';
export { Prefix, type PrefixOptions } from './prefix/prefix.ts';
export { browserStore, folderStore, type PrefixStore } from './saved/store.ts';
export type { ByteInput } from './saved/frames.ts';
