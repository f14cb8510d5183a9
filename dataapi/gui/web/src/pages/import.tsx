// Many devices at once, with a look before the leap.
import { useRef, useState } from "preact/hooks";
import { base, post, upload } from "../api";
import { useAction } from "../parts/hooks";
import { Card, Check, Problem } from "../parts/ui";

interface Result {
  message: string;
  dry_run: boolean;
  applied: boolean;
  format: string;
  counts: Record<string, number>;
  rows: { at: string; dev_eui?: string; action: string; field?: string; message?: string }[];
}

const shown = 200;

export function Import() {
  const [file, setFile] = useState<File | null>(null);
  const [skip, setSkip] = useState(false);
  const [result, setResult] = useState<Result | null>(null);
  const [undone, setUndone] = useState("");
  const stop = useRef<AbortController | undefined>(undefined);
  const run = useAction(async (dry: boolean) => {
    stop.current = new AbortController();
    setUndone("");
    setResult(await upload<Result>(`/devices/import?dry_run=${dry ? 1 : 0}&skip_faults=${skip ? 1 : 0}`, file!, "application/octet-stream", stop.current.signal));
  });
  const undo = useAction(async () => {
    const answer = await post<{ message?: string }>("/devices/import/undo");
    setUndone(answer.message ?? "The last import is undone.");
    setResult(null);
  });
  const faults = result?.rows.filter((r) => r.message) ?? [];
  return (
    <>
      <h1>Import or export devices</h1>
      <div class="cards">
        <Card title="Import">
          <p class="quiet">CSV, JSON, or an export of ChirpStack or The Things Stack. Nothing is changed before you have seen what would happen.</p>
          <input
            type="file"
            aria-label="File of devices"
            accept=".csv,.json,.ndjson,.txt"
            onChange={(e) => {
              setFile(e.currentTarget.files?.[0] ?? null);
              setResult(null);
            }}
          />
          <p />
          <Check label="Skip lines with faults and take the others" checked={skip} onChange={setSkip} />
          <div class="row">
            <button type="button" disabled={!file || run.busy} onClick={() => void run.go(true)}>
              Try it (dry run)
            </button>
            <button type="button" class="first" disabled={!result?.dry_run || run.busy} onClick={() => void run.go(false)}>
              Import
            </button>
            {run.busy && (
              <button type="button" onClick={() => stop.current?.abort()}>
                Cancel
              </button>
            )}
          </div>
          {run.busy && <progress aria-label="Importing" />}
          <Problem text={run.error} />
        </Card>
        <Card title="Export">
          <p class="quiet">All devices with their sessions. Keys are in it only if you may see them: keep the file safe.</p>
          <div class="row">
            <a class="button" href={`${base}/devices/export?format=csv`} download="devices.csv">
              CSV
            </a>
            <a class="button" href={`${base}/devices/export?format=json`} download="devices.json">
              JSON
            </a>
          </div>
        </Card>
        <Card title="Undo">
          <p class="quiet">Takes the last import back.</p>
          <button type="button" disabled={undo.busy} onClick={() => void undo.go()}>
            Undo the last import
          </button>
          <Problem text={undo.error} />
          {undone && <p class="good">{undone}</p>}
        </Card>
      </div>
      {result && (
        <Card title={result.dry_run ? "What would happen" : "What happened"} class="scroll">
          <p>
            {result.message} <span class="quiet">({result.format})</span>
          </p>
          {faults.length > 0 && <p class="note warn">{faults.length} lines have a fault.</p>}
          <table>
            <thead>
              <tr>
                <th>Line</th>
                <th>DevEUI</th>
                <th>What</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {[...faults, ...result.rows.filter((r) => !r.message)].slice(0, shown).map((r) => (
                <tr key={r.at}>
                  <td>{r.at}</td>
                  <td class="mono">{r.dev_eui}</td>
                  <td class={r.message ? "bad" : ""}>{r.action}</td>
                  <td class="wrap">{r.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {result.rows.length > shown && <p class="quiet">… and {result.rows.length - shown} more lines</p>}
        </Card>
      )}
    </>
  );
}
