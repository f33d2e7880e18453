// The model card: README.md with the Hub's YAML front matter.
import { parse, stringify } from 'yaml';
import { ONNX_DTYPES, ONNX_FILES, type Quantization } from '../steps/export.ts';
import { describeSubnet } from '../steps/search.ts';
import type { TaskName } from '../data/task.ts';
import { metricOf } from '../data/task.ts';
import type { TuneOutcome } from '../run/outcome.ts';
import { COSTS, measuredText, reconstructionText, refiningText, type ReportedFile } from './html.ts';
import { missesText } from './misses.ts';
import { shown } from './numbers.ts';

/** The Hub's name of a task. */
const PIPELINES: Readonly<Record<TaskName, string>> = {
  'text-classification': 'text-classification',
  'token-classification': 'token-classification',
  'language-modelling': 'text-generation',
  'image-classification': 'image-classification',
};

/** What a card says beyond the run itself. */
export interface CardOptions {
  /** The base model's own card, for its licence and languages. */
  readonly baseCard?: string | undefined;
  /** Whether transformers loads the folder as it is. */
  readonly isHuggingFace: boolean;
  /** Why it does not. @defaultValue left out */
  readonly reason?: string | undefined;
  readonly files: readonly ReportedFile[];
  /** The command, or the program, that made it. */
  readonly madeBy: string;
}

/** Writes the card. */
export function modelCard(
  outcome: TuneOutcome,
  { baseCard, isHuggingFace, reason, files, madeBy }: CardOptions,
): string {
  const { card, data, settings, small, full, subnet, choice } = outcome;
  const hub = /^hf:\/\/([^@]+)/.exec(card.location)?.[1];
  const own = frontMatter(baseCard);
  const metric = metricOf(data);
  const name = `${hub?.split('/').at(-1) ?? card.location.replaceAll('\\', '/').replace(/\/+$/, '').split('/').at(-1)!}-instatune`;
  const header = {
    ...(own['license'] !== undefined && { license: own['license'] }),
    ...(own['language'] !== undefined && { language: own['language'] }),
    ...(hub !== undefined && { base_model: hub, base_model_relation: 'finetune' }),
    pipeline_tag: PIPELINES[data.task],
    ...(isHuggingFace && { library_name: 'transformers' }),
    tags: ['instatune', 'neural-architecture-search', 'distillation', 'onnx', ...(isHuggingFace ? [] : ['tfjs'])],
    metrics: [metric],
    'model-index': [
      {
        name,
        results: [
          {
            task: { type: PIPELINES[data.task] },
            dataset: { name: 'held-out data', type: 'custom' },
            metrics: [
              { type: metric, value: Number(small[metric]!.toPrecision(6)) },
              { type: 'loss', value: Number(small['loss']!.toPrecision(6)) },
            ],
          },
        ],
      },
    ],
  };
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rows = ['loss', metric, ...COSTS].map((each) => row([each, shown(each, full[each]), shown(each, small[each])]));
  const said = reconstructionText(outcome);
  const reconstruction = said === '' ? '' : ` ${said}`;
  const measured = measuredText(files);
  const missed = missesText(outcome.missed);
  return `---
${stringify(header).trimEnd()}
---

# ${name}

A sub-network of ${hub === undefined ? `\`${card.location}\`` : `[${hub}](https://huggingface.co/${hub})`}, made for ${data.task} within \`${settings.budget.join(', ')}\`: ${Object.entries(
    describeSubnet(subnet),
  )
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')} (${choice.rule}).

| on held-out data | full network | this one |
|---|---|---|
${rows.join('\n')}
${missed === '' ? '' : `\n**${missed}**\n`}
The full network is the checkpoint fine-tuned as a super-network on the same data. Latency: ${outcome.runtime}, the machine this was made on. Bytes: \`${ONNX_FILES[settings.quantize]}\`, to the byte. Memory: weights and activations of one forward pass in float32, computed.

## Use

${usage(data.task, settings.quantize, isHuggingFace, reason)}

## Files

${[row(['file', 'size', 'quality']), '|---|---|---|', ...files.map(({ name: file, bytes, quality }) => row([`\`${file}\``, shown('bytes', bytes), quality ? `${metric} ${shown(metric, quality[metric])}` : '']))].join('\n')}
${measured === '' ? '' : `\n${measured}\n`}
## How it was made

${data.described}. Fine-tuned as a super-network for ${settings.steps} steps (InstaTune, arXiv 2308.15609), ${outcome.result.trials.length} sub-networks measured by a search (LINAS, arXiv 2205.10358).${reconstruction} ${refiningText(outcome)} Seed ${settings.seed}.

\`\`\`
${madeBy}
\`\`\`
${data.classes.length === 0 ? '' : `\nClasses: ${data.classes.slice(0, 100).join(', ')}.\n`}`;
}

function usage(task: TaskName, quantize: Quantization, isHuggingFace: boolean, reason: string | undefined): string {
  const block = (language: string, ...lines: readonly string[]) => ['```' + language, ...lines, '```'].join('\n');
  const name = PIPELINES[task];
  const weights = isHuggingFace
    ? block(
        'python',
        'from transformers import pipeline',
        '',
        `model = pipeline("${name}", model="path/to/this/folder")`,
      )
    : `${block(
        'ts',
        "import { loadCheckpoint } from '@instatune/supernet';",
        '',
        "const { model, tokenizer } = await loadCheckpoint('path/to/this/folder');",
      )}\n\n\`config.json\` has the key \`instatune_layers\`, which transformers does not read${reason === undefined ? '' : `: ${reason}`}. The ONNX file needs no such key:`;
  const onnx = block(
    'js',
    "import { pipeline } from '@huggingface/transformers';",
    '',
    `const model = await pipeline('${name}', '/path/to/this/folder', { dtype: '${ONNX_DTYPES[quantize]}' });`,
  );
  return `${weights}\n\n${onnx}`;
}

/** Fields of a card's front matter; none where there is none, or it is damaged. */
export function frontMatter(text: string | undefined): Readonly<Record<string, unknown>> {
  const [, yaml] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text ?? '') ?? [];
  if (yaml === undefined) return {};
  try {
    const value: unknown = parse(yaml);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
