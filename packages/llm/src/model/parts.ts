// What a loaded model consists of, for what talks to it.
import type { ChatTemplate, GenerationDefaults, TextTokenizer } from '@hip/checkpoints';
import type { Engine } from '../engine/types.ts';
import { HeldTokens } from '../generation/held-tokens.ts';
import type { DraftLength } from '../speculative/draft-length.ts';
import { ModelDrafter } from '../speculative/model-drafter.ts';

export interface ModelParts {
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer | undefined;
  readonly template: ChatTemplate | undefined;
  /** What generation_config.json advises. */
  readonly defaults: GenerationDefaults;
  /** A smaller model that proposes tokens. */
  readonly draft?: Draft | undefined;
}

/** A smaller model, and what all texts have taught of how much it pays. */
export interface Draft {
  readonly engine: Engine;
  readonly isOwn: boolean;
  readonly length: DraftLength;
}

/** Tokens of a sequence, or of a new one, with the model's draft beside them. @throws LlmError `out-of-memory`, `closed` */
export function holdTokens(
  { engine, draft }: Pick<ModelParts, 'engine' | 'draft'>,
  sequence = engine.createSequence(),
  ids: readonly number[] = [],
): HeldTokens {
  const drafter = draft && new ModelDrafter(draft, engine.vocabulary);
  return new HeldTokens(sequence, engine, ids, drafter);
}
