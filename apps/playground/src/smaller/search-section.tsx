// The third section: the search, its front, the point that is chosen, and the files that it becomes.
import { useMemo } from 'preact/hooks';
import { count } from '../shell/format.ts';
import { Bar, TaskNote } from '../shell/parts.tsx';
import type { Task } from '../shell/task.ts';
import { ChosenPoint } from './chosen-point.tsx';
import { FrontPlot } from './front-plot.tsx';
import { paretoFront } from './pareto.ts';
import type { ExportInput, SearchEvent, SubnetPoint, TrainOutput } from './protocol.ts';

interface SearchSectionProps {
  readonly searching: Task;
  readonly saving: Task;
  readonly isBusy: boolean;
  readonly trained: TrainOutput | undefined;
  readonly points: readonly SubnetPoint[];
  readonly progress: SearchEvent | undefined;
  /** Number of the point whose figures are shown. */
  readonly chosen: number | undefined;
  readonly onChoose: (number: number) => void;
  readonly onSearch: (evaluations: number) => void;
  readonly onSave: (point: SubnetPoint, format: ExportInput['format']) => void;
  /** What was saved last. */
  readonly saved: string;
}

export function SearchSection(props: SearchSectionProps) {
  const { searching, saving, isBusy, trained, points, progress, chosen, onChoose, onSearch, onSave, saved } = props;
  const front = useMemo(() => paretoFront(points), [points]);
  const point = points.find(({ number }) => number === chosen);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    onSearch(Number(new FormData(event.currentTarget as HTMLFormElement).get('evaluations')));
  };
  return (
    <section aria-labelledby="search">
      <h2 id="search">3. Which parts are worth having on this device</h2>
      <form onSubmit={submit}>
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
            ? `${count(front.length)} of ${count(points.length)} sub-networks are on the front. Choose one of them to see what it is, and to save it.`
            : ''}
      </TaskNote>
      <FrontPlot points={points} front={front} chosen={chosen} onChoose={onChoose} />
      {points.length > 0 && (
        <p class="note">
          On the line: those that no other beats in both, the large blue points. Red: the whole network. Grey: the
          others.
        </p>
      )}
      {point && <ChosenPoint point={point} full={points.find(({ isFull }) => isFull)} trained={trained} />}
      {point && (
        <div class="actions">
          <button type="button" name="save-safetensors" disabled={isBusy} onClick={() => onSave(point, 'safetensors')}>
            Save as safetensors (.zip with its tokenizer)
          </button>
          <button type="button" name="save-onnx" disabled={isBusy} onClick={() => onSave(point, 'onnx')}>
            Save as ONNX
          </button>
        </div>
      )}
      <TaskNote task={saving}>{saving.isRunning ? 'Writing …' : saved}</TaskNote>
    </section>
  );
}
