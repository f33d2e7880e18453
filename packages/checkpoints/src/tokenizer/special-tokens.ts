// Where special tokens go, and which segment each token is of: the post-processor of tokenizer.json, on ids.
import * as v from 'valibot';
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';

/** Ids with the segment of each. */
export interface Encoded {
  readonly ids: number[];
  readonly typeIds: number[];
}

/** Puts one text, or two, between their special tokens. */
export type SpecialTokens = (first: readonly number[], second: readonly number[] | undefined) => Encoded;

const token = v.tuple([v.string(), v.pipe(v.number(), v.integer(), v.minValue(0))]);
const piece = v.union([
  v.object({ SpecialToken: v.object({ id: v.string(), type_id: v.number() }) }),
  v.object({ Sequence: v.object({ id: v.picklist(['A', 'B']), type_id: v.number() }) }),
]);
const processor = v.variant('type', [
  v.object({
    type: v.literal('TemplateProcessing'),
    single: v.array(piece),
    pair: v.array(piece),
    special_tokens: v.optional(
      v.record(v.string(), v.object({ ids: v.array(v.pipe(v.number(), v.integer(), v.minValue(0))) })),
      {},
    ),
  }),
  v.object({ type: v.literal('BertProcessing'), sep: token, cls: token }),
  v.object({ type: v.literal('RobertaProcessing'), sep: token, cls: token }),
  v.object({ type: v.literal('ByteLevel') }),
]);
const sequence = v.object({ type: v.literal('Sequence'), processors: v.array(processor) });

type Processor = v.InferOutput<typeof processor>;
type Piece = v.InferOutput<typeof piece>;

/**
 * Reads `post_processor` of tokenizer.json. RoBERTa has one segment, whatever the texts; where nothing says otherwise the second text
 * is of segment 1.
 *
 * @param idOf - id of a token by its text
 * @throws CheckpointError `tokenizer` for one that is not known
 */
export function readSpecialTokens(json: unknown, idOf: (token: string) => number | undefined): SpecialTokens {
  if (json === undefined || json === null) return plain;
  const read = v.safeParse(v.union([sequence, processor]), json);
  if (!read.success) {
    const { type } = json as { type?: unknown };
    const message = `tokenizer.json: the post-processor ${quoted(type)} is not read (read: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence)`;
    throw new CheckpointError('tokenizer', message, { type });
  }
  const all = read.output.type === 'Sequence' ? read.output.processors : [read.output];
  // ByteLevel only moves offsets; of several others the last would have to process what the first made.
  const adding = all.filter(({ type }) => type !== 'ByteLevel');
  if (adding.length > 1) {
    throw new CheckpointError('tokenizer', 'tokenizer.json: two post-processors that add tokens are not read', {
      types: adding.map(({ type }) => type),
    });
  }
  return adding[0] ? specialTokensOf(adding[0], idOf) : plain;
}

function specialTokensOf(config: Processor, idOf: (token: string) => number | undefined): SpecialTokens {
  switch (config.type) {
    case 'TemplateProcessing': {
      const idsOf = (name: string): readonly number[] =>
        config.special_tokens[name]?.ids ?? [required(name, idOf(name))];
      return (first, second) => fill(second ? config.pair : config.single, idsOf, first, second ?? []);
    }
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const [cls, sep] = [config.cls, config.sep].map(([name, id]) => idOf(name) ?? id) as [number, number];
      const isRoberta = config.type === 'RobertaProcessing';
      return (first, second) => {
        const front = [cls, ...first, sep];
        const back = second ? [...(isRoberta ? [sep] : []), ...second, sep] : [];
        return { ids: [...front, ...back], typeIds: [...front.map(() => 0), ...back.map(() => (isRoberta ? 0 : 1))] };
      };
    }
    default:
      return plain;
  }
}

function plain(first: readonly number[], second: readonly number[] = []): Encoded {
  return { ids: [...first, ...second], typeIds: [...first.map(() => 0), ...second.map(() => 1)] };
}

function fill(
  template: readonly Piece[],
  idsOf: (name: string) => readonly number[],
  first: readonly number[],
  second: readonly number[],
): Encoded {
  const parts = template.map((item) =>
    'Sequence' in item
      ? { ids: item.Sequence.id === 'A' ? first : second, type: item.Sequence.type_id }
      : { ids: idsOf(item.SpecialToken.id), type: item.SpecialToken.type_id },
  );
  return {
    ids: parts.flatMap(({ ids }) => ids),
    typeIds: parts.flatMap(({ ids, type }) => ids.map(() => type)),
  };
}

function required(name: string, id: number | undefined): number {
  if (id !== undefined) return id;
  throw new CheckpointError('tokenizer', `tokenizer.json: the template's token ${name} has no id`, { token: name });
}
