// A draft beside a model: one that is loaded already, or is loaded with it; of the same tokens, which is checked.
import type { TextTokenizer } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import type { Engine } from '../engine/types.ts';

/** What a draft is made of. */
export interface DraftParts {
  readonly engine: Engine;
  readonly tokenizer: TextTokenizer | undefined;
}

/** Ids that are compared, about. */
const SAMPLES = 4096;
const TEXT = 'It was a dark and stormy night; 3,141 + 59 = 3200?\n\tÄpfel, naïve, 东京, 🙂 {"a": [1]} <|im_start|>';

/**
 * @throws LlmError `invalid-input` where ids of the one mean something else to the other
 */
export function requireSameTokens(model: DraftParts, draft: DraftParts): void {
  const sizes = { vocabulary: model.engine.vocabulary, draftVocabulary: draft.engine.vocabulary };
  const [own, theirs] = [model.tokenizer, draft.tokenizer];
  if (!own || !theirs) {
    // Ids alone: whoever made them must know.
    if (sizes.vocabulary === sizes.draftVocabulary) return;
    throw mismatch(`${sizes.draftVocabulary} tokens in place of ${sizes.vocabulary}`, sizes);
  }
  const options = { addSpecialTokens: false };
  if (own.encode(TEXT, options).join() !== theirs.encode(TEXT, options).join()) {
    throw mismatch('a text becomes other tokens', sizes);
  }
  const least = Math.min(sizes.vocabulary, sizes.draftVocabulary);
  const step = Math.max(1, Math.floor(least / SAMPLES));
  const plain = { skipSpecialTokens: false, cleanUpSpaces: false };
  for (let id = 0; id < least; id += step) {
    const [a, b] = [own.decode([id], plain), theirs.decode([id], plain)];
    if (a !== b)
      throw mismatch(`token ${id} is ${JSON.stringify(b)} in place of ${JSON.stringify(a)}`, { ...sizes, id });
  }
}

function mismatch(what: string, details: Readonly<Record<string, unknown>>): LlmError {
  const message = `the draft has another tokenizer than the model (${what}): give a smaller model of the same family, or a sub-network of this one`;
  return new LlmError('invalid-input', message, details);
}
