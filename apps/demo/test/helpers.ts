// A tiny checkpoint, tiny texts, and the command line as a child process.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { findFamily, saveCheckpoint, SeededRandom, TransformerModel, weightSlots } from '@instatune/supernet';
import { runCommand } from '../src/cli/command.ts';
import { DEFAULT_MODEL } from '../src/pipeline/model.ts';

export const CLI = join(import.meta.dirname, '../src/cli/main.ts');

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'demo-'));

/** A Llama of 4 layers · hidden 32 · 4/2 heads of 16 · FFN 48 with the committed tokenizer, random weights. */
export async function tinyCheckpoint(folder: string, positions = 4096): Promise<string> {
  await tf.setBackend('cpu');
  const raw = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 32,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    intermediate_size: 48,
    vocab_size: 4096,
    max_position_embeddings: positions,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 0,
  };
  const config = findFamily(raw).readConfig(raw);
  const random = new SeededRandom(11);
  const values = new Map(
    weightSlots(config).map(({ name, role, shape }) => {
      const size = shape.reduce((product, extent) => product * extent, 1);
      const base = role === 'norm' ? 1 : 0;
      return [name, Float32Array.from({ length: size }, () => base + 0.1 * (random.next() - 0.5))] as const;
    }),
  );
  const model = new TransformerModel(config, values);
  await saveCheckpoint(model, folder);
  model.dispose();
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(DEFAULT_MODEL, name), join(folder, name));
  return folder;
}

/** A text with something to learn, and a longer one of the same kind. */
export function writeTexts(folder: string): { readonly text: string; readonly document: string } {
  const lines = (count: number): string =>
    Array.from(
      { length: count },
      (_, i) => `const value${i % 17} = compute(${i % 7}, "${'abc'.repeat(1 + (i % 3))}");`,
    ).join('\n');
  const [text, document] = [join(folder, 'text.ts'), join(folder, 'document.ts')];
  writeFileSync(text, lines(160));
  writeFileSync(document, lines(200));
  return { text, document };
}

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The command line in this process. */
export async function inProcess(folder: string, ...args: string[]): Promise<Outcome> {
  let out = '';
  let err = '';
  const stderr = { isTTY: false, write: (text: string) => (err += text) } as unknown as NodeJS.WriteStream;
  const { signal } = new AbortController();
  const code = await runCommand(args, { folder, stdout: { write: (text) => (out += text) }, stderr, signal });
  return { code, out, err };
}

/** npm would say where the tests were called from. */
const { INIT_CWD: _, ...environment } = process.env;

export async function cli(cwd: string, ...args: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--no-warnings', CLI, ...args], {
      cwd,
      env: environment,
    });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome & { readonly signal: NodeJS.Signals | null }>;
}

export function start(cwd: string, ...args: string[]): Running {
  const child = spawn(process.execPath, ['--no-warnings', CLI, ...args], { cwd, env: environment });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Outcome & { signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  return { child, ended };
}

/** The text of a file, or nothing. */
export const peek = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
