// The Management API as the page calls it: the session's cookie goes along by
// itself, an error carries the server's own words.

export const base = "/api/v1.0";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field = "",
  ) {
    super(message);
  }
}

/** What is called when the server wants a sign-in (again). */
let signedOut = () => {};
export function onSignedOut(f: () => void) {
  signedOut = f;
}

const timeout = 30_000; // ms
const longTimeout = 600_000; // ms, of what can be cancelled

const unreachable = () => new ApiError(0, "unreachable", "The gateway does not answer. Is gatewayd running, and is this computer still in its network?");

/** What the server's refusal says. */
function refusal(path: string, status: number, text: string): ApiError {
  let what: { code?: string; message?: string; field?: string } = {};
  try {
    what = JSON.parse(text);
  } catch {
    what = { message: text };
  }
  if (status === 401 && path !== "/auth") signedOut();
  return new ApiError(status, what.code ?? "", what.message || `The gateway answers ${status}.`, what.field);
}

async function request(method: string, path: string, body?: unknown, signal?: AbortSignal, limit = timeout): Promise<Response> {
  const limits = [AbortSignal.timeout(limit)];
  if (signal) limits.push(signal);
  let answer: Response;
  try {
    answer = await fetch(base + path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      credentials: "same-origin",
      signal: AbortSignal.any(limits),
    });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw unreachable();
  }
  if (answer.ok) return answer;
  throw refusal(path, answer.status, await answer.text());
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await request(method, path, body, signal);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => json<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}) => json<T>("POST", path, body);
export const patch = <T>(path: string, body: unknown) => json<T>("PATCH", path, body);
/** Makes a thing of the list at path or, if it has an id already, changes it. */
export const save = <T>(path: string, id: string | undefined, body: unknown) => (id === undefined ? post<T>(path, body) : patch<T>(`${path}/${encodeURIComponent(id)}`, body));
export const del = (path: string) => json<void>("DELETE", path);

interface Upload {
  signal: AbortSignal;
  onSent: (share: number) => void; // 0 to 1
  headers?: Record<string, string>;
}

/** Sends a file as it is. (fetch does not tell how much of it has gone.) */
export function upload<T>(path: string, file: Blob, o: Upload): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const x = new XMLHttpRequest();
  x.open("POST", base + path);
  x.timeout = longTimeout;
  for (const [name, value] of Object.entries({ "Content-Type": "application/octet-stream", ...o.headers })) x.setRequestHeader(name, value);
  x.upload.onprogress = (e) => o.onSent(e.lengthComputable ? e.loaded / e.total : 0);
  x.onload = () => {
    if (x.status >= 300) return reject(refusal(path, x.status, x.responseText));
    try {
      resolve(JSON.parse(x.responseText) as T);
    } catch (err) {
      reject(err);
    }
  };
  x.onerror = x.ontimeout = () => reject(unreachable());
  x.onabort = () => reject(new ApiError(0, "cancelled", "Cancelled. What the gateway had begun may have been done."));
  o.signal.onabort = () => x.abort();
  x.send(file);
  return promise;
}

/** Asks for a file. */
export async function download(path: string, body: object, signal: AbortSignal): Promise<Blob> {
  return (await request("POST", path, body, signal, longTimeout)).blob();
}

/** Like get, but a resource that this gateway doesn't have is null. */
export async function optional<T>(path: string, signal?: AbortSignal): Promise<T | null> {
  try {
    return await get<T>(path, signal);
  } catch (err) {
    if (err instanceof ApiError && (err.status === 404 || err.status === 501)) return null;
    throw err;
  }
}

export const words = (err: unknown) => (err instanceof Error ? err.message : String(err));
