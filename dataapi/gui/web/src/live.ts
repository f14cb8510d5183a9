// The live stream: the Data API's own WebSocket, opened with the session's
// cookie. A hidden tab closes it and fetches from history what it missed.
import { signal } from "@preact/signals";
import { base } from "./api";
import type { Message } from "./types";

const types = "uplink,downlink,downlink_request,join_request,status_response,location,error,warning,info";
const kept = 3000; // messages; older ones are dropped
const retryMost = 10_000; // ms

export type LinkState = "connecting" | "live" | "away" | "lost";

export const link = signal<LinkState>("connecting");
export const paused = signal(false);
/** Counts up when there are new messages; at most once a frame. */
export const tick = signal(0);

/** Oldest first. Replaced on change, never mutated: keep a reference as a pause. */
export let messages: readonly Message[] = [];

let incoming: Message[] = [];
let seen = new Set<string>();
let socket: WebSocket | null = null;
let retry = 500;
let timer: ReturnType<typeof setTimeout> | undefined;
let scheduled = false;
let wanted = false;
let newest = 0;

export function start() {
  wanted = true;
  if (!socket) open();
}

export function stop() {
  wanted = false;
  clearTimeout(timer);
  socket?.close();
  socket = null;
  messages = [];
  incoming = [];
  seen = new Set();
  newest = 0;
  tick.value++;
}

function open() {
  clearTimeout(timer);
  if (!wanted || document.hidden) return;
  link.value = "connecting";
  const past = newest ? `from_unixtime=${newest.toFixed(6)}` : "last_messages=500";
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const ws = new WebSocket(`${scheme}//${location.host}${base}/data?radio=1&lora=1&duplicate=1&types=${types}&${past}`);
  socket = ws;
  ws.onopen = () => {
    link.value = "live";
    retry = 500;
  };
  ws.onmessage = (e) => take(JSON.parse(e.data as string) as Message);
  ws.onclose = () => {
    if (socket !== ws) return;
    socket = null;
    if (!wanted) return;
    link.value = document.hidden ? "away" : "lost";
    timer = setTimeout(open, retry);
    retry = Math.min(retry * 2, retryMost);
  };
}

document.addEventListener("visibilitychange", () => {
  if (!wanted) return;
  if (document.hidden) {
    clearTimeout(timer);
    socket?.close();
    socket = null;
    link.value = "away";
  } else if (!socket) {
    open();
  }
});

function take(m: Message) {
  const id = m.meta.packet_id ?? "";
  if (id && seen.has(id)) return; // history overlaps with what came live
  seen.add(id);
  newest = Math.max(newest, m.meta.time);
  incoming.push(m);
  if (!scheduled) {
    scheduled = true;
    setTimeout(flush, 100); // ten updates a second are plenty to read
  }
}

function flush() {
  scheduled = false;
  const history = incoming.some((m) => m.meta.history);
  let all = messages.concat(incoming);
  incoming = [];
  if (history) all = all.toSorted((a, b) => a.meta.time - b.meta.time);
  if (all.length > kept) all = all.slice(all.length - kept);
  if (seen.size > 2 * kept) seen = new Set(all.map((m) => m.meta.packet_id ?? ""));
  messages = all;
  tick.value++;
}

/** Sends a message as an application would. */
export function send(m: object): boolean {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(m));
  return true;
}
