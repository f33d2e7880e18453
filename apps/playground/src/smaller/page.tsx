// The page of smaller models: load, fine-tune on a text, search, click a point, take it along.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { SourceFields } from '../models/source-fields.tsx';
import type { ModelSource } from '../models/source.ts';
import { WorkerClient } from '../rpc/client.ts';
import { PlaygroundError } from '../rpc/protocol.ts';
import { address, bundledBook } from '../shell/address.ts';
import { download } from '../shell/download.ts';
import { bytes, count, milliseconds } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { Bar, TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { TextForm } from '../texts/text-form.tsx';
import { ChosenPoint } from './chosen-point.tsx';
import { FrontPlot } from './front-plot.tsx';
import { LossPlot } from './loss-plot.tsx';
import { paretoFront } from './pareto.ts';
import type {
  LoadInput,
  SearchEvent,
  SmallerOperations,
  SubnetPoint,
  SupernetInfo,
  TrainEvent,
  TrainOutput,
} from './protocol.ts';

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'smaller-model' });

export function SmallerPage() {
  const client = useMemo(() => new WorkerClient<SmallerOperations>(startWorker), []);
  const [loading, training, searching, saving] = [useTask(), useTask(), useTask(), useTask()];
  const [source, setSource] = useState<ModelSource>({ kind: 'bundled' });
  const [loaded, setLoaded] = useState({ loaded: 0, total: 1 });
  const [model, setModel] = useState<SupernetInfo>();
  const [text, setText] = useState({ name: '', content: '' });
  const [losses, setLosses] = useState<readonly number[]>([]);
  const [step, setStep] = useState<TrainEvent & { type: 'step' }>();
  const [described, setDescribed] = useState('');
  const [trained, setTrained] = useState<TrainOutput>();
  const [points, setPoints] = useState<readonly SubnetPoint[]>([]);
  const [progress, setProgress] = useState<SearchEvent>();
  const [chosen, setChosen] = useState<number>();
  const [saved, setSaved] = useState('');
  useEffect(() => onLeave(() => client.close()), [client]);
  const isBusy = [loading, training, searching, saving].some(({ isRunning }) => isRunning);
  const front = useMemo(() => paretoFront(points), [points]);
  const point = points.find(({ number }) => number === chosen);

  const forget = (): void => {
    setLosses([]);
    setStep(undefined);
    setTrained(undefined);
    setPoints([]);
    setChosen(undefined);
    setSaved('');
    setProgress(undefined);
  };

  const load = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    setModel(undefined);
    forget();
    void loading.run(async (signal) => {
      const input: LoadInput = {
        source,
        bundled: address('models/books-lm-6m'),
        wasmPaths: address('tfjs/'),
        backend: data.get('backend') as LoadInput['backend'],
      };
      setModel(await client.call('load', input, { signal, onEvent: setLoaded }));
    });
  };

  const train = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const number = (name: string): number => Number(data.get(name));
    forget();
    void training.run(async (signal) => {
      if (text.content.trim() === '')
        throw new PlaygroundError('no-text', 'there is no text: drop one, or take the book');
      const input = {
        text: text.content,
        steps: number('steps'),
        batchSize: number('batch'),
        tokens: number('tokens'),
      };
      const onEvent = (told: TrainEvent): void => {
        if (told.type === 'data') return setDescribed(told.described);
        setStep(told);
        setLosses((all) => [...all, told.loss]);
      };
      setTrained(await client.call('train', input, { signal, onEvent }));
    });
  };

  const search = (event: SubmitEvent): void => {
    event.preventDefault();
    const evaluations = Number(new FormData(event.currentTarget as HTMLFormElement).get('evaluations'));
    setPoints([]);
    setChosen(undefined);
    setSaved('');
    void searching.run(async (signal) => {
      const onEvent = (told: SearchEvent): void => {
        setProgress(told);
        if (told.point) setPoints((all) => [...all, told.point!]);
      };
      await client.call('search', { evaluations }, { signal, onEvent });
    });
  };

  const save = (format: 'safetensors' | 'onnx'): void => {
    if (!point) return;
    setSaved('');
    void saving.run(async (signal) => {
      const { name, content } = await client.call('export', { genes: point.genes, format }, { signal });
      download(name, content, content.type);
      setSaved(`Saved ${name}, ${bytes(content.size)}.`);
    });
  };

  return (
    <>
      <section aria-labelledby="model">
        <h2 id="model">1. A model</h2>
        <form onSubmit={load}>
          <SourceFields value={source} onChange={setSource} />
          <label>
            Computed on{' '}
            <select name="backend">
              <option value="auto">WebGPU where it serves, else WebAssembly</option>
              <option value="webgpu">WebGPU</option>
              <option value="wasm">WebAssembly</option>
            </select>
          </label>
          <div class="actions">
            <button class="primary" name="load" disabled={isBusy}>
              Load the model
            </button>
            <button type="button" name="stop-load" disabled={!loading.isRunning} onClick={loading.stop}>
              Stop loading
            </button>
          </div>
        </form>
        {loading.isRunning && (
          <Bar label="Loading" value={loaded.loaded} max={loaded.total}>
            {bytes(loaded.loaded)} of {bytes(loaded.total)}
          </Bar>
        )}
        <TaskNote task={loading}>
          {loading.isRunning ? 'Loading …' : model ? describe(model) : 'No model is loaded.'}
        </TaskNote>
      </section>
      <section aria-labelledby="train">
        <h2 id="train">2. Your text: it learns it, whole and in parts</h2>
        <TextForm
          name={text.name}
          text={text.content}
          isLocked={training.isRunning}
          onText={(name, content) => setText({ name, content })}
          onBook={async () => setText(await bundledBook())}
        />
        <form onSubmit={train}>
          <div class="fields">
            <label class="inline">
              Steps <input type="number" name="steps" min={1} max={2000} defaultValue={60} style="width:6em" />
            </label>
            <label class="inline">
              windows a step <input type="number" name="batch" min={1} max={64} defaultValue={4} style="width:5em" />
            </label>
            <label class="inline">
              tokens a window{' '}
              <input type="number" name="tokens" min={8} max={512} defaultValue={64} style="width:6em" />
            </label>
          </div>
          <div class="actions">
            <button class="primary" name="train" disabled={!model || isBusy} aria-describedby="train-needs">
              Fine-tune
            </button>
            <button type="button" name="stop-train" disabled={!training.isRunning} onClick={training.stop}>
              Stop
            </button>
          </div>
          <p class="note" id="train-needs" hidden={model !== undefined}>
            First load a model, above.
          </p>
        </form>
        {step && (
          <Bar label="Steps" value={step.step} max={step.steps}>
            step {count(step.step)} of {count(step.steps)}, {count(step.tokensPerSecond)} tokens/s
            {training.isRunning && `, ${milliseconds(1000 * step.etaSeconds)} left`}
          </Bar>
        )}
        <LossPlot losses={losses} steps={step?.steps ?? 1} />
        <TaskNote task={training}>
          {training.isRunning
            ? `Learning … ${described}`
            : trained
              ? `Loss on text that it did not learn: ${trained.lossBefore.toFixed(3)} before, ${trained.lossAfter.toFixed(3)} after.`
              : ''}
        </TaskNote>
      </section>
      <section aria-labelledby="search">
        <h2 id="search">3. Which parts are worth having on this device</h2>
        <form onSubmit={search}>
          <label class="inline">
            Sub-networks to measure{' '}
            <input type="number" name="evaluations" min={4} max={400} defaultValue={30} style="width:6em" />
          </label>
          <div class="actions">
            <button class="primary" name="search" disabled={!trained || isBusy} aria-describedby="search-needs">
              Search
            </button>
            <button type="button" name="stop-search" disabled={!searching.isRunning} onClick={searching.stop}>
              Stop
            </button>
          </div>
          <p class="note" id="search-needs" hidden={trained !== undefined}>
            First fine-tune it, above: parts are cut out of what has learnt to do with less.
          </p>
        </form>
        {progress && (
          <Bar label="Sub-networks measured" value={progress.done} max={progress.total}>
            {count(progress.done)} of {count(progress.total)} measured
          </Bar>
        )}
        <TaskNote task={searching}>
          {searching.isRunning
            ? 'Searching …'
            : points.length > 0
              ? `${count(front.length)} of ${count(points.length)} sub-networks are on the front. Choose a point.`
              : ''}
        </TaskNote>
        <FrontPlot points={points} front={front} chosen={chosen} onChoose={setChosen} />
        {point && <ChosenPoint point={point} full={points.find(({ isFull }) => isFull)} trained={trained} />}
        {point && (
          <div class="actions">
            <button type="button" name="save-safetensors" disabled={isBusy} onClick={() => save('safetensors')}>
              Save as safetensors (.zip with its tokenizer)
            </button>
            <button type="button" name="save-onnx" disabled={isBusy} onClick={() => save('onnx')}>
              Save as ONNX
            </button>
          </div>
        )}
        <TaskNote task={saving}>{saving.isRunning ? 'Writing …' : saved}</TaskNote>
      </section>
    </>
  );
}

function describe({ family, layers, heads, ffn, parameters, subnets, backend }: SupernetInfo): string {
  return `${family}: ${layers} layers, ${heads} heads, ${count(ffn)} FFN units, ${count(parameters)} parameters, ${subnets < 1e9 ? count(subnets) : subnets.toExponential(1)} sub-networks. ${backend}.`;
}
