import { parseHTML } from 'linkedom';
import * as v from 'valibot';
import { describe, expect, it, vi } from 'vitest';
import { attentionSpeedup } from '../../src/pipeline/derived.ts';
import { resultSchema } from '../../src/pipeline/result.ts';
import { alignColumns, headline, readableBytes } from '../../src/report/headline.ts';
import { row, sampleResult } from './sample.ts';
import { findings } from '../../src/report/findings.ts';
import { renderReport } from '../../src/report/html.ts';
import { timePlot } from '../../src/report/plots.ts';
import { svgOf } from '../../src/report/svg.ts';

const result = sampleResult;

describe('result.json', () => {
  it('has everything that is promised', () => {
    const parsed = v.parse(resultSchema, JSON.parse(JSON.stringify(result)));
    expect(parsed).toEqual(result);
    expect(parsed).toMatchObject({
      finetune: { steps: 3, lossBefore: 6.5, lossAfter: 3.1 },
      search: { evaluations: 3, hypervolume: 12.5, front: [{}, {}] },
      chosen: { layers: 2, heads: [4, 2], ffn: [96, 48], macs: 2e9, latencyMs: 50, loss: 3.4, baseline: {} },
      longContext: [{ tokens: 4096, denseMs: 1024, hipMs: 256, densePpl: 31.25, hipPpl: 31.5, massRecall: 0.97 }, {}],
      environment: { cpu: 'test' },
    });
    for (const part of Object.keys(result).filter((name) => name !== 'passKeys')) {
      const { [part as keyof typeof result]: _, ...rest } = result;
      expect(v.safeParse(resultSchema, rest).success, part).toBe(false);
    }
  });
});

it('figures of a single length come without a word on the console', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  svgOf(timePlot([row(4096)]));
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

describe('the headline', () => {
  const text = headline(result);

  it('has the models and the lengths in columns', () => {
    expect(text).toMatch(
      /^Fine-tuned 3 steps in 12 s; searched 3 sub-networks in 9 s \(hypervolume 12\.50\); chose the knee of the front\.\n/,
    );
    expect(text).toMatch(/full, pretrained +4\.000 G +6\.00 M +100\.0 ms +100 % +6\.500 +6\.600\n/);
    expect(text).toMatch(/chosen sub-network +2\.000 G +3\.00 M +50\.0 ms +50 % +3\.400 +3\.500\n/);
    expect(text).toMatch(
      /\n8192 +2\.05 s +0\.51 s +4\.0× +8\.0× +4000 +16000 +1\.008 +0\.970 +3\.0 MiB +4\.0 MiB +\+256\.0 MiB\n/,
    );
    expect(text).toContain('Generated 4 tokens after 8193 with HiP, 20.0 ms a token.');
  });

  it('ends with three numbers, and says who found the pass-keys and who did not', () => {
    expect(text).toMatch(/river fern +7,600 +48210 +48210 +48210\n/);
    const [first, second, third] = text.trim().split('\n\n').slice(-3);
    expect(first).toMatch(
      /^50 % of the full model’s time .* loss 3\.40, where the model had 6\.50 before and has 3\.10/,
    );
    expect(second).toMatch(/^8\.0× faster is attention with HiP .* 8,192 tokens .* 1\.008× dense’s perplexity/);
    expect(third).toBe(
      '1 of 2 pass-keys hidden in 8,000 tokens of a novel are found by the full pretrained model with HiP, 2 of 2 with dense attention; 1 of 2 answers are the same. The chosen sub-network finds 0 with dense attention and 0 with HiP.',
    );
    const { passKeys: _, ...without } = result;
    expect(findings(without)).toHaveLength(2);
  });

  it('speaks of the whole prefill where attention alone was not timed', () => {
    const { denseAttentionMs: _, ...untimed } = row(4096);
    expect(attentionSpeedup(row(4096))).toBe(8);
    expect(attentionSpeedup(untimed)).toBe(4);
  });

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [5 * 2 ** 30, '5.0 GiB'],
    [2 ** 60, '1048576.0 TiB'],
  ])('%i bytes are %s', (bytes, expected) => {
    expect(readableBytes(bytes)).toBe(expected);
  });

  it('aligns', () => {
    expect(
      alignColumns([
        ['a', '1'],
        ['bbb', '22'],
      ]),
    ).toBe('a     1\nbbb  22');
    expect(alignColumns([])).toBe('');
  });
});

describe('report.html', () => {
  const mask = '<svg xmlns="http://www.w3.org/2000/svg" id="the-mask"><rect width="1" height="1"/></svg>';
  const html = renderReport(result, mask);
  const { document } = parseHTML(html);
  const all = (selector: string) => [...document.querySelectorAll(selector)];

  it('is self-contained', () => {
    expect(all('script, link, img, iframe, object, embed, source')).toHaveLength(0);
    expect(html.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(/https?:|url\(|@import/);
  });

  it('has a figure of the front, the loss, the time, and one head’s mask', () => {
    expect(all('figure').map(({ id }) => id)).toEqual(['front', 'time', 'loss', 'mask']);
    // Three trials, two front points, the chosen one's ring; the full model's square is a path.
    expect(all('#front circle')).toHaveLength(6);
    expect(document.querySelector('#front')!.textContent).toContain('share of the full model');
    // Loss before, and after the last step.
    expect(all('#loss circle')).toHaveLength(2);
    expect(all('#time circle')).toHaveLength(8);
    expect(document.querySelector('#time')!.textContent).toMatch(/4K.*8K/s);
    expect(document.querySelector('#mask #the-mask')).not.toBeNull();
    expect(parseHTML(renderReport(result, undefined)).document.querySelector('#mask')).toBeNull();
  });

  it('draws MACs where they are the cost', () => {
    const trials = result.search.trials.map(({ macs, loss }) => ({ macs, loss }));
    const other = renderReport({ ...result, search: { ...result.search, cost: 'macs', trials } }, mask);
    const { document } = parseHTML(other);
    expect(document.querySelector('#front')!.textContent).toContain('MACs, share of the full model');
    expect(document.querySelectorAll('#front circle')).toHaveLength(6);
  });

  it('has a table of everything', () => {
    const text = document.body.textContent!;
    for (const expected of [
      '2.000 G',
      '96 48',
      '3.4000',
      '1.008',
      '0.970',
      '4.0×',
      '+256.0 MiB',
      'environment.options.seed',
      'finetune.lossAfter',
    ]) {
      expect(text).toContain(expected);
    }
    expect(all('table')).toHaveLength(5);
  });

  it('shows text as text', () => {
    expect(html).toContain('const a = &lt;b&gt;<strong>&quot; &amp; more</strong>');
    expect(html).toContain('He went &lt;home&gt;. <mark>The pass key for river fern is 48210. Remember it.</mark>');
    expect(html).toContain('<mark>48210</mark> (dense) <mark>48210</mark> (HiP)');
  });

  it('draws the chosen sub-network on its front, by shares of the full model', () => {
    const [ring] = all('#front circle[r="9"]');
    const same = all('#front circle[r="5"]').filter(
      (dot) =>
        dot.getAttribute('cx') === ring!.getAttribute('cx') && dot.getAttribute('cy') === ring!.getAttribute('cy'),
    );
    expect(same).toHaveLength(1);
    expect(ring!.textContent).toBe('chosen: 50% of the full model’s time, loss 3.400');
  });

  it('names files without their folders', () => {
    expect(html).toContain('notes.md');
    expect(html).toContain('diary.md');
    expect(html).toContain('a model');
    expect(html).not.toMatch(/somebody|srv|Users/);
  });
});
