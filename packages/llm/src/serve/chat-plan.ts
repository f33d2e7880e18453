// What a chat request comes to: a prompt, what the answer is held to, and how calls are read out of it.
import type { ChatMessage } from '@hip/checkpoints';
import { Rendering } from '../chat/rendering.ts';
import { keptGrammar } from '../constrain/compile.ts';
import { choice } from '../constrain/fragments.ts';
import type { Grammar } from '../constrain/grammar.ts';
import type { Fragment } from '../constrain/network.ts';
import { schemaFragment } from '../constrain/schema.ts';
import { LlmError } from '../errors.ts';
import { toolFormat, type ToolFormat } from '../tools/format.ts';
import type { Tool, ToolReader } from '../tools/types.ts';
import { ApiError, toApiError } from './api-error.ts';
import { templateMessages } from './messages.ts';
import type { ChatRequest } from './requests.ts';
import type { Service } from './service.ts';

export interface ChatPlan {
  readonly prompt: readonly number[];
  /** What answers are held to, if calls are part of it. */
  readonly grammar: Grammar | undefined;
  /** Reads calls; undefined where the model was told of no tools. */
  readonly reader: (() => ToolReader) | undefined;
}

/** @throws ApiError 400; LlmError `unsupported-model`; CheckpointError `chat-template` */
export function planChat(service: Service, request: ChatRequest): ChatPlan {
  const { template, tokenizer } = service;
  if (!template) {
    const message = 'the model has no chat template: use /v1/completions, or load it with one';
    throw new LlmError('unsupported-model', message, { param: 'messages' });
  }
  const messages = templateMessages(request.messages);
  const tools = toolsOf(request);
  const hasCalls = messages.some((message) => message['tool_calls'] !== undefined);
  const format = tools.length > 0 || hasCalls ? toolFormat(template) : undefined;
  const variables = request.chat_template_kwargs ?? undefined;
  const rendering = new Rendering(template, tokenizer, { variables, tools: tools.length > 0 ? tools : undefined });
  const written: readonly ChatMessage[] = format ? format.messages(messages, tools) : messages;
  return {
    prompt: rendering.prompt(written),
    grammar: format && callGrammar(service, request, format, tools),
    reader: format && tools.length > 0 ? () => format.reader(tools) : undefined,
  };
}

/** Of the response format alone, where no tools are spoken of. */
export function schemaOf({ response_format }: ChatRequest): unknown {
  if (response_format?.type === 'json_object') return { type: 'object' };
  return response_format?.type === 'json_schema' ? response_format.json_schema.schema : undefined;
}

/** Tools that the model is told of. @throws ApiError 400 where one must be called that there is not */
function toolsOf({ tools, tool_choice }: ChatRequest): Tool[] {
  const all = (tools ?? []).map(({ function: { name, description, parameters } }): Tool => {
    const described = { name, ...(description ? { description } : {}), ...(parameters ? { parameters } : {}) };
    return { type: 'function', function: described };
  });
  const names = all.map((tool) => tool.function.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw refused('tools', `two tools are named ${twice}`);
  if (tool_choice === 'none') return [];
  if (tool_choice === 'required' && all.length === 0) throw refused('tool_choice', 'there are no tools to call');
  if (typeof tool_choice === 'object' && tool_choice && !names.includes(tool_choice.function.name)) {
    throw refused('tool_choice', `there is no tool named ${tool_choice.function.name}`);
  }
  return all;
}

/** Where calls must be written, or JSON unless calls are. */
function callGrammar(
  service: Service,
  request: ChatRequest,
  format: ToolFormat,
  tools: readonly Tool[],
): Grammar | undefined {
  const { tool_choice: chosen, parallel_tool_calls } = request;
  const schema = schemaOf(request);
  const isForced = chosen === 'required' || (typeof chosen === 'object' && chosen !== null);
  if (tools.length === 0 || (!isForced && schema === undefined)) return undefined;
  const named =
    typeof chosen === 'object' && chosen ? tools.filter((tool) => tool.function.name === chosen.function.name) : tools;
  const isSingle = parallel_tool_calls === false || named !== tools;
  const make = (): Fragment => {
    const calls = blaming('tools', () => format.calls(named, isSingle));
    return isForced
      ? calls
      : choice(
          blaming('response_format', () => schemaFragment(schema)),
          calls,
        );
  };
  return keptGrammar(
    `calls ${JSON.stringify([format.name, named, isSingle, isForced || schema])}`,
    make,
    service.tokenizer,
    service.vocabulary,
  );
}

function blaming<T>(param: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof LlmError && error.code === 'invalid-input') throw refused(param, toApiError(error).message);
    throw error;
  }
}

function refused(param: string, message: string): ApiError {
  return new ApiError(400, `${param}: ${message}`, { param, code: 'invalid_value' });
}
