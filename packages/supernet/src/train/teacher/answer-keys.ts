// What a teacher's answer to an example depends on, as text.
import type { HostArray, HostBatch } from '../../data/dataset.ts';

/** What each example's answer depends on; undefined for what is not kept. */
export function answerKeys({
  size,
  inputIds,
  attentionMask,
  tokenTypeIds,
  pixelValues,
  labels,
}: HostBatch): string[] | undefined {
  const rows = labels.length / size;
  if (!inputIds || pixelValues || !Number.isInteger(rows)) return undefined;
  const [, columns] = inputIds.shape as [number, number];
  return Array.from({ length: size }, (_, index) => {
    let end = columns;
    const masked = (at: number) => attentionMask?.data[index * columns + at] === 0;
    // An answer for the whole text does not depend on the padding after it.
    if (rows === 1) while (end > 1 && masked(end - 1)) end--;
    const part = ({ data }: HostArray<Int32Array>) => codeUnits(data.subarray(index * columns, index * columns + end));
    const isMasked = attentionMask && attentionMask.data.subarray(index * columns, index * columns + end).includes(0);
    return [
      `${rows}/${end}/${isMasked ? 'm' : ''}${tokenTypeIds ? 't' : ''}/`,
      part(inputIds),
      isMasked ? part(attentionMask) : '',
      tokenTypeIds ? part(tokenTypeIds) : '',
    ].join('');
  });
}

/** Numbers as text of two code units each, without loss. */
function codeUnits(numbers: Int32Array): string {
  const halves = new Uint16Array(Int32Array.from(numbers).buffer);
  let text = '';
  for (let from = 0; from < halves.length; from += 4096)
    text += String.fromCharCode(...halves.subarray(from, from + 4096));
  return text;
}
