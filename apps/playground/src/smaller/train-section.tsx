// The second section: the text, how long it is learnt, and the loss meanwhile.
import { bundledBook } from '../shell/address.ts';
import { count, milliseconds } from '../shell/format.ts';
import { Bar, TaskNote } from '../shell/parts.tsx';
import type { Task } from '../shell/task.ts';
import { TextForm } from '../texts/text-form.tsx';
import { LossPlot } from './loss-plot.tsx';
import type { TrainEvent, TrainInput, TrainOutput } from './protocol.ts';

/** What is asked for when the form is sent. */
export type TrainChoice = Omit<TrainInput, 'text'>;

/** What has been learnt so far. */
export interface Learning {
  readonly losses: readonly number[];
  readonly step: (TrainEvent & { type: 'step' }) | undefined;
  /** Which data, for people. */
  readonly described: string;
  readonly trained: TrainOutput | undefined;
}

export interface Text {
  readonly name: string;
  readonly content: string;
}

interface TrainSectionProps {
  readonly task: Task;
  readonly isBusy: boolean;
  readonly hasModel: boolean;
  readonly text: Text;
  readonly onText: (text: Text) => void;
  readonly learning: Learning;
  readonly onTrain: (choice: TrainChoice) => void;
}

export function TrainSection({ task, isBusy, hasModel, text, onText, learning, onTrain }: TrainSectionProps) {
  const { losses, step, described, trained } = learning;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const number = (name: string): number => Number(data.get(name));
    onTrain({ steps: number('steps'), batchSize: number('batch'), tokens: number('tokens') });
  };
  return (
    <section aria-labelledby="train">
      <h2 id="train">2. Your text: it learns it, whole and in parts</h2>
      <TextForm
        name={text.name}
        text={text.content}
        isLocked={task.isRunning}
        onText={(name, content) => onText({ name, content })}
        onBook={async () => onText(await bundledBook())}
      />
      <form onSubmit={submit}>
        <div class="fields">
          <label class="inline">
            Steps <input type="number" name="steps" min={1} max={2000} defaultValue={60} style="width:6em" />
          </label>
          <label class="inline">
            windows a step <input type="number" name="batch" min={1} max={64} defaultValue={4} style="width:5em" />
          </label>
          <label class="inline">
            tokens a window <input type="number" name="tokens" min={8} max={512} defaultValue={64} style="width:6em" />
          </label>
        </div>
        <div class="actions">
          <button class="primary" name="train" disabled={!hasModel || isBusy} aria-describedby="train-needs">
            Fine-tune
          </button>
          <button type="button" name="stop-train" disabled={!task.isRunning} onClick={task.stop}>
            Stop
          </button>
        </div>
        <p class="note" id="train-needs" hidden={hasModel}>
          First load a model, above.
        </p>
      </form>
      {step && (
        <Bar label="Steps" value={step.step} max={step.steps}>
          step {count(step.step)} of {count(step.steps)}, {count(step.tokensPerSecond)} tokens/s
          {task.isRunning && `, ${milliseconds(1000 * step.etaSeconds)} left`}
        </Bar>
      )}
      <LossPlot losses={losses} steps={step?.steps ?? 1} />
      <TaskNote task={task}>
        {task.isRunning
          ? `Learning … ${described}`
          : trained
            ? `Loss on text that it did not learn: ${trained.lossBefore.toFixed(3)} before, ${trained.lossAfter.toFixed(3)} after.`
            : ''}
      </TaskNote>
    </section>
  );
}
