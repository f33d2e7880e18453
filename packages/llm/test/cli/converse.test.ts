// The chat in a terminal: lines are questions, /undo takes one back, Ctrl-C stops an answer and twice ends.
import { describe, expect, it, vi } from 'vitest';
import { Interrupts } from '../../src/cli/interrupts.ts';
import { chatFolder } from '../helpers/chat-folder.ts';
import { command } from '../helpers/command.ts';

describe('a terminal', () => {
  it('asks line by line until the end', async () => {
    using folder = await chatFolder();
    const lines = ['Hello?', '', '/undo', '/undo', '/what', 'x'.repeat(3000), 'Hello?', '/quit', 'never asked'];
    const {
      code,
      stdout,
      stderr: said,
    } = await command(['--model', folder.path, '--max-tokens', '8'], { typed: lines });
    expect(code).toBe(0);
    expect(said.match(/tokens\/s/g)).toHaveLength(2);
    expect(said).toContain('Taken back.');
    expect(said).toContain('There is nothing to take back.');
    expect(said).toMatch(/hip-chat: \d+ tokens are needed and the context holds 512/);
    // The same question of the same conversation has the same answer.
    const answers = stdout.replaceAll('> ', '');
    const half = answers.length / 2;
    expect(half).toBeGreaterThan(2);
    expect(answers.slice(0, half)).toBe(answers.slice(half));
  });
});

describe('interrupts', () => {
  it('stop what runs first, and end the command where nothing does', async () => {
    const end = vi.fn<(status: number) => void>();
    const interrupts = new Interrupts(end);
    await interrupts.during(async (signal) => {
      expect(interrupts.hear()).toBe(true);
      expect(signal.aborted).toBe(true);
      expect(end).not.toHaveBeenCalled();
      expect(interrupts.hear()).toBe(false);
      expect(end).toHaveBeenCalledWith(130);
    });
    await interrupts.during(async (signal) => expect(signal.aborted).toBe(false));
    interrupts.hear();
    expect(end).toHaveBeenCalledTimes(2);
  });
});
