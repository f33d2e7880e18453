// `instatune tune`: a checkpoint, data and a budget in, a smaller model out.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineCommand } from 'citty';
import { missesText } from '../report/misses.ts';
import { TuneError } from '../errors.ts';
import { startBackend } from '../files/backend.ts';
import { RESULT, folderBytes, folderRun, keepsRun } from '../files/folder-run.ts';
import { readData } from '../files/read-data.ts';
import { pageOpener } from '../files/open-page.ts';
import { openRuntime } from '../files/runtime.ts';
import { requireFree, writeOutputs, writeUnmetReport, type Written } from '../files/write-outputs.ts';
import { COSTS } from '../report/html.ts';
import { duration, shown } from '../report/numbers.ts';
import { planRun, type RunPlan } from '../run/plan.ts';
import type { TuneFindings, TuneOutcome } from '../run/outcome.ts';
import { tune } from '../run/tune.ts';
import { metricOf } from '../data/task.ts';
import { readCard } from '../steps/head.ts';
import { describeSubnet } from '../steps/search.ts';
import { reportError } from '../study/report-error.ts';
import { shellCommand } from '../study/resume-hint.ts';
import { rejectUnknown } from '../study/shared.ts';
import { readCommand, tuneArgs, type TuneCommand } from './arguments.ts';
import { runLine } from './progress.ts';

/** Exit status where nothing that was found is within the budget. */
export const UNMET = 3;

interface Flags {
  readonly fresh: boolean;
  readonly 'dry-run': boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

export const tuneCommand = defineCommand({
  meta: {
    name: 'tune',
    description:
      'Fine-tune a model, find a sub-network within a budget, write it out; interrupted, the same command goes on',
  },
  args: tuneArgs,
  async run({ args: given, rawArgs }) {
    const abort = new AbortController();
    const stop = () => abort.abort();
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    const madeBy = shellCommand(['instatune', ...process.argv.slice(2)]);
    try {
      rejectUnknown(rawArgs, tuneArgs);
      const command = readCommand(given);
      const backend = await startBackend(given.backend);
      try {
        if (!given.quiet) process.stderr.write(`${backend.message}\n`);
        if (given['dry-run']) await plan(command, given, abort.signal);
        else await runAll(command, given, madeBy, abort.signal);
      } finally {
        backend.close();
      }
    } catch (error) {
      if (abort.signal.aborted) {
        process.stderr.write(`interrupted; go on with: ${madeBy.replace(/ --fresh\b/, '')}\n`);
        process.exitCode = 130;
      } else reportError(error);
    } finally {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    }
  },
});

async function prepare({ model, data: given, settings, runtime, browser }: TuneCommand, signal: AbortSignal) {
  const card = { ...(await readCard(model)), location: model };
  const data = await readData(model, card, given);
  const opened: Disposable[] = [];
  const open = pageOpener(browser, signal);
  const openPage = (url: string) => void opened.push(open(url));
  const runner = await openRuntime(runtime, data.task, { quantize: settings.quantize, openPage, signal });
  const close = async (): Promise<void> => {
    await runner?.[Symbol.asyncDispose]?.();
    for (const each of opened) each[Symbol.dispose]();
  };
  return { card, data, settings, runner, [Symbol.asyncDispose]: close };
}

async function plan(command: TuneCommand, { json }: Flags, signal: AbortSignal): Promise<void> {
  await using prepared = await prepare(command, signal);
  const planned = await planRun({ model: command.model, ...prepared, signal, heldBytes });
  if (json) process.stdout.write(`${JSON.stringify(planned, undefined, 2)}\n`);
  else process.stdout.write(`${prepared.data.described}\n${planText(planned)}\n`);
}

const heldBytes = (): number => 1024 * process.resourceUsage().maxRSS;

/** The plan as a person reads it. */
export function planText({ settings, parameters, seconds, totalSeconds, memory, disk, timed }: RunPlan): string {
  const stages = Object.entries(seconds).filter(([, each]) => each >= 1);
  return [
    `${shown('parameters', parameters)} parameters; ${settings.steps} steps of ${settings.batchSize} at ${Number(settings.learningRate.toPrecision(6))}, ${settings.evaluations} sub-networks measured, ${settings.tuneSteps} steps of the chosen one`,
    `time: about ${duration(totalSeconds)} (${stages.map(([stage, each]) => `${stage} ${duration(each)}`).join(', ')}), timed here: ${(1000 * timed.step).toFixed(0)} ms a step, ${(1000 * timed.example).toFixed(1)} ms an example`,
    `memory: ${memory.held === undefined ? '' : `${shown('memory', memory.held)} held by the process while timed, `}${shown('memory', memory.planned)} of them weights, gradients and moments`,
    `disk: ${shown('bytes', disk.run)} while it runs, ${shown('bytes', disk.out)} at most for the result`,
  ].join('\n');
}

async function runAll(
  command: TuneCommand,
  { fresh, json, quiet }: Flags,
  madeBy: string,
  signal: AbortSignal,
): Promise<void> {
  const { model, out, work } = command;
  // Before an earlier run's record goes, or a folder is made.
  await requireFree(out, keepsRun(work));
  await using store = await folderRun(work, { fresh });
  const begun = (await store.read()) !== undefined;
  await using prepared = await prepare(command, signal);
  // Timed before the first start only: a run that goes on has no time for it.
  const planned = begun ? undefined : await planRun({ model, ...prepared, signal, heldBytes });
  if (!quiet)
    process.stderr.write(
      `${prepared.data.described}\n${planned ? `${planText(planned)}\n` : `going on with the run in ${work}\n`}`,
    );
  const line = quiet ? undefined : runLine(planned?.seconds);
  try {
    const outcome = await tune({
      model,
      ...prepared,
      store,
      signal,
      onProgress: (progress) => line?.update(progress),
    });
    try {
      line?.update({ stage: 'export', done: 0, total: 0 });
      const written = await writeOutputs(outcome, { model, out, madeBy, signal });
      line?.stop();
      const json_ = resultOf(outcome, written, out);
      await writeFile(join(work, RESULT), `${JSON.stringify(json_, undefined, 2)}\n`);
      process.stdout.write(json ? `${JSON.stringify(json_, undefined, 2)}\n` : summary(outcome, written, out));
      if (!quiet) {
        const bytes = shown('bytes', await folderBytes(work));
        process.stderr.write(`another --budget goes on from here in moments; or delete ${work} (${bytes})\n`);
      }
    } finally {
      outcome.model.dispose();
    }
  } catch (error) {
    line?.stop();
    if (!(error instanceof TuneError && error.code === 'unmet-budget')) throw error;
    const { findings, nearest, bounds } = error.details as {
      findings: TuneFindings;
      nearest: unknown;
      bounds: unknown;
    };
    const report = await writeUnmetReport(work, findings, error.message);
    if (json)
      process.stdout.write(
        `${JSON.stringify({ met: false, message: error.message, nearest, bounds, report }, undefined, 2)}\n`,
      );
    process.stderr.write(`instatune: ${error.message}. Report: ${report}\n`);
    process.exitCode = UNMET;
  }
}

function resultOf(outcome: TuneOutcome, { files, layout, reason }: Written, out: string) {
  const {
    choice,
    subnet,
    full,
    small,
    searched,
    refined,
    reconstructed,
    settings,
    seconds,
    backend,
    runtime,
    newWeights,
    data,
  } = outcome;
  return {
    met: true,
    missedAtTheEnd: outcome.missed,
    out,
    task: data.task,
    budget: settings.budget,
    chosen: {
      trial: choice.point.number,
      rule: choice.rule,
      subnet,
      genes: choice.point.genes,
      refined,
      reconstructed,
    },
    full,
    small,
    searched,
    files,
    layout,
    reason,
    newWeights,
    backend,
    runtime,
    settings,
    seconds,
  };
}

function summary(outcome: TuneOutcome, { files, layout, reason }: Written, out: string): string {
  const { choice, subnet, full, small, data } = outcome;
  const metric = metricOf(data);
  const names = ['loss', metric, ...COSTS];
  const width = Math.max(...names.map((name) => name.length));
  const rows = names.map(
    (name) =>
      `  ${name.padEnd(width)}  ${shown(name, full[name]).padStart(12)}  →  ${shown(name, small[name]).padStart(12)}`,
  );
  const parts = Object.entries(describeSubnet(subnet)).map(([name, value]) => `${name} ${value}`);
  const quality = files
    .filter((file) => file.quality)
    .map(({ name, quality }) => `${name} ${shown(metric, quality![metric])}`);
  return [
    `${choice.rule}: ${parts.join(', ')}`,
    ...rows,
    ...[missesText(outcome.missed)].filter((line) => line !== ''),
    ...(quality.length === 0 ? [] : [`as ONNX: ${quality.join(', ')}`]),
    `written to ${out} (${layout}: ${reason}), report ${join(out, 'report.html')}`,
    '',
  ].join('\n');
}
