// Small parts that every page uses: a failure with its fix, the state of a task, a progress bar.
import type { ComponentChildren } from 'preact';
import type { Failure } from '../rpc/protocol.ts';
import type { Task } from './task.ts';

export function FailureNote({ failure }: { readonly failure: Failure | undefined }) {
  return (
    <div role="alert">
      {failure && (
        <p class="failure">
          <code>{failure.code}</code> {failure.message}
        </p>
      )}
    </div>
  );
}

/** For who is here for the first time: the buttons that show what the page does, one after the other. */
export function Steps({ of: buttons, then = '' }: { readonly of: readonly string[]; readonly then?: string }) {
  return (
    <p class="steps">
      To see it, press{' '}
      {buttons.map((button, i) => (
        <span key={button}>
          {i === 0 ? '' : i === buttons.length - 1 ? ' and ' : ', '}
          <b>{button}</b>
        </span>
      ))}
      {then}. Everything else can stay as it is.
    </p>
  );
}

/** What a task did last, for screen readers and eyes alike. */
export function TaskNote({ task, children }: { readonly task: Task; readonly children?: ComponentChildren }) {
  return (
    <>
      <p role="status" class="status">
        {task.wasStopped ? 'Stopped.' : children}
      </p>
      <FailureNote failure={task.failure} />
    </>
  );
}

interface BarProps {
  readonly label: string;
  readonly value: number;
  readonly max: number;
  readonly children?: ComponentChildren;
}

export function Bar({ label, value, max, children }: BarProps) {
  return (
    <p class="bar">
      <progress aria-label={label} value={value} max={Math.max(max, 1)} /> <span>{children}</span>
    </p>
  );
}
