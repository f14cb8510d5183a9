// Work that takes a while: how far it is, and a way to end it.
import { useRef, useState } from "preact/hooks";
import { upload } from "../api";
import { useAction } from "./hooks";

export interface Work<A extends unknown[]> {
  go: (...args: A) => Promise<void>;
  cancel: () => void;
  busy: boolean;
  error: string;
  setError: (s: string) => void;
  /** 0 to 1, or undefined where nobody knows. */
  share: number | undefined;
}

/** Work that hands on a signal to end it by, and tells how far it is. */
export function useWork<A extends unknown[]>(run: (signal: AbortSignal, tell: (share: number) => void, ...args: A) => Promise<void>): Work<A> {
  const stop = useRef<AbortController | undefined>(undefined);
  const [share, setShare] = useState<number | undefined>();
  const action = useAction((...args: A) => {
    stop.current = new AbortController();
    setShare(undefined);
    return run(stop.current.signal, (s) => setShare(s < 1 ? s : undefined), ...args);
  });
  return { ...action, share, cancel: () => stop.current?.abort() };
}

/** Sends a file to a resource and takes what it answers. */
export function useUpload<T>(taken: (answer: T) => void): Work<[path: string, file: Blob, headers?: Record<string, string>]> {
  return useWork(async (signal, onSent, path: string, file: Blob, headers?: Record<string, string>) => taken(await upload<T>(path, file, { signal, onSent, headers })));
}

export function Progress(p: { of: Pick<Work<never>, "busy" | "share" | "cancel">; label: string }) {
  if (!p.of.busy) return null;
  return (
    <div class="row">
      <progress class="grow" aria-label={p.label} value={p.of.share} max={1} />
      <button type="button" onClick={p.of.cancel}>
        Cancel
      </button>
    </div>
  );
}

export function FilePick(p: { label: string; accept: string; onPick: (f: File | null) => void }) {
  return (
    <p>
      <input type="file" aria-label={p.label} accept={p.accept} onChange={(e) => p.onPick(e.currentTarget.files?.[0] ?? null)} />
    </p>
  );
}
