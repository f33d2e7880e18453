// SentencePiece BPE (Llama 1 and 2, Mistral, Gemma, Phi-3): a vocabulary with scores as one with merges.

/** Merges in the order in which SentencePiece prefers their results: every way to put a token together out of two, best score first. */
export function sentencePieceMerges(
  vocabulary: ReadonlyMap<string, number>,
  scores: readonly number[],
): (readonly [string, string])[] {
  const merges: { readonly pair: readonly [string, string]; readonly score: number; readonly order: number }[] = [];
  for (const [token, id] of vocabulary) {
    const characters = Array.from(token);
    if (characters.length < 2) continue;
    const score = scores[id] ?? 0;
    let left = '';
    for (const [i, character] of characters.entries()) {
      if (i === characters.length - 1) break;
      left += character;
      const right = token.slice(left.length);
      if (!vocabulary.has(left) || !vocabulary.has(right)) continue;
      merges.push({ pair: [left, right], score, order: vocabulary.get(left) as number });
    }
  }
  return merges.sort((a, b) => b.score - a.score || a.order - b.order).map(({ pair }) => pair);
}

/** The parts of tokenizer.json: spaces are ▁, unknown characters are bytes. */
export function sentencePieceParts(
  vocabulary: ReadonlyMap<string, number>,
  merges: readonly (readonly [string, string])[],
  unknown: string | undefined,
  addSpace: boolean,
) {
  const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to });
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [...(addSpace ? [{ type: 'Prepend', prepend: '▁' }] : []), replace(' ', '▁')],
    },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        replace('▁', ' '),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges,
    },
  };
}
