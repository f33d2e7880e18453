// A conversation on WebGPU: what it says, and what remains of it when its device is lost in the middle of an answer.
import { expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { loadLanguageModel } from '../../../src/model/load.ts';
import { chatFolder } from '../../helpers/chat-folder.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;

describeGpu('a chat', (gpu) => {
  it(
    'keeps what was said when its device is lost, and goes on with another engine',
    async () => {
      using folder = await chatFolder();
      const options = { weights: 'f32', cacheType: 'f32', contextTokens: 200 } as const;
      const greedy = { temperature: 0, maxTokens: 6, stopIds: [] } as const;
      using other = await loadLanguageModel(folder.path, { ...options, backend: 'wasm', threads: 1 });
      using expected = other.chat();
      const device = await requestHipDevice(await gpu.adapter());
      using model = await loadLanguageModel(folder.path, { ...options, device });
      expect(model.backend).toBe('webgpu');
      using chat = model.chat();
      const first = await chat.send('What?', greedy).text();
      expect(first).toBe(await expected.send('What?', greedy).text());
      expect(chat.messages).toEqual(expected.messages);
      // The third token's step finds the device gone.
      let tokens = 0;
      const answer = chat.send('And then?', { ...greedy, onToken: () => void (++tokens === 2 && device.destroy()) });
      const pieces: string[] = [];
      const failed = await (async () => {
        for await (const piece of answer) pieces.push(piece);
      })().catch((error: unknown) => error);
      expect(failed).toMatchObject({ name: 'LlmError', code: 'device-lost' });
      expect(answer.usage).toMatchObject({ finishReason: 'failed' });
      const said = pieces.join('');
      const kept = said === '' ? [] : ['And then?', said];
      expect(chat.messages.map(({ content }) => content)).toEqual(['What?', first, ...kept]);
      const again = chat.send('And then?', greedy).text();
      await expect(again).rejects.toMatchObject({ code: 'device-lost' });
      expect(() => model.chat()).toThrow(expect.objectContaining({ code: 'device-lost' }));
      // Where it broke off, as one that never had a device.
      using next = other.chat({ messages: chat.messages.slice(0, 2) });
      expect(await next.send('And then?', greedy).text()).toBe(await expected.send('And then?', greedy).text());
      expect(next.messages).toEqual(expected.messages);
    },
    SLOW,
  );
});
