// The page of long documents: a model, a text, both read by dense and HiP attention, a conversation.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { WorkerClient } from '../rpc/client.ts';
import { PlaygroundError } from '../rpc/protocol.ts';
import { address, bundledBook } from '../shell/address.ts';
import { bytes, count, ratio } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { Bar, TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { ChatView } from './chat-view.tsx';
import { LANE_NAMES, LaneView } from './lane-view.tsx';
import { MaskPicture } from './mask-picture.ts';
import { ModelForm, type ModelChoice } from './model-form.tsx';
import { newPassKey } from './pass-key.ts';
import type {
  DocumentOperations,
  KeyAnswer,
  LaneName,
  LaneProgress,
  LoadProgress,
  ModelInfo,
  PassKey,
} from './protocol.ts';
import { TextForm } from '../texts/text-form.tsx';

const COLOURS = { dense: [156, 74, 49], hip: [28, 110, 140] } as const;

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'long-document' });

/** In the middle, behind those that read all keys of any text up to 32K tokens. */
const shownLayer = (layers: number): number => Math.min(layers, Math.max(3, Math.ceil(layers / 2)));

interface Loaded {
  readonly info: ModelInfo;
  readonly lanes: readonly LaneName[];
}

export function DocumentPage() {
  const client = useMemo(() => new WorkerClient<DocumentOperations>(startWorker), []);
  const loading = useTask();
  const reading = useTask();
  const [download, setDownload] = useState<LoadProgress>();
  const [model, setModel] = useState<Loaded>();
  const [text, setText] = useState({ name: '', content: '' });
  const [lanes, setLanes] = useState<Readonly<Partial<Record<LaneName, LaneProgress>>>>({});
  const [answers, setAnswers] = useState<readonly KeyAnswer[]>([]);
  const [passKey, setPassKey] = useState<PassKey>();
  const pictures = useRef<Partial<Record<LaneName, MaskPicture>>>({});
  useEffect(() => onLeave(() => client.close()), [client]);
  const isBusy = loading.isRunning || reading.isRunning;

  const load = (choice: ModelChoice): void => {
    setModel(undefined);
    setLanes({});
    setAnswers([]);
    setDownload(undefined);
    pictures.current = {};
    void loading.run(async (signal) => {
      const input = { ...choice, bundled: address('models/books-lm-6m') };
      const info = await client.call('load', input, { signal, onEvent: setDownload });
      setModel({ info, lanes: choice.lanes });
    });
  };

  const read = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!model) return;
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const { tokens, layers } = model.info;
    const key = data.has('hide') ? newPassKey(Number(data.get('depth')) / 100) : undefined;
    const layer = Math.min(layers - 1, Math.max(0, Number(data.get('layer')) - 1));
    setPassKey(key);
    setLanes({});
    setAnswers([]);
    pictures.current = {};
    void reading.run(async (signal) => {
      if (text.content.trim() === '')
        throw new PlaygroundError('no-text', 'there is no text: drop one, or take the book');
      const done = await client.call(
        'read',
        { text: text.content, tokens, passKey: key, layer },
        { signal, onEvent: show },
      );
      for (const lane of done.lanes) show(lane);
      setAnswers(done.answers);
    });
  };

  const show = (progress: LaneProgress): void => {
    const { lane, done, total, mask } = progress;
    const picture = (pictures.current[lane] ??= new MaskPicture(lane, total));
    if (mask === 'all' || lane === 'dense') picture.fill(done, COLOURS[lane]);
    else if (mask) picture.add(mask, COLOURS[lane]);
    setLanes((all) => ({ ...all, [lane]: progress }));
  };

  const { dense, hip } = lanes;
  const isCompared = dense && hip && dense.done === dense.total && hip.done === hip.total;
  return (
    <>
      <section aria-labelledby="model">
        <h2 id="model">1. A model</h2>
        <ModelForm isBusy={isBusy} onLoad={load} onStop={loading.stop} />
        {loading.isRunning && (
          <Bar label="Loading" value={download?.loaded ?? 0} max={download?.total ?? 1}>
            {download
              ? `${download.what === 'download' ? 'downloads' : `${LANE_NAMES[download.what]}: reads weights`}, ${bytes(download.loaded)} of ${bytes(download.total)}`
              : 'opens the files'}
          </Bar>
        )}
        <TaskNote task={loading}>
          {loading.isRunning ? 'Loading …' : model ? describe(model) : 'No model is loaded.'}
        </TaskNote>
      </section>
      <section aria-labelledby="text">
        <h2 id="text">2. A text, read twice</h2>
        <TextForm
          name={text.name}
          text={text.content}
          isLocked={reading.isRunning}
          onText={(name, content) => setText({ name, content })}
          onBook={async () => setText(await bundledBook())}
        />
        <form onSubmit={read}>
          <div class="fields">
            <label class="inline">
              <input type="checkbox" name="hide" defaultChecked /> hide a pass-key in it, and ask for it at the end
            </label>
            <label class="inline">
              at <input type="number" name="depth" min={0} max={95} step={1} defaultValue={30} style="width:5em" /> % of
              the text
            </label>
            <label class="inline">
              show the mask of layer{' '}
              <input
                type="number"
                name="layer"
                min={1}
                max={model?.info.layers ?? 1}
                key={model?.info.layers}
                defaultValue={model ? shownLayer(model.info.layers) : 1}
                style="width:5em"
              />
            </label>
          </div>
          <div class="actions">
            <button class="primary" name="read" disabled={!model || isBusy}>
              Read it
            </button>
            <button type="button" name="stop-read" disabled={!reading.isRunning} onClick={reading.stop}>
              Stop
            </button>
          </div>
        </form>
        <TaskNote task={reading}>
          {reading.isRunning
            ? 'Reading …'
            : isCompared
              ? `HiP read ${count(hip.total)} tokens ${ratio(dense.ms / hip.ms)} as fast; its perplexity is ${ratio(hip.perplexity! / dense.perplexity!)} dense attention’s.`
              : ''}
        </TaskNote>
        {passKey && (
          <p class="note">
            Hidden: “{passKey.sentence.trim()}” Asked at the end: “{passKey.question.trim()} …”
          </p>
        )}
        {model && (
          <div class="beside">
            {model.lanes.map((lane) => (
              <LaneView
                key={lane}
                lane={lane}
                progress={lanes[lane]}
                picture={pictures.current[lane]}
                answer={answers.find((answer) => answer.lane === lane)}
              />
            ))}
          </div>
        )}
      </section>
      {model?.info.canChat && (
        <ChatView client={client} lanes={model.lanes} document={text.content} isLocked={isBusy} />
      )}
    </>
  );
}

function describe({ info }: Loaded): string {
  const { family, layers, heads, kvHeads, headSize, trainedTokens, backend, threads, reason, weights, tokens } = info;
  const where = backend === 'wasm' ? `WebAssembly, ${threads === 1 ? 'one thread' : `${threads} threads`}` : 'WebGPU';
  return `${family}: ${layers} layers, ${heads}/${kvHeads} heads of ${headSize}, trained for ${count(trainedTokens)} tokens, ${bytes(weights)} of weights a reader, room for ${count(tokens)} tokens. On ${where} (${reason}).`;
}
