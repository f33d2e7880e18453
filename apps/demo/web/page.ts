// The page: a form that starts runs, and a view of their messages.
import * as Plot from '@observablehq/plot';
import { lossPlot, paretoPlot, timePlot } from '../src/report/plots.ts';
import { attentionSpeedup, perplexityRatio } from '../src/pipeline/derived.ts';
import { COLOURS } from '../src/report/style.ts';
import type { RunMessage, ServerStatus, StartRequest } from '../src/web/messages.ts';
import { advance, EMPTY, type View } from '../src/web/view.ts';

const element = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;
const form = element<HTMLFormElement>('#options');
const button = (name: string): HTMLButtonElement => element(`button[name=${name}]`);
document.head.append(node('style', COLOURS));
let view: View = EMPTY;
let isDrawing = false;

new EventSource('./events').addEventListener('message', ({ data }: MessageEvent<string>) => {
  const message = JSON.parse(data) as RunMessage;
  view = advance(view, message);
  if (message.type === 'end') void refreshButtons();
  drawSoon();
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void start(false);
});
button('resume').addEventListener('click', () => void start(true));
button('stop').addEventListener('click', () => void fetch('./stop', { method: 'POST' }));
void refreshButtons();

async function start(resume: boolean): Promise<void> {
  const request: StartRequest = { input: resume ? {} : readForm(), resume };
  const response = await fetch('./start', { method: 'POST', body: JSON.stringify(request) });
  if (response.ok) return;
  const { message } = (await response.json()) as { message: string };
  view = { ...view, status: message, isBad: true };
  drawSoon();
}

function readForm(): StartRequest['input'] {
  const data = new FormData(form);
  const text = (name: string): string | undefined => {
    const value = data.get(name);
    return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
  };
  const number = (name: string): number | undefined => (text(name) === undefined ? undefined : Number(text(name)));
  const list = (name: string): string[] | undefined =>
    text(name)
      ?.split(/[,;]/)
      .map((part) => part.trim());
  return {
    quick: data.has('quick'),
    seed: number('seed'),
    steps: number('steps'),
    evaluations: number('evaluations'),
    cost: text('cost'),
    budget: list('budget'),
    maxLoss: number('maxLoss'),
    lengths: list('lengths')?.map(Number),
    text: list('text'),
    document: text('document'),
  };
}

async function refreshButtons(): Promise<void> {
  const { isResumable, hasReport } = (await (await fetch('./status')).json()) as ServerStatus;
  button('resume').hidden = !isResumable || view.isRunning;
  element('#links').hidden = !hasReport;
  drawSoon();
}

/** At most one drawing a frame, however fast messages come. */
function drawSoon(): void {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    draw();
  });
}

function draw(): void {
  button('start').disabled = view.isRunning;
  button('stop').hidden = !view.isRunning;
  if (view.isRunning) button('resume').hidden = true;
  const status = element('#status');
  status.textContent = view.status;
  status.className = view.isBad ? 'bad' : '';
  const progress = element<HTMLProgressElement>('#progress');
  progress.hidden = view.progress === undefined;
  progress.value = view.progress ?? 0;
  element('#notes').replaceChildren(...view.notes.map((text) => node('li', text)));
  const { curve, lossBefore, trials, search, chosen, full, rows } = view;
  figure('loss', curve.length > 0 && lossPlot(curve, lossBefore));
  const cost = search?.cost ?? (trials.some(({ latencyMs }) => latencyMs !== undefined) ? 'latency' : 'macs');
  figure('front', trials.length > 0 && full && paretoPlot({ trials, front: search?.front ?? [], cost }, full, chosen));
  figure('time', rows.length > 0 && timePlot(rows));
  drawRows();
  element('#pass-keys').textContent = view.passKeys ?? '';
}

function figure(id: string, options: Plot.PlotOptions | false | undefined): void {
  const place = element(`#${id}`);
  place.hidden = !options;
  if (options) place.querySelector('div')!.replaceChildren(Plot.plot(options));
}

function drawRows(): void {
  const table = document.createElement('table');
  const add = (tag: 'th' | 'td', cells: readonly string[]): void => {
    const line = document.createElement('tr');
    line.append(...cells.map((cell) => node(tag, cell)));
    table.append(line);
  };
  add('th', ['tokens', 'dense', 'HiP', 'attention', 'ppl HiP/dense', 'mass recall']);
  for (const row of view.rows) {
    const { tokens, denseMs, hipMs, massRecall } = row;
    const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
    add('td', [
      String(tokens),
      seconds(denseMs),
      seconds(hipMs),
      `${attentionSpeedup(row).toFixed(1)}×`,
      perplexityRatio(row),
      massRecall.toFixed(3),
    ]);
  }
  element('#rows').replaceChildren(...(view.rows.length > 0 ? [table] : []));
}

function node(tag: string, text: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
