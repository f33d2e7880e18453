// Measures in child processes of this machine: what a trial may need of memory holds, and nothing it does ends the search.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { REASONS, type ChildData } from './child-process.ts';
import { checkNames } from '../nearest.ts';
import type { Evaluator } from './evaluator.ts';
import type { MemberData, MemberMessage } from './member.ts';
import {
  checkOption,
  createPool,
  memberCount,
  memberFile,
  POOL_OPTIONS,
  type Member,
  type MemberEvent,
  type PoolOptions,
} from './pool.ts';

export interface ProcessPoolOptions extends PoolOptions {
  /** @defaultValue the machine's parallelism */
  readonly processes?: number;
  /**
   * Most resident memory of a process, of every kind: heap, typed arrays, WebAssembly, native tensors, the program itself (50 MB or so).
   * Looked at every 20 ms; beyond it the process is ended and the trial has lost an attempt. @defaultValue none
   */
  readonly maxRssMb?: number;
}

/** Less than Node itself takes. */
const LEAST_RSS_MB = 64;

/** Node's options for a child: this process's, but not a program on the command line (`node -e …`), nor a debugger's port. */
export function childArguments(own: readonly string[]): string[] {
  return own.filter((option, index) => {
    const follows = /^(-e|--eval|-p|-pe|--print)$/.test(own[index - 1] ?? '');
    return !follows && !/^(-e|--eval|-p|-pe|--print|--input-type|--inspect)/.test(option);
  });
}

/**
 * Measures in child processes. A process that dies (too much memory, a crash of native code, `process.kill`, time-out) costs its trial one
 * attempt; after the last one the trial is `failed` with that error. A child ends itself when the search's process is gone.
 *
 * A process runs a file of this package, as threads of `workerPool` do.
 *
 * @example
 * const evaluator = processPool({ module: './my-problem.ts', processes: 2, maxRssMb: 2048 });
 * await runSearch(problem, { tactic: 'linas', evaluations: 250, evaluator });
 * @throws SearchError `invalid-option`
 */
export function processPool(options: ProcessPoolOptions): Evaluator {
  checkNames('processPool', options, [...POOL_OPTIONS, 'processes', 'maxRssMb']);
  const { maxRssMb } = options;
  const count = memberCount('processes', options.processes);
  const isSize = (value: number) => value >= LEAST_RSS_MB && value < Infinity;
  checkOption('maxRssMb', maxRssMb, isSize, `${LEAST_RSS_MB} MB or more`);
  const file = fileURLToPath(memberFile('child-process', 'process'));
  const start = (data: MemberData): Member => {
    const child = fork(file, {
      execArgv: childArguments(process.execArgv),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    });
    let isAlive = true;
    let tell: ((event: MemberEvent) => void) | undefined;
    let reached = '';
    const reasons = child.stdio[REASONS]!;
    reasons.on('data', (text: Buffer) => (reached += text.toString()));
    child.on('message', (message: MemberMessage) => tell?.({ kind: 'message', message }));
    const die = (error: string): void => {
      if (!isAlive) return;
      isAlive = false;
      tell?.({ kind: 'crash', error });
    };
    child.on('error', (error) => die(error.message));
    // 'close' comes after the pipes have been read.
    child.on('close', (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
      die(reached === '' ? `worker process ${how}` : `took ${reached} MB of memory, maxRssMb is ${maxRssMb}`);
    });
    child.send({ ...data, maxRssMb } satisfies ChildData);
    child.unref();
    child.channel?.unref();
    (reasons as { unref?: () => void }).unref?.();
    return {
      get isAlive() {
        return isAlive;
      },
      post(job) {
        child.send(job, (error) => error && die(`cannot be sent a job: ${error.message}`));
      },
      listen: (listener) => (tell = listener),
      async end() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.ref();
        const gone = new Promise((settle) => child.once('exit', settle));
        child.kill('SIGKILL');
        await gone;
      },
    };
  };
  return createPool({ noun: 'process', count, isolated: true, start }, options);
}
