// Calls of functions in a model's answers, whatever form its template has for them.

/** A function that a model may call, as the OpenAI API and chat templates describe it. */
export interface Tool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    /** JSON schema of the arguments, an object. @defaultValue no arguments */
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** A call that a model asks for. */
export interface ToolCall {
  readonly name: string;
  /** JSON of an object. */
  readonly arguments: string;
}

/** What a piece of an answer turned out to be. */
export type ToolPiece =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly call: ToolCall };

/** Reads an answer as it is written: text is given as soon as it is certain to be no call, a call when it is whole. */
export interface ToolReader {
  push(text: string): ToolPiece[];
  /** What was held back. */
  end(): ToolPiece[];
}

/** How a model's template has its calls written. */
export type ToolFormatName = 'tool-call' | 'tool-call-list' | 'llama3';
