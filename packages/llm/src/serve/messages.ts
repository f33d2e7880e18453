// Messages of a request as a chat template reads them.
import type { ChatMessage } from '@hip/checkpoints';
import { ApiError } from './api-error.ts';
import type { ChatRequest, ChatRequestMessage } from './requests.ts';

/** @throws ApiError 400 for calls whose arguments are no JSON object */
export function templateMessages(messages: ChatRequest['messages']): ChatMessage[] {
  const names = new Map<string, string>();
  return messages.map((message, index): ChatMessage => {
    const content = textOf(message.content);
    switch (message.role) {
      // OpenAI's newer name; templates know the older.
      case 'developer':
        return { role: 'system', content };
      case 'assistant': {
        if (!message.tool_calls?.length) return { role: 'assistant', content };
        const calls = message.tool_calls.map((call, at) => {
          if (call.id) names.set(call.id, call.function.name);
          const param = `messages.${index}.tool_calls.${at}.function.arguments`;
          const called = { name: call.function.name, arguments: objectOf(call.function.arguments, param) };
          return { type: 'function', ...(call.id ? { id: call.id } : {}), function: called };
        });
        return { role: 'assistant', content, tool_calls: calls };
      }
      case 'tool': {
        const name = message.name ?? names.get(message.tool_call_id);
        return { role: 'tool', content, tool_call_id: message.tool_call_id, ...(name === undefined ? {} : { name }) };
      }
      default:
        return { role: message.role, content };
    }
  });
}

function textOf(content: ChatRequestMessage['content']): string {
  if (content === null || content === undefined) return '';
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}

function objectOf(text: string, param: string): object {
  try {
    const value = JSON.parse(text === '' ? '{}' : text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below, as for other values.
  }
  throw new ApiError(400, `${param} is no JSON object: ${JSON.stringify(text.slice(0, 80))}`, {
    param,
    code: 'invalid_value',
  });
}
