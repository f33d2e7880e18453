// What a run leaves: the checkpoint folder, ONNX, the report, the card.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { locate, saveFolder } from '@hip/checkpoints';
import { extractSubnet, quantizedModel } from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { modelCard } from '../report/card.ts';
import { renderTuneReport, type ReportedFile } from '../report/html.ts';
import type { TuneFindings, TuneOutcome } from '../run/outcome.ts';
import { ONNX_DTYPES, ONNX_FILES, onnxFile, type Quantization } from '../steps/export.ts';
import { qualityOf, type Quality } from '../steps/quality.ts';
import { onnxQuality, onnxRuntime } from './onnx-quality.ts';

/** What was written. */
export interface Written {
  readonly files: readonly ReportedFile[];
  /** Whether transformers loads the folder as it is, and why. */
  readonly layout: string;
  readonly reason: string;
}

/** A folder that has something else in it is not written into. @throws TuneError `invalid-option` */
export async function requireFree(out: string, isOurs: boolean): Promise<void> {
  const names = await readdir(out).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    const what = cause.code === 'ENOTDIR' ? 'is a file' : `cannot be read (${cause.message})`;
    throw new TuneError('invalid-option', `--out ${out} ${what}: give a folder, or a name that is not taken`, { out });
  });
  if (isOurs || names.length === 0) return;
  throw new TuneError(
    'invalid-option',
    `--out ${out} has other files in it (${names.slice(0, 3).join(', ')}…): give a new folder`,
    { out, names },
  );
}

/** Writes everything of a finished run. `measured` says which files' quality could be measured. */
export async function writeOutputs(
  outcome: TuneOutcome,
  {
    model,
    out,
    madeBy,
    signal,
  }: {
    readonly model: string;
    readonly out: string;
    readonly madeBy: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Written> {
  const { layout, reason, files: names } = await extractSubnet(outcome.model, undefined, out, { signal });
  const weights = names.filter((name) => name.endsWith('.safetensors'));
  const files: ReportedFile[] = await Promise.all(
    weights.map(async (name) => ({ name, bytes: (await stat(join(out, name))).size })),
  );
  const { quantize } = outcome.settings;
  const kinds: readonly Quantization[] = quantize === 'none' ? ['none'] : ['none', quantize];
  const runtime = await onnxRuntime();
  for (const kind of kinds) {
    const name = ONNX_FILES[kind];
    const content = await onnxFile(outcome.model, kind, signal);
    await mkdir(join(out, 'onnx'), { recursive: true });
    await saveFolder(join(out, 'onnx'), [{ name: name.replace('onnx/', ''), chunks: [content] }], { signal });
    const quality = runtime
      ? await onnxQuality(runtime, join(out, name), outcome.data, signal)
      : await storedQuality(outcome, kind, signal);
    const measuredBy = runtime ? 'onnxruntime-node' : 'tfjs, with the weights as they are stored';
    files.push({ name, bytes: content.byteLength, quality, measuredBy });
  }
  const baseCard = await locate(model)
    .files.text('README.md')
    .catch(() => undefined);
  const card = modelCard(outcome, { baseCard, isHuggingFace: layout === 'huggingface', reason, files, madeBy });
  await writeTexts(out, { 'README.md': card, 'report.html': renderTuneReport({ outcome, files }) });
  return { files, layout, reason };
}

/** Without onnxruntime: the weights as they are stored, computed with tfjs. Activations stay float32. */
async function storedQuality(
  { model, data }: TuneOutcome,
  kind: Quantization,
  signal: AbortSignal | undefined,
): Promise<Quality> {
  const stored = await quantizedModel(model, undefined, { dtype: ONNX_DTYPES[kind] });
  try {
    return await qualityOf(stored, data.report, data, { signal });
  } finally {
    stored.dispose();
  }
}

/** The report of a run whose budget nothing met. */
export async function writeUnmetReport(folder: string, findings: TuneFindings, unmet: string): Promise<string> {
  await writeTexts(folder, { 'report.html': renderTuneReport({ findings, unmet }) });
  return join(folder, 'report.html');
}

async function writeTexts(folder: string, texts: Readonly<Record<string, string>>): Promise<void> {
  const files = Object.entries(texts).map(([name, text]) => ({ name, chunks: [new TextEncoder().encode(text)] }));
  await saveFolder(folder, files);
}
