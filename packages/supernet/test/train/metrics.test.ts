// Measures against numbers worked out by hand (and scikit-learn's, scipy's and seqeval's definitions).
import { describe, expect, it } from 'vitest';
import {
  classMetrics,
  multiLabelMetrics,
  retrievalMetrics,
  spanMetrics,
  valueMetrics,
} from '../../src/train/evaluation/metrics.ts';

describe('metrics', () => {
  it('of two classes', () => {
    // 3 true positives, 1 false positive, 2 false negatives, 4 true negatives; one row without a label.
    const predicted = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1];
    const labels = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0, -1];
    const { accuracy, f1, macroF1, matthews } = classMetrics(predicted, labels, 2);
    expect(accuracy).toBeCloseTo(0.7);
    expect(f1).toBeCloseTo(6 / 9);
    expect(macroF1).toBeCloseTo((6 / 9 + 8 / 11) / 2);
    expect(matthews).toBeCloseTo((3 * 4 - 1 * 2) / Math.sqrt(4 * 5 * 5 * 6));
  });

  it('of more classes: the mean over those that occur', () => {
    const { f1, accuracy } = classMetrics([0, 1, 1, 2], [0, 1, 2, 2], 4);
    expect([f1, accuracy]).toEqual([expect.closeTo((1 + 2 / 3 + 2 / 3) / 3), 0.75]);
    expect(classMetrics([1, 1], [1, 1], 2)).toMatchObject({ accuracy: 1, matthews: 0, f1: 1 });
    expect(() => classMetrics([1], [1, 0], 2)).toThrow(expect.objectContaining({ code: 'invalid-data' }) as Error);
  });

  it('of any number of classes', () => {
    const { accuracy, f1, macroF1 } = multiLabelMetrics([0.9, 0.2, 0.4, 0.6, 0.5, 0.1], [1, 0, 1, 1, 0, 0], 2);
    expect(accuracy).toBeCloseTo(1 / 3);
    expect(f1).toBeCloseTo((2 * 2) / (3 + 3));
    expect(macroF1).toBeCloseTo((2 / 4 + 1) / 2);
  });

  it('of values: ranks share ties', () => {
    const { mse, pearson, spearman, r2 } = valueMetrics([1, 2, 2, 5], [0, 4, 2, 6]);
    expect(mse).toBeCloseTo((1 + 4 + 0 + 1) / 4);
    expect(pearson).toBeCloseTo(12 / Math.sqrt(9 * 20));
    expect(spearman).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5));
    expect(r2).toBeCloseTo(1 - 6 / 20);
    expect(valueMetrics([1, 1], [2, 3])).toMatchObject({ pearson: 0, spearman: 0 });
  });

  it('of spans: whole and of the right type', () => {
    const gold = [
      ['B-A', 'I-A', 'O', 'B-A', 'B-A'],
      ['O', 'I-B', 'I-B'],
    ];
    const said = [
      ['B-A', 'I-A', 'O', 'B-A', 'I-A'],
      ['O', 'B-B', 'I-B'],
    ];
    const { precision, recall, f1, accuracy } = spanMetrics(said, gold);
    expect([precision, recall, f1]).toEqual([expect.closeTo(2 / 3), expect.closeTo(2 / 4), expect.closeTo(4 / 7)]);
    expect(accuracy).toBeCloseTo(6 / 8);
    expect(spanMetrics([['N', 'V']], [['N', 'N']])).toMatchObject({ f1: 0.5, accuracy: 0.5 });
    expect(spanMetrics([['O']], [['O']])).toMatchObject({ f1: 0, accuracy: 1 });
  });

  it('of spans, as seqeval counts them: E and S end one, a sequence without spans is judged with the others', () => {
    // seqeval 1.2.2: precision_score, recall_score and f1_score of these, mode and scheme left at their defaults.
    const gold = [
      ['B-PER', 'I-PER', 'E-PER', 'O', 'S-LOC', 'S-LOC'],
      ['O', 'S-ORG', 'O'],
      ['I-LOC', 'I-LOC', 'I-PER', 'B-PER'],
    ];
    const said = [
      ['B-PER', 'I-PER', 'E-PER', 'E-PER', 'S-LOC', 'O'],
      ['O', 'S-ORG', 'I-ORG'],
      ['B-LOC', 'I-LOC', 'I-PER', 'I-PER'],
    ];
    const { precision, recall, f1 } = spanMetrics(said, gold);
    expect([precision, recall, f1]).toEqual([4 / 7, 4 / 7, 4 / 7]);
  });

  it('of retrieval: both ways over all, equals do not count', () => {
    const [images, texts] = [Float32Array.of(1, 0, 0, 1, 1, 0), Float32Array.of(1, 0, 0, 1, 0, 1)];
    const { textRecallAt1, imageRecallAt1, textRecallAt5 } = retrievalMetrics(images, texts, 2);
    expect([textRecallAt1, imageRecallAt1, textRecallAt5]).toEqual([expect.closeTo(1 / 3), expect.closeTo(1 / 3), 1]);
  });
});
