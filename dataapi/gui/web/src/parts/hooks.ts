// Loading what a page shows.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, del, get, words } from "../api";

export interface Loaded<T> {
  value: T | undefined;
  error: string;
  reload: () => void;
}

/**
 * Loads, and loads again when a dependency changes or every `every` ms while
 * the tab can be seen. The last good value stays while newer ones load.
 */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: unknown[] = [], every = 0): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState("");
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const stop = new AbortController();
    const run = () =>
      latest
        .current(stop.signal)
        .then((v) => {
          if (stop.signal.aborted) return;
          setValue(() => v);
          setError("");
        })
        .catch((err) => stop.signal.aborted || setError(words(err)));
    void run();
    const timer = every ? setInterval(() => document.hidden || void run(), every) : undefined;
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [...deps, turn, every]);
  return { value, error, reload: useCallback(() => setTurn((n) => n + 1), []) };
}

/** A call that a button starts: busy while it runs, its error in words, and the field that the server names. */
export function useAction<A extends unknown[]>(run: (...args: A) => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [field, setField] = useState("");
  const go = async (...args: A) => {
    setBusy(true);
    setError("");
    setField("");
    try {
      await run(...args);
    } catch (err) {
      setError(words(err));
      setField(err instanceof ApiError ? err.field : "");
    } finally {
      setBusy(false);
    }
  };
  return { go, busy, error, field, setError };
}

type Texts<T> = { [K in keyof T]: T[K] extends string ? K : never }[keyof T] & string;

/**
 * What a form holds, and how it is sent. The server's refusal stands beside
 * the text that it names, without the path to it ("scope.devices"), else below
 * the form. What was sent is taken out of the form.
 */
export function useForm<T extends object>(start: T, run: (v: T) => Promise<void>) {
  const [v, setV] = useState(start);
  const action = useAction(async () => {
    await run(v);
    setV(start);
  });
  const named = action.field.slice(action.field.lastIndexOf(".") + 1);
  const beside = typeof v[named as keyof T] === "string";
  const set = <K extends keyof T>(name: K) => (value: T[K]) => {
    setV((old) => ({ ...old, [name]: value }));
    if (name === named) action.setError("");
  };
  const text = <K extends Texts<T>>(name: K) => ({ value: v[name], onInput: set(name), error: beside && name === named ? action.error : "" });
  return { v, set, text, form: { onSubmit: () => void action.go(), busy: action.busy, error: beside ? "" : action.error } };
}

/** The list that a resource such as /keys has, and how one of its things is removed. */
export function useList<T>(path: string, every = 0) {
  const { value, error, reload } = useLoad((s) => get<Record<string, T[]>>(path, s), [path], every);
  const removal = useAction(async (id: string) => {
    await del(`${path}/${encodeURIComponent(id)}`);
    reload();
  });
  return { items: value?.[path.slice(1)], error: error || removal.error, reload, remove: (id: string) => void removal.go(id) };
}

/** The part of the address after #/, kept current. */
export function useRoute(): string[] {
  const read = () => location.hash.replace(/^#\/?/, "").split("?")[0]!.split("/").map(decodeURIComponent);
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const on = () => setRoute(read());
    addEventListener("hashchange", on);
    return () => removeEventListener("hashchange", on);
  }, []);
  return route;
}
