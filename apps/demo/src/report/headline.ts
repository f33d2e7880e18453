// The tables of a run, and what is printed at its end.
import { attentionSpeedup, bestReader, perplexityRatio } from '../pipeline/derived.ts';
import { findings, READER_NAMES } from './findings.ts';
import type { DemoResult, PassKeys } from '../pipeline/result.ts';

/** 1536 → "1.5 KiB". */
export function readableBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}

/** Lays out rows in columns, the first left-aligned, the others right-aligned. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The models of a run as rows: pretrained, fine-tuned, chosen. Numbers are text already. */
export function modelRows({ chosen }: DemoResult): string[][] {
  const { baseline } = chosen;
  const full = [
    `${(baseline.macs / 1e9).toFixed(3)} G`,
    `${(baseline.parameters / 1e6).toFixed(2)} M`,
    `${baseline.latencyMs.toFixed(1)} ms`,
    '100 %',
  ];
  return [
    ['', 'MACs', 'parameters', 'latency', 'of full', 'validation loss', 'held-out loss'],
    ['full, pretrained', ...full, baseline.lossPretrained.toFixed(3), baseline.reportLossPretrained.toFixed(3)],
    ['full, fine-tuned', ...full, baseline.lossFineTuned.toFixed(3), baseline.reportLossFineTuned.toFixed(3)],
    [
      'chosen sub-network',
      `${(chosen.macs / 1e9).toFixed(3)} G`,
      `${(chosen.parameters / 1e6).toFixed(2)} M`,
      `${chosen.latencyMs.toFixed(1)} ms`,
      `${Math.round((100 * chosen.latencyMs) / baseline.latencyMs)} %`,
      chosen.loss.toFixed(3),
      chosen.reportLoss.toFixed(3),
    ],
  ];
}

/** Dense against HiP by length, as rows of text. */
export function contextRows({ longContext }: DemoResult): string[][] {
  return [
    [
      'tokens',
      'dense',
      'HiP',
      'faster',
      'attention',
      'tok/s dense',
      'tok/s HiP',
      'ppl HiP/dense',
      'mass recall',
      'peak dense',
      'peak HiP',
      'T×T would be',
    ],
    ...longContext.map((row) => [
      String(row.tokens),
      `${(row.denseMs / 1000).toFixed(2)} s`,
      `${(row.hipMs / 1000).toFixed(2)} s`,
      `${(row.denseMs / row.hipMs).toFixed(1)}×`,
      `${attentionSpeedup(row).toFixed(1)}×`,
      row.denseTokensPerSecond.toFixed(0),
      row.hipTokensPerSecond.toFixed(0),
      perplexityRatio(row),
      row.massRecall.toFixed(3),
      readableBytes(row.denseBytes),
      readableBytes(row.hipBytes),
      `+${readableBytes(row.materializedBytes)}`,
    ]),
  ];
}

/** The pass-keys and what was answered, as rows of text: the reader that knows most. */
export function passKeyRows(passKeys: PassKeys): string[][] {
  const { dense, hip } = bestReader(passKeys);
  return [
    ['pass-key of', 'tokens back', 'hidden', 'dense says', 'HiP says'],
    ...passKeys.keys.map(({ name, digits, distance }, i) => [
      name,
      distance.toLocaleString('en-US'),
      digits,
      dense.answers[i]!,
      hip.answers[i]!,
    ]),
  ];
}

export function headline(result: DemoResult): string {
  const { finetune, search, chosen, generation, passKeys } = result;
  return [
    `Fine-tuned ${finetune.steps} steps in ${finetune.seconds.toFixed(0)} s; searched ${search.evaluations} sub-networks in ${search.seconds.toFixed(0)} s (hypervolume ${search.hypervolume.toPrecision(4)}); chose ${chosen.rule}.`,
    alignColumns(modelRows(result)),
    `Prefill of the document by the chosen sub-network, dense against HiP attention:`,
    alignColumns(contextRows(result)),
    `Generated ${generation.tokens} tokens after ${generation.contextTokens} with HiP, ${generation.msPerToken.toFixed(1)} ms a token.`,
    ...(passKeys
      ? [
          `Asked ${READER_NAMES[bestReader(passKeys).model]} for the pass-keys hidden in ${passKeys.tokens} tokens of ${passKeys.text}:`,
          alignColumns(passKeyRows(passKeys)),
        ]
      : []),
    ...findings(result).map(({ value, sentence }) => `${value} ${sentence}`),
    '',
  ].join('\n\n');
}
