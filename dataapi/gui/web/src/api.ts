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
const longTimeout = 600_000; // of what can be cancelled

async function request(method: string, path: string, body?: BodyInit, type?: string, signal?: AbortSignal, more?: Record<string, string>): Promise<Response> {
  const limits = [AbortSignal.timeout(signal ? longTimeout : timeout)];
  if (signal) limits.push(signal);
  let answer: Response;
  try {
    answer = await fetch(base + path, {
      method,
      body,
      headers: { ...(type ? { "Content-Type": type } : {}), ...more },
      credentials: "same-origin",
      signal: AbortSignal.any(limits),
    });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new ApiError(0, "unreachable", "The gateway does not answer. Is gatewayd running, and is this computer still in its network?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let what: { code?: string; message?: string; field?: string } = {};
  try {
    what = JSON.parse(text);
  } catch {
    what = { message: text || answer.statusText };
  }
  if (answer.status === 401 && path !== "/auth") signedOut();
  throw new ApiError(answer.status, what.code ?? "", what.message ?? answer.statusText, what.field);
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const answer = await request(method, path, body === undefined ? undefined : JSON.stringify(body), body === undefined ? undefined : "application/json", signal);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => json<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}) => json<T>("POST", path, body);
export const patch = <T>(path: string, body: unknown) => json<T>("PATCH", path, body);
export const put = <T>(path: string, body: unknown) => json<T>("PUT", path, body);
export const del = (path: string) => json<void>("DELETE", path);

/** Sends a file as it is. */
export async function upload<T>(path: string, body: BodyInit, type: string, signal?: AbortSignal, headers?: Record<string, string>): Promise<T> {
  return (await (await request("POST", path, body, type, signal, headers)).json()) as T;
}

/** Asks for a file. */
export async function download(path: string, body: object): Promise<Blob> {
  return (await request("POST", path, JSON.stringify(body), "application/json")).blob();
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
