// The page of long documents: a model, a text, both read by dense and HiP attention, a conversation.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { WorkerClient } from '../rpc/client.ts';
import { PlaygroundError } from '../rpc/protocol.ts';
import { address, bundledBook } from '../shell/address.ts';
import { bytes, count, ratio } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { Bar, Steps, TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { ChatView } from './chat-view.tsx';
import { LANE_NAMES, LaneView } from './lane-view.tsx';
import { MaskPicture } from './mask-picture.ts';
import { ModelForm, type ModelChoice } from './model-form.tsx';
import { newPassKey } from './pass-key.ts';
import { ReadForm, type ReadChoice } from './read-form.tsx';
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

interface Loaded {
  readonly info: ModelInfo;
  readonly lanes: readonly LaneName[];
}

export function DocumentPage() {
  const client = useMemo(() => new WorkerClient<DocumentOperations>(startWorker), []);
  const loading = useTask();
  const reading = useTask();
  const chatting = useTask();
  const [download, setDownload] = useState<LoadProgress>();
  const [model, setModel] = useState<Loaded>();
  const [text, setText] = useState({ name: '', content: '' });
  const [lanes, setLanes] = useState<Progress>({});
  const [answers, setAnswers] = useState<readonly KeyAnswer[]>([]);
  const [passKey, setPassKey] = useState<PassKey>();
  const pictures = useRef<Partial<Record<LaneName, MaskPicture>>>({});
  useEffect(() => onLeave(() => client.close()), [client]);
  const isBusy = loading.isRunning || reading.isRunning || chatting.isRunning;

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

  const read = ({ depth, layer }: ReadChoice): void => {
    if (!model) return;
    const { tokens } = model.info;
    const key = depth === undefined ? undefined : newPassKey(depth);
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

  return (
    <>
      <Steps of={['Load the model', 'Take the first chapters of Moby-Dick', 'Read it']} />
      <section aria-labelledby="model">
        <h2 id="model">1. A model</h2>
        <ModelForm isBusy={isBusy} isLoading={loading.isRunning} onLoad={load} onStop={loading.stop} />
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
        <ReadForm
          model={model?.info}
          isBusy={isBusy}
          isReading={reading.isRunning}
          onRead={read}
          onStop={reading.stop}
        />
        <TaskNote task={reading}>{reading.isRunning ? 'Reading …' : model ? whatWasRead(model, lanes) : ''}</TaskNote>
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
        <ChatView client={client} task={chatting} lanes={model.lanes} document={text.content} isLocked={isBusy} />
      )}
      {model?.info.canChat === false && (
        <p class="note">
          This model continues texts and answers no questions: it has no chat template. To talk, load one that has, such
          as HuggingFaceTB/SmolLM2-135M-Instruct.
        </p>
      )}
    </>
  );
}

function describe({ info }: Loaded): string {
  const { family, layers, heads, kvHeads, headSize, trainedTokens, backend, threads, reason, weights, tokens } = info;
  const where = backend === 'wasm' ? `WebAssembly, ${threads === 1 ? 'one thread' : `${threads} threads`}` : 'WebGPU';
  return `${family}: ${layers} layers, ${heads}/${kvHeads} heads of ${headSize}, trained for ${count(trainedTokens)} tokens, ${bytes(weights)} of weights for each reader, room for ${count(tokens)} tokens. On ${where} (${reason}).`;
}

/** A ratio of what is better the less it is, in words. */
function difference(times: number): string {
  const percent = Math.abs(100 * (times - 1));
  if (percent < 0.05) return 'the same';
  return `${percent.toFixed(percent < 10 ? 1 : 0)} % ${times > 1 ? 'higher (worse)' : 'lower (better)'}`;
}

type Progress = Readonly<Partial<Record<LaneName, LaneProgress>>>;

/** What there is to say once every lane is at the end of the text. */
function whatWasRead({ info, lanes: names }: Loaded, lanes: Progress): string {
  const all = names.flatMap((name) => lanes[name] ?? []);
  const [{ lane, total } = { lane: names[0]!, total: 0 }] = all;
  if (all.length < names.length || all.some(({ done }) => done < total)) return '';
  const { dense, hip } = lanes;
  const compared =
    dense && hip
      ? `HiP read ${count(total)} tokens ${ratio(dense.ms / hip.ms)} as fast as dense attention; its perplexity is ${difference(hip.perplexity! / dense.perplexity!)}.`
      : `${LANE_NAMES[lane]} read ${count(total)} tokens.`;
  const rest = ' That is all there is room for: load the model with more room, above, to read on.';
  return total === info.tokens ? compared + rest : compared;
}
