// One thing at a time that takes long: whether it runs, how to stop it, how it failed.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { failureOf, type Failure } from '../rpc/protocol.ts';

export interface Task {
  readonly isRunning: boolean;
  /** Of the last run; a run that was stopped did not fail. */
  readonly failure: Failure | undefined;
  /** Whether the last run was stopped. */
  readonly wasStopped: boolean;
  /** Starts `work`; what runs is stopped first. Failures are kept for the page to show. */
  readonly run: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  readonly stop: () => void;
}

export function useTask(): Task {
  const current = useRef<AbortController>(undefined);
  const [isRunning, setRunning] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const [wasStopped, setStopped] = useState(false);
  const stop = useCallback(() => current.current?.abort(), []);
  useEffect(() => stop, [stop]);
  const run = useCallback(async (work: (signal: AbortSignal) => Promise<void>) => {
    current.current?.abort();
    const controller = new AbortController();
    current.current = controller;
    setRunning(true);
    setFailure(undefined);
    setStopped(false);
    try {
      await work(controller.signal);
    } catch (error) {
      const thrown = failureOf(error);
      const isStop = thrown.code === 'aborted';
      if (current.current === controller) {
        setFailure(isStop ? undefined : thrown);
        setStopped(isStop);
      }
    } finally {
      if (current.current === controller) setRunning(false);
    }
  }, []);
  return { isRunning, failure, wasStopped, run, stop };
}
