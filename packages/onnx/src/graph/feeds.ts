// The graph's inputs by what they are: tokens, the mask of padding, positions, caches.
import { tensorTypeOf } from '../model/build.ts';
import { dataTypeName, DATA_TYPES } from '../model/data-types.ts';
import { OnnxError } from '../errors.ts';
import type { AttentionSite } from './site.ts';
import type { GraphView } from './view.ts';

/** Inputs of a decoder. */
export interface DecoderInputs {
  /** Token ids [B, S], or embeddings [B, S, channels]. */
  readonly tokens: string;
  /** [B, past + S]: 0 where there is padding. */
  readonly mask: string | undefined;
  readonly positions: string | undefined;
}

/** onnxruntime's name of an element type. */
export function ortType(elemType: number): string {
  const name = dataTypeName(elemType) ?? 'undefined';
  return { float: 'float32', double: 'float64' }[name as string] ?? name;
}

/** @throws OnnxError `unsupported` where nothing looks like tokens */
export function decoderInputs(view: GraphView, sites: readonly AttentionSite[]): DecoderInputs {
  const caches = new Set(sites.flatMap(({ past }) => (past ? [past.key, past.value] : [])));
  const candidates = [...view.inputs].filter(([name]) => !caches.has(name));
  const rank = (name: string) => view.dims(name)?.length;
  const isInteger = (name: string) => {
    const type = tensorTypeOf(view.inputs.get(name)!)?.elemType ?? 0;
    return type === DATA_TYPES.int64 || type === DATA_TYPES.int32;
  };
  const named = (...names: readonly string[]) => names.find((name) => view.inputs.has(name));
  const integers = candidates.map(([name]) => name).filter((name) => isInteger(name) && rank(name) === 2);
  const mask = named('attention_mask') ?? integers.find((name) => /mask/i.test(name));
  const positions = named('position_ids') ?? integers.find((name) => /position/i.test(name));
  const tokens =
    named('input_ids', 'inputs_embeds', 'tokens') ??
    integers.find((name) => name !== mask && name !== positions) ??
    candidates.map(([name]) => name).find((name) => rank(name) === 3);
  if (tokens !== undefined) return { tokens, mask, positions };
  const message = `the graph's inputs ${[...view.inputs.keys()].join(', ')} hold no token ids [batch, tokens]: it is no decoder`;
  throw new OnnxError('unsupported', message, { inputs: [...view.inputs.keys()] });
}
