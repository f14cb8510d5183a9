// The daemon's last lines, and who changed what.
import { useEffect, useState } from "preact/hooks";
import { get, words } from "../api";
import { ago, clock } from "../format";
import { useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";

interface Line {
  number: number;
  time: number;
  level: string;
  message: string;
  fields?: Record<string, string>;
}

const kept = 500; // lines
const pace = 2000; // ms between two looks
const levels = ["debug", "info", "warn", "error"];

export function Log() {
  const [level, setLevel] = useState("info");
  const { lines, error } = useLog(level);
  return (
    <Card
      title="The last lines of the log"
      class="scroll"
      action={
        <select aria-label="Least level" class="auto" value={level} onChange={(e) => setLevel(e.currentTarget.value)}>
          {levels.map((l) => (
            <option key={l}>{l}</option>
          ))}
        </select>
      }
    >
      <Problem text={error} />
      <Table
        of={lines.toReversed()}
        id={(l) => l.number}
        empty="Nothing of this level yet."
        columns={[
          { head: "Time", class: "mono", cell: (l) => clock(l.time) },
          { head: "Level", class: look, cell: (l) => l.level.toLowerCase() },
          { head: "Message", class: "wrap", cell: (l) => l.message },
          { head: "With", class: "wrap mono quiet", cell: (l) => fields(l) },
        ]}
      />
    </Card>
  );
}

const look = (l: Line) => (/err/i.test(l.level) ? "bad" : /warn/i.test(l.level) ? "warn" : "quiet");

const fields = (l: Line) =>
  Object.entries(l.fields ?? {})
    .map(([k, v]) => `${k}=${v}`)
    .join(" ");

/** The last lines of a level, oldest first; only what is new is asked for. */
function useLog(level: string) {
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState("");
  useEffect(() => {
    let last = 0;
    const stop = new AbortController();
    setLines([]);
    const run = async () => {
      if (document.hidden) return;
      try {
        const { log } = await get<{ log: Line[] }>(`/system/log?level=${level}&limit=${kept}${last ? `&after=${last}` : ""}`, stop.signal);
        setError("");
        if (log.length === 0) return;
        last = log.at(-1)!.number;
        setLines((old) => [...old, ...log].slice(-kept));
      } catch (err) {
        if (!stop.signal.aborted) setError(words(err));
      }
    };
    void run();
    const timer = setInterval(() => void run(), pace);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [level]);
  return { lines, error };
}

interface Entry {
  time: number;
  what: "refused" | "changed";
  method: string;
  path: string;
  key: string;
  remote: string;
  status: number;
  code: string;
}

export function Audit() {
  const { items, error } = useList<Entry>("/audit", 5000);
  return (
    <Card title="Changes and refusals since the start" class="scroll">
      <Problem text={error} />
      <Table
        of={items?.map((e, i) => ({ ...e, i: items.length - i }))}
        id={(e) => e.i}
        empty="Nobody has changed anything yet."
        columns={[
          { head: "When", cell: (e) => ago(e.time) },
          { head: "What", class: (e) => (e.what === "refused" ? "warn" : ""), cell: (e) => e.what },
          { head: "Request", class: "mono wrap", cell: (e) => `${e.method} ${e.path}` },
          { head: "Answer", class: "quiet", cell: (e) => e.code || e.status },
          { head: "From", class: "mono hide-small", cell: (e) => e.remote },
          { head: "Key or session", class: "mono hide-small", cell: (e) => e.key },
        ]}
      />
    </Card>
  );
}
