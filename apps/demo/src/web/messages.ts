// What page, server and worker say to each other. The page imports the types only.
import type { DemoEvent } from '../pipeline/events.ts';
import type { DemoInput } from '../pipeline/options.ts';

/** Body of POST /start. */
export interface StartRequest {
  readonly input: DemoInput;
  /** Go on with the run in the server's folder; `input` is ignored then. */
  readonly resume: boolean;
}

/** How a run ended. `status` as of the command line: 0 done, 2 for what the user can mend, 130 stopped. */
export interface RunEnd {
  readonly type: 'end';
  readonly status: number;
  readonly message: string;
}

export type RunMessage = { readonly type: 'begin' } | DemoEvent | RunEnd;

/** Answer of GET /status. */
export interface ServerStatus {
  readonly isRunning: boolean;
  readonly isResumable: boolean;
  readonly hasReport: boolean;
}
