// `llm serve` as a process: it says where it listens, answers, and ends with grace.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readServeArguments } from '../../src/cli/serve/arguments.ts';
import { UsageError } from '../../src/cli/end.ts';
import { chatFolder } from '../helpers/chat-folder.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

describe('llm serve', () => {
  let folder: Awaited<ReturnType<typeof chatFolder>>;
  beforeAll(async () => void (folder = await chatFolder({ max_position_embeddings: 100_000 })));
  afterAll(() => folder?.[Symbol.dispose]());

  /** Starts the command. */
  function start(args: readonly string[]) {
    const env = { ...process.env };
    delete env['INIT_CWD'];
    const child = spawn(process.execPath, ['--no-warnings', MAIN, 'serve', ...args], { env });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (out.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (out.stderr += data.toString()));
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...out }));
    const address = () =>
      new Promise<string>((resolve, reject) => {
        const look = (): void => {
          const url = /on (http:\S+)\n/.exec(out.stdout)?.[1];
          if (url !== undefined) resolve(url);
        };
        child.stdout.on('data', look);
        look();
        void ended.then(({ stderr }) => reject(new Error(`ended: ${stderr}`)));
      });
    return { child, ended, address };
  }

  it('serves under the name it is given, and a SIGTERM ends it and what it writes', async () => {
    const { child, ended, address } = start([
      '--model',
      folder.path,
      '--name',
      'small',
      '--port',
      '0',
      '--threads',
      '1',
      '--slots',
      '2',
    ]);
    const url = await address();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    const { data } = await (await fetch(`${url}/models`)).json();
    expect(data).toMatchObject([{ id: 'small', context_length: 100_000 }]);
    const body = JSON.stringify({
      model: 'small',
      prompt: 'Once',
      max_tokens: 90_000,
      stream: true,
      logit_bias: { 257: -100 },
    });
    const response = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const reader = response.body!.getReader();
    await reader.read();
    child.kill('SIGTERM');
    let text = '';
    for (let part = await reader.read(); !part.done; part = await reader.read())
      text += new TextDecoder().decode(part.value);
    expect(text).toMatch(/shutting_down/);
    const { code, stdout, stderr } = await ended;
    expect(stdout).toBe(`small on ${url}\n`);
    expect(stderr).toMatch(/ending, 1 answers have a few seconds/);
    expect(code).toBe(0);
  });

  it('says what is wrong in a line', async () => {
    const { code, stderr, stdout } = await start(['--model', join(folder.path, 'no.gguf')]).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^llm serve: --model .*there is no such file or folder/);
  });
});

describe('its arguments', () => {
  const read = (...raw: string[]) => readServeArguments(raw, '/', { LLM_API_KEY: 'from-environment' });

  it('become options', () => {
    const args = read(
      '--model',
      'hf://owner/name',
      '--port',
      '0',
      '--allow-host',
      'a, b',
      '--allow-origin=*',
      '--slots',
      '3',
      '--draft',
      'owner/smaller',
    );
    expect(args).toMatchObject({
      model: 'hf://owner/name',
      draft: 'hf://owner/smaller',
      names: ['owner/name', 'hf://owner/name'],
      port: 0,
      host: undefined,
      apiKey: 'from-environment',
      allowedHosts: ['a', 'b'],
      allowedOrigins: ['*'],
      slots: 3,
      queue: undefined,
    });
    expect(read('--model', 'https://host/m/Small.Q4_1.gguf', '--api-key', 'k')).toMatchObject({
      apiKey: 'k',
      names: ['Small.Q4_1', expect.any(String)],
    });
  });

  it.each([
    [[], /no model/],
    [['--model', 'owner/name', '--port', '70000'], /--port is "70000"/],
    [['--model', 'owner/name', '--slots', '0'], /--slots is "0": give a whole number ≥ 1/],
    [['--model', 'owner/name', '--prot', '1'], /did you mean --port/],
    [['--model', 'owner/name', 'extra'], /"extra" belongs to no option/],
  ])('are refused: %j', (raw, message) => {
    expect(() => read(...raw)).toThrow(UsageError);
    expect(() => read(...raw)).toThrow(message);
  });
});
