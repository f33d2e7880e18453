// What a loaded model consists of, for what talks to it.
import type { ChatTemplate, GenerationDefaults, TextTokenizer } from '@hip/checkpoints';
import type { Engine } from '../engine/types.ts';

export interface ModelParts {
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer | undefined;
  readonly template: ChatTemplate | undefined;
  /** What generation_config.json advises. */
  readonly defaults: GenerationDefaults;
}
