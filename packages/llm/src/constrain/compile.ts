// What a caller asks for - a schema, a grammar - as a compiled grammar for a model's tokens, kept for the next time.
import type { TextTokenizer } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import type { Fragment } from './network.ts';
import { gbnfFragment } from './gbnf.ts';
import { Grammar } from './grammar.ts';
import { NetworkBuilder } from './network.ts';
import { schemaFragment } from './schema.ts';
import { tokenTree } from './token-tree.ts';

/** What an answer is held to. */
export interface ConstraintOptions {
  /**
   * A JSON schema (2020-12): the answer is JSON that fits it, complete even where `maxTokens` ends it. Keywords that cannot be held to
   * while a text is written are refused.
   *
   * @defaultValue none
   */
  readonly schema?: unknown;
  /** A grammar in the notation of llama.cpp (GBNF), whose rule `root` the answer fits. @defaultValue none */
  readonly grammar?: string | undefined;
}

/** Compiled grammars that are kept for a tokenizer. */
const MOST_KEPT = 32;
const kept = new WeakMap<TextTokenizer, Map<string, Grammar>>();

/**
 * @param vocabulary - logits a row
 * @returns undefined where nothing is asked for
 * @throws LlmError `invalid-input` naming what cannot be held to
 */
export function compileConstraint(
  { schema, grammar }: ConstraintOptions,
  tokenizer: TextTokenizer | undefined,
  vocabulary: number,
): Grammar | undefined {
  if (schema === undefined && grammar === undefined) return undefined;
  if (schema !== undefined && grammar !== undefined)
    throw new LlmError('invalid-input', 'schema and grammar: give one of them', { name: 'grammar' });
  if (grammar !== undefined)
    return keptGrammar(`grammar ${grammar}`, () => gbnfFragment(grammar), tokenizer, vocabulary);
  return keptGrammar(`schema ${JSON.stringify(schema)}`, () => schemaFragment(schema), tokenizer, vocabulary);
}

/** @param key - two fragments of the same key are the same */
export function keptGrammar(
  key: string,
  make: () => Fragment,
  tokenizer: TextTokenizer | undefined,
  vocabulary: number,
): Grammar {
  if (!tokenizer)
    throw new LlmError('invalid-input', 'the model has no tokenizer, which a grammar needs', { name: 'grammar' });
  let own = kept.get(tokenizer);
  if (!own) kept.set(tokenizer, (own = new Map()));
  const name = `${vocabulary} ${key}`;
  const known = own.get(name);
  own.delete(name);
  const compiled = known ?? compile(make(), tokenizer, vocabulary);
  own.set(name, compiled);
  for (const oldest of own.keys()) {
    if (own.size <= MOST_KEPT) break;
    own.delete(oldest);
  }
  return compiled;
}

function compile(root: Fragment, tokenizer: TextTokenizer, vocabulary: number): Grammar {
  const builder = new NetworkBuilder();
  builder.rule('root', () => root);
  return new Grammar(builder.build(), tokenTree(tokenizer, vocabulary));
}
