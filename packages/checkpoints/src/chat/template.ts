// Chat templates (Jinja) by @huggingface/jinja: messages to the text a model was trained on.
import { CheckpointError } from '../errors.ts';

/** One message of a conversation; a template may read more fields than these. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`, or what else the template knows. */
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** Options of {@link ChatTemplate.render}. */
export interface RenderOptions {
  /** End with what begins an answer. @defaultValue false */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Functions that the model may call, as JSON schemas; a `tool_use` template serves them where the model has one. */
  readonly tools?: readonly unknown[] | undefined;
  /** Texts to answer from, for templates that know them. */
  readonly documents?: readonly unknown[] | undefined;
  /** Further variables of the template: `enable_thinking`, `date_string`, … */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** A model's chat template, parsed. */
export interface ChatTemplate {
  /** Names of its templates; `default` is the one without tools. */
  readonly names: readonly string[];
  /**
   * The conversation as text. Special tokens are in it: encode it with `addSpecialTokens: false`.
   *
   * @throws CheckpointError `chat-template`: what the template refuses (`raise_exception`), messages that are none
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

/** Sources by name, or the only one. */
export type TemplateSources = string | Readonly<Record<string, string>>;

/**
 * Parses a chat template.
 *
 * @param sources - the Jinja source, or several by name (`default`, `tool_use`, …)
 * @param tokens - special tokens that templates write, by variable: `{ bos_token: '<s>' }`
 * @throws CheckpointError `chat-template` for what is no template
 *
 * @example
 * ```ts
 * import { createChatTemplate } from '@hip/checkpoints';
 *
 * const source = '{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}';
 * const template = await createChatTemplate(source);
 * console.log(template.render([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true })); // => <|user|>Hi<|assistant|>
 * ```
 */
export async function createChatTemplate(
  sources: TemplateSources,
  tokens: Readonly<Record<string, string>> = {},
): Promise<ChatTemplate> {
  // Only chats need the engine.
  const { Template } = await import('@huggingface/jinja');
  const byName = typeof sources === 'string' ? { default: sources } : sources;
  const parsed = new Map(
    Object.entries(byName).map(([name, source]) => {
      try {
        return [name, new Template(source)] as const;
      } catch (cause) {
        const message = `the chat template ${name} cannot be read: ${reasonOf(cause)}`;
        throw new CheckpointError('chat-template', message, { template: name }, { cause });
      }
    }),
  );
  const names = [...parsed.keys()];
  return {
    names,
    render: (messages, options = {}) => {
      requireMessages(messages);
      const { tools, documents, addGenerationPrompt = false, variables } = options;
      const name = tools && parsed.has('tool_use') ? 'tool_use' : 'default';
      const template = parsed.get(name);
      if (!template) {
        const message = `the model has no default chat template, only ${names.join(', ')}: pick one with createChatTemplate`;
        throw new CheckpointError('chat-template', message, { names });
      }
      try {
        return template.render({
          ...tokens,
          // What transformers sets, absent or not.
          tools: tools ?? null,
          documents: documents ?? null,
          ...variables,
          messages,
          add_generation_prompt: addGenerationPrompt,
        });
      } catch (cause) {
        // A template's own raise_exception comes out like any other failure.
        const reason = reasonOf(cause);
        const message = `the chat template ${name} cannot render these messages: ${reason}`;
        throw new CheckpointError('chat-template', message, { template: name, reason }, { cause });
      }
    },
  };
}

function requireMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new CheckpointError('chat-template', 'messages: expected at least one { role, content }', { messages });
  }
  for (const [index, message] of (messages as readonly unknown[]).entries()) {
    if (typeof (Object(message) as { role?: unknown }).role === 'string') continue;
    throw new CheckpointError('chat-template', `messages[${index}] has no role: expected { role, content }`, {
      index,
      message,
    });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
