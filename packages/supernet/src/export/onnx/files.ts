// The small files beside an ONNX model: what transformers.js and onnxruntime-genai read to run it.
import {
  families,
  findFamily,
  folderFiles,
  layerHeads,
  layerKvHeads,
  optionalJson,
  saveFolder,
  type ModelConfig,
} from '@hip/checkpoints';
import { requireNode } from '../../node-modules.ts';
import { subnetConfigJson } from '../config.ts';
import { travellingFiles } from '../travelling-files.ts';
import type { OnnxDtype } from './options.ts';
import type { ExportParts } from './parts.ts';

/** Suffixes of file names by which transformers.js finds a dtype. */
const SUFFIXES: Readonly<Record<OnnxDtype, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  q4: '_q4',
  q4f16: '_q4f16',
};

/** The key of config.json that transformers.js reads. */
const JS_CONFIG = 'transformers.js_config';

/** Where in the folder the model of a dtype lies. */
export function onnxFile(dtype: OnnxDtype): string {
  return `onnx/model${SUFFIXES[dtype]}.onnx`;
}

interface Written extends ExportParts {
  readonly dtype: OnnxDtype;
  readonly path: string;
  /** Names of the model's files, beside each other. */
  readonly written: readonly string[];
  readonly genai: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Writes config.json and what belongs to it. */
export async function saveOnnxConfig(
  folder: string,
  parts: Written,
): Promise<{ readonly bytes: number; readonly files: readonly string[] }> {
  const { config, elastic, source, dtype, path, written, genai } = parts;
  const { stat } = requireNode(
    'node:fs/promises',
    `writing to ${folder}`,
    'exportOnnx without a folder gives the bytes',
  );
  const models = written.map((name) => `onnx/${name}`);
  const sizes = await Promise.all(models.map((name) => stat(`${folder}/${name}`)));
  const json = elastic
    ? subnetConfigJson(findFamily(elastic.config.raw, families), elastic.config, elastic.subnet, 'float32').json
    : { ...config.raw };
  json[JS_CONFIG] = await jsConfig(folder, dtype, path, written.length - 1);
  const texts: [name: string, text: string][] = [['config.json', jsonText(json)], ...(await travellingFiles(source))];
  if (genai) texts.push(['genai_config.json', jsonText(genaiConfig(config, path))]);
  const files = texts.map(([name, text]) => ({ name, chunks: [new TextEncoder().encode(text)] }));
  await saveFolder(folder, files, { signal: parts.signal });
  return {
    bytes: sizes.reduce((sum, { size }) => sum + size, 0),
    files: [...texts.map(([name]) => name), ...models],
  };
}

function jsonText(json: object): string {
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** What transformers.js is told: the dtype to load without being asked for one, and the data files of each model in the folder. */
async function jsConfig(folder: string, dtype: OnnxDtype, path: string, dataFiles: number): Promise<object> {
  const earlier = (await optionalJson(folderFiles(folder), 'config.json'))?.[JS_CONFIG];
  const before = (Object(earlier) as { use_external_data_format?: unknown }).use_external_data_format;
  const name = path.replace(/^.*\//, '');
  const external = Object.fromEntries(
    Object.entries({ ...Object(before), [name]: dataFiles } as Record<string, unknown>).filter(
      ([, count]) => count !== 0,
    ),
  );
  return { dtype, ...(Object.keys(external).length > 0 && { use_external_data_format: external }) };
}

/** genai_config.json of a causal language model. */
function genaiConfig(config: ModelConfig, path: string): object {
  const raw = config.raw;
  const eos = config.eosTokenIds;
  return {
    model: {
      type: typeof raw['model_type'] === 'string' ? raw['model_type'] : config.family,
      vocab_size: config.vocabSize,
      context_length: config.maxPositions,
      ...(typeof raw['bos_token_id'] === 'number' && { bos_token_id: raw['bos_token_id'] }),
      eos_token_id: eos.length === 1 ? eos[0] : eos,
      pad_token_id: config.padTokenId ?? eos[0] ?? 0,
      decoder: {
        session_options: { provider_options: [] },
        filename: path,
        head_size: config.headSize,
        hidden_size: config.hiddenSize,
        num_attention_heads: layerHeads(config, 0),
        num_hidden_layers: config.layers,
        num_key_value_heads: layerKvHeads(config, 0),
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          past_key_names: 'past_key_values.%d.key',
          past_value_names: 'past_key_values.%d.value',
        },
        outputs: {
          logits: 'logits',
          present_key_names: 'present.%d.key',
          present_value_names: 'present.%d.value',
        },
      },
    },
    search: { do_sample: false, max_length: config.maxPositions, num_beams: 1, past_present_share_buffer: false },
  };
}
