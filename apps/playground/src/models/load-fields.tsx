// What every form that loads a model ends with: where it is computed, and the buttons.

export function BackendField() {
  return (
    <label>
      Computed on{' '}
      <select name="backend">
        <option value="auto">WebGPU, else WebAssembly</option>
        <option value="webgpu">WebGPU</option>
        <option value="wasm">WebAssembly</option>
      </select>
    </label>
  );
}

interface LoadActionsProps {
  /** With this or something else. */
  readonly isBusy: boolean;
  readonly isLoading: boolean;
  readonly onStop: () => void;
}

export function LoadActions({ isBusy, isLoading, onStop }: LoadActionsProps) {
  return (
    <div class="actions">
      <button class="primary" name="load" disabled={isBusy}>
        Load the model
      </button>
      <button type="button" name="stop-load" disabled={!isLoading} onClick={onStop}>
        Stop loading
      </button>
    </div>
  );
}
