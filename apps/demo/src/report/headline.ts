// The table printed at the end of a run.
import type { DemoResult } from '../pipeline/result.ts';

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
  return rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd()).join('\n');
}

export function headline(result: DemoResult): string {
  const { finetune, chosen, longContext } = result;
  const { baseline } = chosen;
  const models = alignColumns([
    ['', 'MACs', 'parameters', 'latency', 'validation loss', 'held-out loss'],
    ['full, pretrained', `${(baseline.macs / 1e9).toFixed(2)} G`, `${(baseline.parameters / 1e6).toFixed(2)} M`, `${baseline.latencyMs.toFixed(1)} ms`, baseline.lossPretrained.toFixed(3), baseline.reportLossPretrained.toFixed(3)],
    ['full, fine-tuned', '', '', '', baseline.lossFineTuned.toFixed(3), baseline.reportLossFineTuned.toFixed(3)],
    ['chosen sub-network', `${(chosen.macs / 1e9).toFixed(2)} G`, `${(chosen.parameters / 1e6).toFixed(2)} M`, `${chosen.latencyMs.toFixed(1)} ms`, chosen.loss.toFixed(3), chosen.reportLoss.toFixed(3)],
  ]);
  const contexts = alignColumns([
    ['tokens', 'dense', 'HiP', 'attention only', 'ppl dense', 'ppl HiP', 'mass recall', 'buffers dense', 'buffers HiP'],
    ...longContext.map((row) => [
      String(row.tokens),
      `${(row.denseMs / 1000).toFixed(2)} s`,
      `${(row.hipMs / 1000).toFixed(2)} s`,
      `${(row.denseAttentionMs / row.hipAttentionMs).toFixed(1)}x`,
      row.densePpl.toFixed(2),
      row.hipPpl.toFixed(2),
      row.massRecall.toFixed(3),
      readableBytes(row.denseBytes),
      readableBytes(row.hipBytes),
    ]),
  ]);
  return `Fine-tuned ${finetune.steps} steps in ${finetune.seconds.toFixed(0)} s; searched ${result.search.evaluations} sub-networks (hypervolume ${result.search.hypervolume.toPrecision(4)})\n\n${models}\n\n${contexts}\n`;
}
