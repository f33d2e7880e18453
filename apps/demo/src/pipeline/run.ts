// The pipeline: fine-tune, search, choose, run over a long document, report. The command line and the page both call this.
import { basename, join } from 'node:path';
import { SupernetError } from '@instatune/supernet';
import { renderReport } from '../report/html.ts';
import { selectBackend, type Backend } from './backend.ts';
import { chooseSubnet } from './choose.ts';
import { describeEnvironment } from './environment.ts';
import type { DemoEvent } from './events.ts';
import { runExported } from './exported.ts';
import { makeOut, readIfThere, writeWhole } from './files.ts';
import {
  encodeTraining,
  lossOf,
  restoreTrained,
  splitTraining,
  trainSupernet,
  type TrainingData,
} from './fine-tune.ts';
import { rowOf, runLongContext, usableLengths } from './long-context.ts';
import { askPassKeys } from './ask.ts';
import { checkLogits, loadModel, type LoadedModel } from './model.ts';
import type { DemoOptions } from './options.ts';
import type { DemoResult } from './result.ts';
import { searchSubnets, summarizeSearch } from './search.ts';
import { RunState } from './state.ts';
import { defaultDocument, readTextFiles, repositoryText, type TextFile } from './text.ts';

export interface RunContext {
  readonly options: DemoOptions;
  /** Folder of everything that is written. */
  readonly out: string;
  /** An interrupted run to go on with. @defaultValue a new one */
  readonly state?: RunState;
  readonly signal: AbortSignal;
  readonly onEvent: (event: DemoEvent) => void;
}

/** What the steps share. */
interface Session extends RunContext {
  readonly backend: Backend;
  readonly loaded: LoadedModel;
  readonly state: RunState;
  readonly data: TrainingData;
}

/**
 * Runs everything that is not done yet.
 *
 * @throws DemoError for what the user can mend; SupernetError `aborted` or the signal's reason after an abort
 */
export async function runDemo(context: RunContext): Promise<DemoResult> {
  const { options, out, signal, onEvent } = context;
  // Missing files and a folder that cannot be one are reported before anything slow begins.
  const files = context.state ? undefined : readSources(options);
  makeOut(out);
  const backend = await selectBackend(options.backend);
  try {
    onEvent({ type: 'backend', name: backend.name, adapter: backend.adapter });
    const loaded = await loadModel(options.model);
    try {
      const difference = await checkLogits(loaded, options.model);
      onEvent({ type: 'model', folder: options.model, difference });
      const state = context.state ?? createState(context, loaded, files!);
      const { text, document } = state.facts.sources;
      const [tokens, documentTokens] = [state.tokens('train'), state.tokens('document').length];
      onEvent({ type: 'texts', text, tokens: tokens.length, document, documentTokens });
      const session: Session = { ...context, backend, loaded, state, data: splitTraining(tokens, options) };
      await fineTuneStep(session);
      await searchAndChoose(session);
      signal.throwIfAborted();
    } finally {
      loaded.model.dispose();
    }
    const state = context.state ?? RunState.open(out);
    return await longContextStep({ ...context, state }, backend);
  } finally {
    backend.close();
  }
}

type Sources = { readonly [which in 'text' | 'document']: { readonly name: string; readonly files: TextFile[] } };

function readSources({ text, document }: DemoOptions): Sources {
  const own = text.length > 0 ? readTextFiles(text, 'text') : repositoryText();
  const long = document === undefined ? defaultDocument() : readTextFiles([document], 'document')[0]!;
  return {
    text: {
      // Names, not folders: they go into the report.
      name:
        text.length > 0
          ? text.map((path) => basename(path)).join(', ')
          : `this repository's TypeScript and Markdown (${own.length} files)`,
      files: own,
    },
    document: { name: document === undefined ? long.path : basename(long.path), files: [long] },
  };
}

function createState(
  { options, out, onEvent }: RunContext,
  { model, tokenizer }: LoadedModel,
  sources: Sources,
): RunState {
  const train = encodeTraining(sources.text.files, tokenizer, options);
  const { lengths } = options.longContext;
  const longest = Math.max(...lengths);
  const document = encodeDocument(sources.document.files[0]!.text, tokenizer, longest + 1);
  const usable = usableLengths(lengths, document.length, model.config.maxPositions);
  if (usable.length < lengths.length) {
    const dropped = lengths.filter((length) => !usable.includes(length)).join(', ');
    onEvent({
      type: 'note',
      text: `left out, beyond the document's ${document.length} tokens or the model's positions: ${dropped}`,
    });
  }
  if (RunState.exists(out)) onEvent({ type: 'note', text: `the unfinished or earlier run in "${out}" is replaced` });
  return RunState.create(out, options, {
    train,
    document,
    sources: { text: sources.text.name, document: sources.document.name },
  });
}

/** The first `count` tokens of a text, without tokenising much more than that. */
function encodeDocument(text: string, tokenizer: LoadedModel['tokenizer'], count: number): Int32Array {
  for (let characters = 8 * count; ; characters *= 2) {
    const ids = tokenizer.encode(text.slice(0, characters), { addSpecialTokens: false });
    if (ids.length > count || characters >= text.length) return Int32Array.from(ids.slice(0, count));
  }
}

async function fineTuneStep(session: Session): Promise<void> {
  const { state, loaded, data, options, signal, onEvent } = session;
  const { model } = loaded;
  if (state.facts.finetune) {
    if (!state.facts.chosen) await restoreTrained(model, data, options, state, signal);
    onEvent({ type: 'fine-tuned', finetune: state.facts.finetune, isResumed: true });
    return;
  }
  const pretrained = state.facts.pretrained ?? {
    loss: await lossOf(model, data.validation, { signal }),
    reportLoss: await lossOf(model, data.report, { signal }),
  };
  state.record({ pretrained });
  const trained = await trainSupernet(model, data, options, state, signal, (progress) =>
    onEvent({ type: 'fine-tuning', ...progress }),
  );
  const finetune = { ...trained, lossBefore: pretrained.loss };
  state.record({ finetune, reportLossFineTuned: await lossOf(model, data.report) });
  onEvent({ type: 'fine-tuned', finetune, isResumed: false });
}

async function searchAndChoose(session: Session): Promise<void> {
  const { state, loaded, data, options, out, signal, onEvent } = session;
  const { model } = loaded;
  if (state.facts.chosen) {
    onEvent({ type: 'chosen', chosen: state.facts.chosen });
    return;
  }
  const result = await searchSubnets(model, data, options, state, join(out, 'latency.json'), signal, (progress, full) =>
    onEvent({ type: 'searching', progress, full }),
  );
  const seconds = result.trials.reduce((sum, { durationMs = 0 }) => sum + durationMs / 1000, 0);
  const { search, fullMs } = await summarizeSearch(model, result, options.search.cost, seconds, signal);
  state.record({ search });
  onEvent({ type: 'searched', search });
  const chosen = await chooseSubnet({
    model,
    data,
    options,
    result,
    latencies: { front: search.front.map(({ latencyMs }) => latencyMs), full: fullMs },
    pretrained: state.need('pretrained'),
    fineTuned: { loss: state.need('finetune').lossAfter, reportLoss: state.need('reportLossFineTuned') },
    out,
    signal,
  });
  state.record({ chosen });
  onEvent({ type: 'chosen', chosen });
}

async function longContextStep(
  { state, options, out, signal, onEvent }: RunContext & { state: RunState },
  backend: Backend,
): Promise<DemoResult> {
  const folder = join(out, state.need('chosen').checkpoint);
  const { model, tokenizer } = await loadModel(folder);
  try {
    await runLongContext({
      model,
      folder,
      device: backend.device,
      tokenizer,
      options,
      state,
      prepared: backend.attention,
      signal,
      onProgress: (progress) => onEvent({ type: 'prefilling', ...progress }),
      onRow: (row) => onEvent({ type: 'row', row }),
      onToken: (done, total) => onEvent({ type: 'generating', done, total }),
    });
    if (signal.aborted) throw new SupernetError('aborted', 'the run was aborted');
    const lengths = usableLengths(
      options.longContext.lengths,
      state.tokens('document').length,
      model.config.maxPositions,
    );
    const passKeys = await askPassKeys({
      model,
      tokenizer,
      options,
      state,
      tokens: lengths.at(-1)!,
      signal,
      onProgress: (progress) => onEvent({ type: 'asking', ...progress }),
    });
    if (passKeys) onEvent({ type: 'asked', passKeys });
    const exported = state.facts.exported ?? (await runExported(model, state.tokens('document'), out, signal));
    state.record({ exported });
    onEvent({ type: 'exported', exported });
    const result: DemoResult = {
      finetune: state.need('finetune'),
      search: state.need('search'),
      chosen: state.need('chosen'),
      longContext: lengths.map((length) => rowOf(state.facts, length, model)!),
      generation: state.need('generation'),
      ...(passKeys && { passKeys }),
      exported,
      environment: describeEnvironment(backend, options, state.facts),
    };
    writeWhole(join(out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
    const mask = readIfThere(state.path('mask.svg'));
    const report = join(out, 'report.html');
    writeWhole(report, renderReport(result, mask));
    onEvent({ type: 'written', report, result: join(out, 'result.json') });
    return result;
  } finally {
    model.dispose();
  }
}
