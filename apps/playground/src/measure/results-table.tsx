// A case as a table: what each candidate took here, and on the machine of the stored results.
import { count, known, milliseconds, ratio } from '../shell/format.ts';
import type { ComparedRow } from './report.ts';
import type { CandidateName, Device } from './protocol.ts';

const NAMES: Readonly<Record<CandidateName, string>> = {
  hip: 'HiP',
  dense: 'dense, ours',
  onnxruntime: 'onnx\u00ADruntime-web',
  tfjs: 'tensor\u00ADflow.js',
};
const DEVICES: Readonly<Record<Device, string>> = { wasm: 'WebAssembly', webgpu: 'WebGPU' };

const withRatio = (ms: number, times: number | undefined): string =>
  times === undefined ? milliseconds(ms) : `${milliseconds(ms)} (${ratio(times)})`;

export function ResultsTable({ rows }: { readonly rows: readonly ComparedRow[] }) {
  const [{ part, device, tokens }] = rows as [ComparedRow, ...ComparedRow[]];
  const what = part === 'prefill' ? `Prefill of ${count(tokens)} tokens` : `A token after ${count(tokens)}`;
  return (
    <table data-case={`${part} ${device} ${tokens}`}>
      <caption>
        {what}, {DEVICES[device]}
      </caption>
      <thead>
        <tr>
          <th scope="col">Candidate</th>
          <th scope="col">Here</th>
          <th scope="col">Elsewhere</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ candidate, ms, timesHip, storedMs, storedTimesHip, failure }) => (
          <tr key={candidate} data-candidate={candidate}>
            <th scope="row">{NAMES[candidate]}</th>
            <td>
              {failure ? (
                <>
                  <code>{failure.code}</code> {failure.message}
                </>
              ) : (
                known(ms, (value) => withRatio(value, timesHip))
              )}
            </td>
            <td>{known(storedMs, (value) => withRatio(value, storedTimesHip))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
