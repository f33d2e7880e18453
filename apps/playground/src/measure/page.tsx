// The page Measure: what to measure, the candidates in turns, tables beside what is stored, and all of it to copy.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { WorkerClient } from '../rpc/client.ts';
import { address } from '../shell/address.ts';
import { download } from '../shell/download.ts';
import { count } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { Bar, TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { casesOf, RUNS } from './cases.ts';
import { storedRows } from './facts.ts';
import type { Device, Environment, MeasuredRow, MeasureEvent, MeasureOperations } from './protocol.ts';
import { byCase, compare, reportJson } from './report.ts';
import { ResultsTable } from './results-table.tsx';

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'measure' });

const DEVICES: Readonly<Record<string, readonly Device[]>> = {
  both: ['wasm', 'webgpu'],
  wasm: ['wasm'],
  webgpu: ['webgpu'],
};
const MACHINES = [...new Set(storedRows.map(({ machine }) => machine))];

export function MeasurePage() {
  const client = useMemo(() => new WorkerClient<MeasureOperations>(startWorker), []);
  const task = useTask();
  const [progress, setProgress] = useState<MeasureEvent & { type: 'run' }>();
  const [rows, setRows] = useState<readonly MeasuredRow[]>([]);
  const [environment, setEnvironment] = useState<Environment>();
  useEffect(() => onLeave(() => client.close()), [client]);
  const compared = useMemo(() => compare(rows, storedRows), [rows]);

  const measure = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => data.get(name) as string;
    setRows([]);
    setEnvironment(undefined);
    setProgress(undefined);
    void task.run(async (signal) => {
      const devices = DEVICES[text('devices')] ?? [];
      const runs = text('runs').trim() === '' ? Number.NaN : Number(text('runs'));
      const cases = casesOf({ prefill: text('prefill'), decode: text('decode'), runs, devices });
      const onEvent = (told: MeasureEvent): void => {
        if (told.type === 'run') setProgress(told);
        else setRows((all) => [...all, ...told.rows]);
      };
      const input = {
        cases,
        runs,
        allowSoftware: devices.length === 1,
        tfjs: address('tfjs/'),
        onnxruntime: address('onnxruntime/'),
      };
      try {
        const output = await client.call('measure', input, { signal, onEvent });
        setRows(output.rows);
        setEnvironment(output.environment);
      } finally {
        // Peers keep what they allocate: the next measurement begins in a fresh worker.
        client.close();
      }
    });
  };

  return (
    <>
      <section aria-labelledby="what">
        <h2 id="what">What to measure</h2>
        <form onSubmit={measure} noValidate>
          <label>
            Lengths of prompts that are read at once (prefill), in tokens; 8 heads of 64{' '}
            <input type="text" name="prefill" defaultValue="1024, 2048, 4096" />
          </label>
          <label>
            Lengths of texts before one more token (decode), in tokens; 8 heads of 64, 2 of keys{' '}
            <input type="text" name="decode" defaultValue="8192, 32768" />
          </label>
          <div class="fields">
            <label class="inline">
              Runs <input type="number" name="runs" min={RUNS[0]} max={RUNS[1]} defaultValue={5} style="width:5em" />
            </label>
            <label class="inline">
              Computed on{' '}
              <select name="devices">
                <option value="both">WebAssembly and WebGPU</option>
                <option value="wasm">WebAssembly</option>
                <option value="webgpu">WebGPU</option>
              </select>
            </label>
          </div>
          <div class="actions">
            <button class="primary" name="measure" disabled={task.isRunning}>
              Measure
            </button>
            <button type="button" name="stop" disabled={!task.isRunning} onClick={task.stop}>
              Stop
            </button>
          </div>
        </form>
        <p class="note">
          Float32, causal. Each candidate runs once to warm up, then in turns with the others; a figure is the median of
          a call or of a decoded token, and in brackets its ratio to HiP’s. onnxruntime-web takes as many threads as our
          kernels (MultiHeadAttention for prefill on WebAssembly, where it is the faster; else GroupQueryAttention),
          tensorflow.js one; HiP is the shipped default. Loading all of them takes up to 45 MB.
        </p>
        {progress && (
          <Bar label="Runs" value={task.isRunning ? progress.done : progress.total} max={progress.total}>
            {progress.what}
          </Bar>
        )}
        <TaskNote task={task}>
          {task.isRunning
            ? 'Measuring …'
            : environment
              ? `Measured ${count(rows.length)} rows on ${count(environment.threads)} ${environment.threads === 1 ? 'thread' : 'threads'}${environment.gpu ? `; WebGPU: ${environment.gpu}` : ''}.`
              : 'Nothing has been measured yet.'}
        </TaskNote>
      </section>
      {rows.length > 0 && (
        <section aria-labelledby="results">
          <h2 id="results">Here, and elsewhere</h2>
          {byCase(compared).map((group) => (
            <ResultsTable key={`${group[0]!.part} ${group[0]!.device} ${group[0]!.tokens}`} rows={group} />
          ))}
          <p class="note">
            Elsewhere: {MACHINES.join('; ')}. onnxruntime was the native one there. A dash: not measured there.
          </p>
        </section>
      )}
      {environment && <ReportJson json={reportJson(environment, compared)} />}
    </>
  );
}

function ReportJson({ json }: { readonly json: string }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const [said, setSaid] = useState('');
  const copy = async (): Promise<void> => {
    area.current?.select();
    try {
      await navigator.clipboard.writeText(json);
      setSaid('Copied.');
    } catch {
      setSaid('The browser forbids copying: the text is selected, copy it by hand.');
    }
  };
  return (
    <section aria-labelledby="json">
      <h2 id="json">As JSON</h2>
      <label>
        The whole measurement <textarea ref={area} name="json" readOnly rows={8} value={json} spellcheck={false} />
      </label>
      <div class="actions">
        <button type="button" name="copy" onClick={() => void copy()}>
          Copy
        </button>
        <button type="button" name="save" onClick={() => download('measure.json', json, 'application/json')}>
          Save
        </button>
      </div>
      <p role="status" class="status copied">
        {said}
      </p>
    </section>
  );
}
