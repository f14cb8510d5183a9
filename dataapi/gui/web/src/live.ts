// What is happening now: the Data API's own WebSocket and the stream of frames
// heard, opened with the session's cookie. A hidden tab closes both and fetches
// from history what it missed.
import { signal } from "@preact/signals";
import { base } from "./api";
import { Air, type Emission } from "./emissions";
import { Heard } from "./heard";
import type { Message } from "./types";

const types = "uplink,downlink,downlink_request,join_request,status_response,location,error,warning,info";
const kept = 3000; // messages; older ones are dropped
const pace = 400; // ms between two updates of the page
const retryMost = 10_000; // ms

export type LinkState = "connecting" | "live" | "away" | "lost";

export const link = signal<LinkState>("connecting");
/** Counts up when there are new messages; not more often than can be read. */
export const tick = signal(0);

/** Oldest first. Replaced on change, never mutated: keep a reference as a pause. */
export let messages: readonly Message[] = [];
/** What was on the air in the last minute, oldest first. Replaced on change. */
export let emissions: readonly Emission[] = [];

let incoming: Message[] = [];
let seen = new Set<string>();
let socket: WebSocket | null = null;
let retry = 500;
let timer: ReturnType<typeof setTimeout> | undefined;
let scheduled = false;
let wanted = false;
let newest = 0;
const air = new Air();
const heard = new Heard(schedule);

export function start() {
  wanted = true;
  if (!socket) open();
}

export function stop() {
  wanted = false;
  close();
  messages = [];
  emissions = [];
  incoming = [];
  seen = new Set();
  newest = 0;
  air.clear();
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
  heard.open();
  ws.onopen = () => {
    link.value = "live";
    retry = 500;
  };
  ws.onmessage = (e) => take(JSON.parse(e.data as string) as Message);
  ws.onclose = () => {
    if (socket !== ws) return;
    close();
    if (!wanted) return;
    link.value = document.hidden ? "away" : "lost";
    timer = setTimeout(open, retry);
    retry = Math.min(retry * 2, retryMost);
  };
}

function close() {
  clearTimeout(timer);
  const ws = socket;
  socket = null;
  ws?.close();
  heard.close();
}

document.addEventListener("visibilitychange", () => {
  if (!wanted) return;
  if (document.hidden) {
    close();
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
  schedule();
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => requestAnimationFrame(flush), pace);
}

function flush() {
  scheduled = false;
  const fresh = [...incoming, ...heard.unclaimed(incoming)];
  incoming = [];
  if (heard.waiting) schedule();
  if (fresh.length === 0) return;
  let all = messages.concat(fresh).sort((a, b) => a.meta.time - b.meta.time); // history and frames heard come late
  if (all.length > kept) all = all.slice(all.length - kept);
  if (seen.size > 2 * kept) seen = new Set(all.map((m) => m.meta.packet_id ?? ""));
  messages = all;
  emissions = air.add(fresh);
  tick.value++;
}

/** Sends a message as an application would. */
export function send(m: object): boolean {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(m));
  return true;
}
