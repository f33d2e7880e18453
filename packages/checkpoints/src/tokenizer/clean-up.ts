// Spaces before punctuation and English contractions, taken out as transformers' clean_up_tokenization_spaces does.

/** One after the other: what one takes out another does not see. */
const RULES: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Text without the spaces that tokens were joined by. */
export function cleanUpSpaces(text: string): string {
  return RULES.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}

/** What rules read after a space, and what they read at all. */
const AFTER_SPACE = ".?!,'n";
const READ = " .?!,'ntmsver";

/** Length of a beginning that no rule reads together with what follows it, whatever that will be. */
export function certainLength(text: string): number {
  for (let at = text.length - 1; at > 0; at--) {
    const [before, first, second] = [text[at - 1] as string, text[at] as string, text[at + 1]];
    if (first === ' ' && second !== undefined && !AFTER_SPACE.includes(second) && before !== "'") return at;
    const isHalf = first >= '\uDC00' && first <= '\uDFFF';
    if (!READ.includes(before) && !READ.includes(first) && !isHalf) return at;
  }
  return 0;
}
