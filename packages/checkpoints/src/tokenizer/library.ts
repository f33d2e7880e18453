// The parts of @huggingface/tokenizers that its own types lose under Node's resolution (they re-export files without extensions).
import * as all from '@huggingface/tokenizers';

interface Parts {
  readonly SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp };
  readonly ByteLevelPreTokenizer: new (config: object) => { pre_tokenize_text(text: string): string[] };
  readonly PrecompiledNormalizer: new (config: object) => { normalize(text: string): string };
}

export const { SplitPreTokenizer, ByteLevelPreTokenizer, PrecompiledNormalizer } = all as unknown as Parts;
