// Normalisers of tokenizer.json, as the Rust library has them; those that @huggingface/tokenizers has alike are its own.

import { quoted } from '../quote.ts';
import { PrecompiledNormalizer } from './library.ts';
import { SPACE, compilePattern, contentOf, requireParts, requirePart, wrong } from './patterns.ts';
import type { Part } from './patterns.ts';

/** A text made ready to be cut. */
export type Normalize = (text: string) => string;

const CONTROL = /^[\p{Cc}\p{Cf}\p{Co}\p{Cs}]$/u;
const IDEOGRAPH =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;
const FRONT = new RegExp(`^${SPACE}+`, 'u');
const BACK = new RegExp(`(?<!${SPACE})${SPACE}+$`, 'u');
const SPACES = new RegExp(SPACE, 'gu');

/** Spaces in front and at the end taken away. */
export const trimFront: Normalize = (text) => text.replace(FRONT, '');
export const trimBack: Normalize = (text) => text.replace(BACK, '');

/** Lower case, letter by letter: a final sigma is none. */
export const lowercase: Normalize = (text) => Array.from(text, (letter) => letter.toLowerCase()).join('');

/** Reads a normaliser. @throws CheckpointError `tokenizer` for one that is not known */
export function readNormalizer(json: unknown): Normalize {
  if (json === undefined || json === null) return (text) => text;
  const part = requirePart(json, 'normalizer');
  switch (part['type']) {
    case 'Sequence': {
      const all = requireParts(part, 'normalizers').map(readNormalizer);
      return (text) => all.reduce((made, normalize) => normalize(made), text);
    }
    case 'BertNormalizer':
      return bert(part);
    case 'Lowercase':
      return lowercase;
    case 'StripAccents':
      return (text) => text.replaceAll(/\p{M}/gu, '');
    case 'Strip':
      return (text) => {
        const front = part['strip_left'] === true ? trimFront(text) : text;
        return part['strip_right'] === true ? trimBack(front) : front;
      };
    case 'Prepend': {
      const { prepend } = part;
      if (typeof prepend !== 'string') throw wrong(`prepend is ${quoted(prepend)}, expected a text`);
      return (text) => (text === '' ? text : prepend + text);
    }
    case 'Replace': {
      const pattern = compilePattern(part['pattern']);
      const content = contentOf(part);
      return (text) => text.replaceAll(pattern, () => content);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = part['type'];
      return (text) => text.normalize(form);
    }
    case 'Precompiled': {
      const precompiled = new PrecompiledNormalizer(part);
      return (text) => precompiled.normalize(text);
    }
    default:
      throw wrong(`the normalizer ${quoted(part['type'])} is not read`, { type: part['type'] });
  }
}

function bert(part: Part): Normalize {
  const isLower = part['lowercase'] === true;
  const strips = part['strip_accents'] ?? isLower;
  return (text) => {
    let made = text;
    if (part['clean_text'] === true) {
      const kept = Array.from(made, (letter) => (isDropped(letter) ? '' : letter)).join('');
      made = kept.replaceAll(SPACES, ' ');
    }
    if (part['handle_chinese_chars'] === true) made = made.replaceAll(IDEOGRAPH, ' $& ');
    if (strips === true) made = made.normalize('NFD').replaceAll(/\p{Mn}/gu, '');
    return isLower ? lowercase(made) : made;
  };
}

function isDropped(letter: string): boolean {
  if (letter === '\t' || letter === '\n' || letter === '\r') return false;
  return letter === '\0' || letter === '\uFFFD' || CONTROL.test(letter);
}
