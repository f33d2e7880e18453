// Messages to tokens: the template's text, encoded without further special tokens.
import type { ChatMessage, ChatTemplate, RenderOptions, TextTokenizer } from '@hip/checkpoints';

/** Between a document and what is asked of it. */
const GAP = '\n\n';

export class Rendering {
  readonly #template: ChatTemplate;
  readonly #tokenizer: TextTokenizer;
  readonly #options: RenderOptions;

  constructor(template: ChatTemplate, tokenizer: TextTokenizer, options: RenderOptions) {
    this.#template = template;
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** Tokens of a conversation, up to where an answer begins. @throws CheckpointError `chat-template` */
  prompt(messages: readonly ChatMessage[]): number[] {
    return this.#encode(this.#template.render(messages, { ...this.#options, addGenerationPrompt: true }));
  }

  /** Tokens that a conversation has in common, whatever is asked of the document. @throws CheckpointError `chat-template` */
  document(messages: readonly ChatMessage[], document: string): number[] {
    // What a template writes behind a question differs from one model to the next: the first difference of two shows where it is.
    const [a, b] = ['A', 'B'].map((question) =>
      this.#template.render([...messages, userMessage(question, document)], this.#options),
    ) as [string, string];
    let length = 0;
    while (length < a.length && a[length] === b[length]) length++;
    return this.#encode(a.slice(0, length).trimEnd());
  }

  #encode(text: string): number[] {
    return this.#tokenizer.encode(text, { addSpecialTokens: false });
  }
}

/** A question, behind the document that it is about. */
export function userMessage(text: string, document?: string): ChatMessage {
  return { role: 'user', content: document === undefined ? text : `${document}${GAP}${text}` };
}
