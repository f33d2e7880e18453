// The first section: which model becomes a super-network, and where it is computed.
import { useState } from 'preact/hooks';
import { BackendField, LoadActions } from '../models/load-fields.tsx';
import { SourceFields } from '../models/source-fields.tsx';
import type { ModelSource } from '../models/source.ts';
import { bytes, count } from '../shell/format.ts';
import { Bar, TaskNote } from '../shell/parts.tsx';
import type { Task } from '../shell/task.ts';
import type { LoadInput, SupernetInfo } from './protocol.ts';

/** What is asked for when the form is sent. */
export type ModelChoice = Pick<LoadInput, 'source' | 'backend'>;

interface ModelSectionProps {
  readonly task: Task;
  readonly isBusy: boolean;
  readonly model: SupernetInfo | undefined;
  /** Bytes that have come. */
  readonly progress: { readonly loaded: number; readonly total: number };
  readonly onLoad: (choice: ModelChoice) => void;
}

export function ModelSection({ task, isBusy, model, progress, onLoad }: ModelSectionProps) {
  const [source, setSource] = useState<ModelSource>({ kind: 'bundled' });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    onLoad({ source, backend: data.get('backend') as LoadInput['backend'] });
  };
  return (
    <section aria-labelledby="model">
      <h2 id="model">1. A model</h2>
      <form onSubmit={submit}>
        <SourceFields value={source} onChange={setSource} />
        <BackendField />
        <LoadActions isBusy={isBusy} isLoading={task.isRunning} onStop={task.stop} />
      </form>
      {task.isRunning && (
        <Bar label="Loading" value={progress.loaded} max={progress.total}>
          {bytes(progress.loaded)} of {bytes(progress.total)}
        </Bar>
      )}
      <TaskNote task={task}>{task.isRunning ? 'Loading …' : model ? describe(model) : 'No model is loaded.'}</TaskNote>
    </section>
  );
}

function describe({ family, layers, heads, ffn, parameters, subnets, backend }: SupernetInfo): string {
  return `${family}: ${layers} layers, ${heads} heads, ${count(ffn)} FFN units, ${count(parameters)} parameters, ${subnets < 1e9 ? count(subnets) : subnets.toExponential(1)} sub-networks. ${backend}.`;
}
