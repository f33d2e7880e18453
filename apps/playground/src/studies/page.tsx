// The page of studies: a file dropped or chosen, read in the worker, shown by the element that `instatune view` shows, exported.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { StudyElement, StudyView, ViewTrial } from '@instatune/search/report';
import { WorkerClient } from '../rpc/client.ts';
import { download, fileName } from '../shell/download.ts';
import { count } from '../shell/format.ts';
import { onLeave } from '../shell/mount.tsx';
import { FailureNote, TaskNote } from '../shell/parts.tsx';
import { useTask } from '../shell/task.ts';
import type { ExportFormat, OpenedStudy, StudyOperations } from './protocol.ts';

const startWorker = (): Worker =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'studies' });

/** What the page shows. */
interface Shown extends Omit<OpenedStudy, 'view'> {
  readonly view: StudyView;
}

interface Asking {
  readonly signal: AbortSignal;
  readonly onEvent: (some: readonly ViewTrial[]) => void;
}

export function StudiesPage() {
  const client = useMemo(() => new WorkerClient<StudyOperations>(startWorker), []);
  const task = useTask();
  const saving = useTask();
  const [files, setFiles] = useState<readonly File[]>([]);
  const [opened, setOpened] = useState<Shown>();
  const [isOver, setOver] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => onLeave(() => client.close()), [client]);

  const show = (ask: (options: Asking) => Promise<OpenedStudy>): void => {
    void task.run(async (signal) => {
      const trials: ViewTrial[] = [];
      const onEvent = (some: readonly ViewTrial[]): void => void trials.push(...some);
      const [found, { defineStudyElement }] = await Promise.all([
        ask({ signal, onEvent }),
        // Drawing comes when there is something to draw.
        import('@instatune/search/report'),
      ]);
      defineStudyElement();
      // What came and what is made of it are a task each.
      await new Promise((resolve) => setTimeout(resolve));
      setOpened({ ...found, view: { ...found.view, trials } });
    });
  };

  const open = (from: readonly File[], study?: string): void => {
    if (from.length === 0) return;
    setFiles(from);
    show((options) => client.call('open', { files: from, study }, options));
  };

  const save = (format: ExportFormat): void => {
    if (!opened) return;
    void saving.run(async (signal) => {
      const content = await client.call('export', format, { signal });
      download(`${fileName(opened.view.name)}.${format}`, content, content.type);
    });
  };

  useEffect(() => {
    if (!opened || !place.current) return undefined;
    const element = document.createElement('instatune-study') as StudyElement;
    element.importances = (_, objective, { signal } = {}) => client.call('importances', { objective }, { signal });
    place.current.replaceChildren(element);
    element.view = opened.view;
    return () => element.remove();
  }, [opened, client]);

  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    open([...(event.dataTransfer?.files ?? [])]);
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
            <input
              type="file"
              name="study"
              multiple
              onChange={(event) => open([...(event.currentTarget.files ?? [])])}
            />
          </label>
          <button
            type="button"
            name="example"
            disabled={task.isRunning}
            onClick={() => show((options) => client.call('example', undefined, options))}
          >
            No study at hand? Make one here, of 240 trials
          </button>
          <p class="note">
            While a search writes it, its newest trials lie in a file of the same name that ends in -wal: give both.
          </p>
        </div>
        {opened && opened.names.length > 1 && (
          <label>
            Study{' '}
            <select name="name" onChange={(event) => open(files, event.currentTarget.value)}>
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
            <button type="button" name="csv" disabled={task.isRunning} onClick={() => save('csv')}>
              Save the trials as CSV
            </button>
            <button type="button" name="json" disabled={task.isRunning} onClick={() => save('json')}>
              Save the study as JSON
            </button>
          </div>
        )}
        <FailureNote failure={saving.failure} />
      </section>
      <div ref={place} hidden={!opened} />
    </>
  );
}
