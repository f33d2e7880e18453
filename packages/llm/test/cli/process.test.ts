// hip-chat as a process: what is piped in is answered on standard output, everything else is said beside it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadLanguageModel } from '../../src/model/load.ts';
import { chatFolder } from '../helpers/chat-folder.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

/** Starts the command. */
function start(args: readonly string[], cwd?: string) {
  const env = { ...process.env };
  delete env['INIT_CWD'];
  const child = spawn(process.execPath, ['--no-warnings', MAIN, ...args], { env, cwd });
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (out.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (out.stderr += data.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...out }));
  return { child, ended };
}

function run(args: readonly string[], input: string, cwd?: string) {
  const { child, ended } = start(args, cwd);
  child.stdin.end(input);
  return ended;
}

describe('hip-chat', () => {
  let folder: Awaited<ReturnType<typeof chatFolder>>;
  beforeAll(async () => void (folder = await chatFolder({ max_position_embeddings: 100_000 })));
  afterAll(() => folder?.[Symbol.dispose]());
  const model = () => ['--model', folder.path, '--threads', '1'];

  it('answers a question that is piped in, as the library does', async () => {
    const { code, stdout, stderr } = await run(
      [...model(), '--system', 'S', '--seed', '4', '--max-tokens', '30'],
      'Well?\n',
    );
    using own = await loadLanguageModel(folder.path, { threads: 1 });
    using chat = own.chat({ system: 'S' });
    const answer = await chat.send('Well?', { seed: 4, maxTokens: 30 }).text();
    expect(stderr).toMatch(/2 layers of 32.*loaded in [\d.]+ s on wasm; context 100,000 tokens/);
    expect(stderr).toMatch(/\[\d+ tokens, [\d.]+ tokens\/s/);
    expect(stdout.trimEnd()).toBe(answer.trimEnd());
    expect(code).toBe(0);
  });

  it('reads a document first and says how far it is', async () => {
    const document = 'It was a dark and stormy night. '.repeat(60).trimEnd();
    writeFileSync(join(folder.path, 'night.txt'), document);
    const options = ['--document', 'night.txt', '--temperature', '0', '--dense'];
    const { code, stdout, stderr } = await run([...model(), ...options], 'What was it?', folder.path);
    expect(stderr).toMatch(/^reading: [\d,]+ of ([\d,]+) tokens \(\d+ %\)$/m);
    expect(stderr).toMatch(/^\[document: [\d,]+ tokens read in [\d.]+ s, [\d,]+ tokens\/s\]$/m);
    using own = await loadLanguageModel(folder.path, { threads: 1, attention: 'dense' });
    using chat = own.chat();
    const answer = await chat.send(`${document}\n\nWhat was it?`, { temperature: 0 }).text();
    expect(stdout.trimEnd()).toBe(answer.trimEnd());
    expect(code).toBe(0);
  });

  it.each([
    ['an option that is none', ['--modle', 'x'], /^hip-chat: there is no option --modle: did you mean --model\?\n$/],
    ['a place where there is nothing', ['--model', './nowhere'], /^hip-chat: .*there is no such file or folder.*\n$/],
  ] as const)('refuses %s in one line', async (_, args, message) => {
    const { code, stdout, stderr } = await run(args, 'x');
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('is stopped by Ctrl-C: the answer so far, figures, status 130', async () => {
    // No token ends its answers.
    using endless = await chatFolder({ max_position_embeddings: 100_000, eos_token_id: 1_000_000 });
    const { child, ended } = start(['--model', endless.path, '--threads', '1', '--max-tokens', '90000']);
    child.stdin.end('Go on for ever.');
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(stdout).not.toBe('');
    expect(stderr).toMatch(/\[\d+ tokens, .*stopped/);
    expect(code).toBe(130);
  });

  it('ends quietly when nobody reads the answer any more', async () => {
    const { child, ended } = start([...model(), '--max-tokens', '2000', '--temperature', '3']);
    child.stdin.end('Go on.');
    child.stdout.destroy();
    const { code, stderr } = await ended;
    expect([0, 130]).toContain(code);
    expect(stderr).not.toMatch(/EPIPE/);
  });
});

const gguf = sharedPath('models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');

it.skipIf(!gguf)(`answers with SmolLM2${missingShared('models/smollm2-135m-instruct')}`, async () => {
  const question = 'What is the capital of France? Answer in one sentence.';
  const { code, stdout } = await run(['--model', gguf!], question);
  expect([code, stdout]).toEqual([0, 'The capital of France is Paris.\n']);
});
