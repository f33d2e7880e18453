// A vocabulary as a tree of bytes: which tokens a grammar allows is found by walking it, and leaving out what it does not.
import type { TextTokenizer } from '@hip/checkpoints';

/** Nodes in depth-first order. */
export interface TokenTree {
  /** Byte that leads to a node. */
  readonly byte: Uint8Array;
  /** Bytes to a node, from 1. */
  readonly depth: Uint16Array;
  /** Node behind all that are below this one. */
  readonly skip: Int32Array;
  /** Tokens that end at a node are `tokens[first[node]]` to before `tokens[first[node + 1]]`. */
  readonly first: Int32Array;
  readonly tokens: Int32Array;
  /** Bytes of each token, as Latin-1 characters. */
  readonly bytes: readonly string[];
  /** Which bytes are a token by themselves. */
  readonly single: readonly boolean[];
}

const trees = new WeakMap<TextTokenizer, Map<number, TokenTree>>();

/** The tree of a tokenizer's tokens, made once. @param vocabulary - ids */
export function tokenTree(tokenizer: TextTokenizer, vocabulary: number): TokenTree {
  let known = trees.get(tokenizer);
  if (!known) trees.set(tokenizer, (known = new Map()));
  let tree = known.get(vocabulary);
  if (!tree) known.set(vocabulary, (tree = treeOf(tokenBytes(tokenizer, vocabulary))));
  return tree;
}

/** @param bytes - a character each (Latin-1), '' for tokens without text */
export function treeOf(bytes: readonly string[]): TokenTree {
  const tokens = bytes.flatMap((text, id) => (text === '' ? [] : [id]));
  tokens.sort((a, b) => {
    const [one, other] = [bytes[a] as string, bytes[b] as string];
    return one < other ? -1 : one > other ? 1 : a - b;
  });
  const byte: number[] = [];
  const depth: number[] = [];
  const first: number[] = [];
  let before = '';
  for (const [index, id] of tokens.entries()) {
    const text = bytes[id] as string;
    let common = 0;
    while (common < before.length && before.charCodeAt(common) === text.charCodeAt(common)) common++;
    for (let at = common; at < text.length; at++) {
      byte.push(text.charCodeAt(at));
      depth.push(at + 1);
      // Nodes on the way to a token have its index too: none end at them.
      first.push(index);
    }
    before = text;
  }
  first.push(tokens.length);
  const skip = new Int32Array(byte.length);
  const open: number[] = [];
  for (let node = 0; node <= byte.length; node++) {
    while (
      open.length > 0 &&
      (node === byte.length || (depth[open.at(-1) as number] as number) >= (depth[node] as number))
    )
      skip[open.pop() as number] = node;
    open.push(node);
  }
  const single = Array.from({ length: 256 }, () => false);
  for (const text of bytes) if (text.length === 1) single[text.charCodeAt(0)] = true;
  return {
    byte: Uint8Array.from(byte),
    depth: Uint16Array.from(depth),
    skip,
    first: Int32Array.from(first),
    tokens: Int32Array.from(tokens),
    bytes,
    single,
  };
}

/** What bytes that are no character decode to. */
const BROKEN = '\uFFFD';

/** Bytes of every token, as Latin-1 characters; '' for special tokens, and for those of parts of characters but single bytes. */
export function tokenBytes(tokenizer: TextTokenizer, vocabulary: number): string[] {
  const options = { skipSpecialTokens: true, cleanUpSpaces: false };
  // A token at the beginning may lose its space: it is looked at behind another.
  const anchor = tokenizer.encode('a', { addSpecialTokens: false }).at(-1) as number;
  const before = tokenizer.decode([anchor], options).length;
  const bytes = Array.from({ length: vocabulary }, (_, id) => {
    const text = tokenizer.decode([anchor, id], options).slice(before);
    return text.includes(BROKEN) ? '' : latin1(new TextEncoder().encode(text));
  });
  for (let byte = 0x80; byte < 256; byte++) {
    const id = byteToken(tokenizer, byte);
    if (id !== undefined && id < vocabulary && tokenizer.decode([anchor, id], options).includes(BROKEN))
      bytes[id] = String.fromCharCode(byte);
  }
  return bytes;
}

/** A byte's own token: SentencePiece's `<0xE2>`, or the letter that byte-level BPE (GPT-2's) writes for it. */
function byteToken(tokenizer: TextTokenizer, byte: number): number | undefined {
  const hex = byte.toString(16).toUpperCase().padStart(2, '0');
  return tokenizer.tokenId(`<0x${hex}>`) ?? tokenizer.tokenId(String.fromCodePoint(byteLetter(byte)));
}

/** Code point of byte-level BPE's letter for a byte ≥ 0x80: printed ones stand for themselves, others follow from U+0100. */
function byteLetter(byte: number): number {
  const isPrinted = (value: number) => (value >= 0x21 && value <= 0x7e) || (value >= 0xa1 && value !== 0xad);
  if (isPrinted(byte)) return byte;
  let others = 0;
  for (let value = 0; value < byte; value++) if (!isPrinted(value)) others++;
  return 0x100 + others;
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
