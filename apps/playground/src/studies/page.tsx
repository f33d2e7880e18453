// The page of studies: a file dropped or chosen, read in the worker, shown by the element that `instatune view` shows, exported.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { StudyElement } from '@instatune/search/report';
import { WorkerClient } from '../rpc/client.ts';
import { download, fileName } from '../shell/download.ts';
import { count } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import { viewCsv } from './export.ts';
import type { OpenedStudy, StudyOperations } from './protocol.ts';

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'studies' });

export function StudiesPage() {
  const client = useMemo(() => new WorkerClient<StudyOperations>(startWorker), []);
  const task = useTask();
  const [file, setFile] = useState<File>();
  const [opened, setOpened] = useState<OpenedStudy>();
  const [isOver, setOver] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => onLeave(() => client.close()), [client]);

  const open = (from: File | undefined, study?: string): void => {
    if (!from) return;
    setFile(from);
    void task.run(async (signal) => {
      const [found, { defineStudyElement }] = await Promise.all([
        client.call('open', { file: from, study }, { signal }),
        // Drawing comes when there is something to draw.
        import('@instatune/search/report'),
      ]);
      defineStudyElement();
      setOpened(found);
    });
  };

  useEffect(() => {
    if (!opened || !place.current) return undefined;
    const element = document.createElement('instatune-study') as StudyElement;
    place.current.replaceChildren(element);
    element.view = opened.view;
    return () => element.remove();
  }, [opened]);

  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    open(event.dataTransfer?.files[0]);
  };
  const over = (event: DragEvent): void => {
    event.preventDefault();
    setOver(true);
  };
  const view = opened?.view;
  return (
    <>
      <section aria-labelledby="file">
        <h2 id="file">A study file</h2>
        <div class={`drop${isOver ? ' over' : ''}`} onDragOver={over} onDragLeave={() => setOver(false)} onDrop={drop}>
          <label>
            Drop it here, or choose it: SQLite of instatune or Optuna, or JSON{' '}
            <input type="file" name="study" onChange={(event) => open(event.currentTarget.files?.[0])} />
          </label>
        </div>
        {opened && opened.names.length > 1 && (
          <label>
            Study{' '}
            <select name="name" onChange={(event) => open(file, event.currentTarget.value)}>
              {opened.names.map((name) => (
                <option key={name} selected={name === view?.name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <TaskNote task={task}>
          {task.isRunning
            ? 'Reading …'
            : view
              ? `${view.name}: ${count(view.trials.length)} trials.`
              : 'No study is open.'}
        </TaskNote>
        {view && (
          <div class="actions">
            <button
              type="button"
              name="csv"
              onClick={() => download(`${fileName(view.name)}.csv`, viewCsv(view), 'text/csv')}
            >
              Save the trials as CSV
            </button>
            <button
              type="button"
              name="json"
              onClick={() =>
                download(`${fileName(view.name)}.json`, `${JSON.stringify(view, null, 1)}\n`, 'application/json')
              }
            >
              Save the study as JSON
            </button>
          </div>
        )}
      </section>
      <div ref={place} hidden={!opened} />
    </>
  );
}
