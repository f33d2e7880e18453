// The page of smaller models: load, fine-tune on a text, search, click a point, take it along.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { WorkerClient } from '../rpc/client.ts';
import { PlaygroundError } from '../rpc/protocol.ts';
import { address } from '../shell/address.ts';
import { download } from '../shell/download.ts';
import { bytes } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { Steps } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { ModelSection, type ModelChoice } from './model-section.tsx';
import type { ExportInput, SearchEvent, SmallerOperations, SubnetPoint, SupernetInfo, TrainEvent } from './protocol.ts';
import { SearchSection } from './search-section.tsx';
import { TrainSection, type Learning, type Text, type TrainChoice } from './train-section.tsx';

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'smaller-model' });

const NOTHING_LEARNT: Learning = { losses: [], step: undefined, described: '', trained: undefined };

export function SmallerPage() {
  const client = useMemo(() => new WorkerClient<SmallerOperations>(startWorker), []);
  const [loading, training, searching, saving] = [useTask(), useTask(), useTask(), useTask()];
  const [loaded, setLoaded] = useState({ loaded: 0, total: 1 });
  const [model, setModel] = useState<SupernetInfo>();
  const [text, setText] = useState<Text>({ name: '', content: '' });
  const [learning, setLearning] = useState(NOTHING_LEARNT);
  const [points, setPoints] = useState<readonly SubnetPoint[]>([]);
  const [progress, setProgress] = useState<SearchEvent>();
  const [chosen, setChosen] = useState<number>();
  const [saved, setSaved] = useState('');
  useEffect(() => onLeave(() => client.close()), [client]);
  const isBusy = [loading, training, searching, saving].some(({ isRunning }) => isRunning);

  const forgetSearch = (): void => {
    setPoints([]);
    setProgress(undefined);
    setChosen(undefined);
    setSaved('');
  };

  const load = (choice: ModelChoice): void => {
    setModel(undefined);
    setLoaded({ loaded: 0, total: 1 });
    setLearning(NOTHING_LEARNT);
    forgetSearch();
    void loading.run(async (signal) => {
      const input = { ...choice, bundled: address('models/books-lm-6m'), wasmPaths: address('tfjs/') };
      setModel(await client.call('load', input, { signal, onEvent: setLoaded }));
    });
  };

  const train = (choice: TrainChoice): void => {
    setLearning(NOTHING_LEARNT);
    forgetSearch();
    void training.run(async (signal) => {
      if (text.content.trim() === '')
        throw new PlaygroundError('no-text', 'there is no text: drop one, or take the book');
      const onEvent = (told: TrainEvent): void =>
        setLearning((all) =>
          told.type === 'data'
            ? { ...all, described: told.described }
            : { ...all, step: told, losses: [...all.losses, told.loss] },
        );
      const trained = await client.call('train', { text: text.content, ...choice }, { signal, onEvent });
      setLearning((all) => ({ ...all, trained }));
    });
  };

  const search = (evaluations: number): void => {
    forgetSearch();
    void searching.run(async (signal) => {
      const onEvent = (told: SearchEvent): void => {
        setProgress(told);
        if (told.point) setPoints((all) => [...all, told.point!]);
      };
      await client.call('search', { evaluations }, { signal, onEvent });
    });
  };

  const save = ({ genes }: SubnetPoint, format: ExportInput['format']): void => {
    setSaved('');
    void saving.run(async (signal) => {
      const { name, content } = await client.call('export', { genes, format }, { signal });
      download(name, content, content.type);
      setSaved(`Saved ${name}, ${bytes(content.size)}.`);
    });
  };

  return (
    <>
      <Steps
        of={['Load the model', 'Take the first chapters of Moby-Dick', 'Fine-tune', 'Search']}
        then=", then choose a point of the front and save it"
      />
      <ModelSection task={loading} isBusy={isBusy} model={model} progress={loaded} onLoad={load} />
      <TrainSection
        task={training}
        isBusy={isBusy}
        hasModel={model !== undefined}
        text={text}
        onText={setText}
        learning={learning}
        onTrain={train}
      />
      <SearchSection
        searching={searching}
        saving={saving}
        isBusy={isBusy}
        trained={learning.trained}
        points={points}
        progress={progress}
        chosen={chosen}
        onChoose={setChosen}
        onSearch={search}
        onSave={save}
        saved={saved}
      />
    </>
  );
}
