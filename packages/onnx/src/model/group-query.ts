// A model of one causal GroupQueryAttention node (com.microsoft, version 1) without rotation.
import { onnxGraph, onnxModel, onnxNode, onnxValue } from './build.ts';
import { onnxModelBytes } from './render.ts';
import { bytesWeight } from './weight.ts';

/** Options of {@link groupQueryModel}. */
export interface GroupQueryOptions {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** @defaultValue 'float' */
  readonly type?: 'float' | 'float16' | undefined;
  /** The graph also takes past_key and past_value [B, Hkv, T − Tq, d]. @defaultValue false */
  readonly hasPast?: boolean | undefined;
  /** What multiplies scores. @defaultValue 1/√d */
  readonly scale?: number | undefined;
  /** Bound of scores, by tanh. @defaultValue none */
  readonly softcap?: number | undefined;
}

/**
 * The bytes of a model of one node: query [B, Tq, H·d], key and value [B, Tq, Hkv·d], seqlens_k [B] (T − 1 of each text), int32, and
 * total_sequence_length [] (T), int32 → output [B, Tq, H·d], present_key and present_value [B, Hkv, T, d].
 *
 * @example
 * ```ts
 * import { groupQueryModel } from '@hip/onnx/model';
 *
 * const bytes = await groupQueryModel({ heads: 4, kvHeads: 2, headDim: 64 });
 * console.log(bytes instanceof Uint8Array); // => true
 * ```
 */
export function groupQueryModel(options: GroupQueryOptions): Promise<Uint8Array> {
  const { heads, kvHeads, headDim, type = 'float', hasPast = false, scale, softcap = 0 } = options;
  const flat = (name: string, count: number) => onnxValue(name, type, ['batch', 'rows', count * headDim]);
  const kept = (name: string, rows: string) => onnxValue(name, type, ['batch', kvHeads, rows, headDim]);
  const past = hasPast ? ['past_key', 'past_value'] : ['', ''];
  const attributes = {
    num_heads: BigInt(heads),
    kv_num_heads: BigInt(kvHeads),
    ...(scale !== undefined && { scale }),
    ...(softcap > 0 && { softcap }),
  };
  const graph = onnxGraph('attention', {
    node: [
      onnxNode(
        'GroupQueryAttention',
        ['query', 'key', 'value', ...past, 'seqlens_k', 'total_sequence_length'],
        ['output', 'present_key', 'present_value'],
        { domain: 'com.microsoft', attributes },
      ),
    ],
    input: [
      flat('query', heads),
      flat('key', kvHeads),
      flat('value', kvHeads),
      ...(hasPast ? past.map((name) => kept(name, 'past')) : []),
      onnxValue('seqlens_k', 'int32', ['batch']),
      onnxValue('total_sequence_length', 'int32', []),
    ],
    output: [flat('output', heads), kept('present_key', 'keys'), kept('present_value', 'keys')],
  });
  const proto = onnxModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 });
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}
