// Many devices at once, with a look before the leap.
import { useState } from "preact/hooks";
import { base, post } from "../api";
import { Check } from "../parts/form";
import { useAction } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";
import { FilePick, Progress, useUpload } from "../parts/work";

interface Row {
  at: string;
  dev_eui?: string;
  action: string;
  field?: string;
  message?: string;
}

interface Result {
  message: string;
  dry_run: boolean;
  applied: boolean;
  format: string;
  counts: Record<string, number>;
  rows: Row[];
}

const shown = 200;

export function Import() {
  const [result, setResult] = useState<Result | null>(null);
  return (
    <>
      <p>
        <a href="#/devices">Devices</a>
      </p>
      <h1>Import or export devices</h1>
      <div class="cards">
        <FromFile result={result} onResult={setResult} />
        <Export />
        <Undo onUndone={() => setResult(null)} />
      </div>
      <p />
      {result && <Report of={result} />}
    </>
  );
}

function FromFile(p: { result: Result | null; onResult: (r: Result | null) => void }) {
  const [file, setFile] = useState<File | null>(null);
  const [skip, setSkip] = useState(false);
  const work = useUpload<Result>(p.onResult);
  const go = (dry: boolean) => void work.go(`/devices/import?dry_run=${dry ? 1 : 0}&skip_faults=${skip ? 1 : 0}`, file!);
  const pick = (f: File | null) => {
    setFile(f);
    p.onResult(null);
  };
  return (
    <Card title="Import">
      <p class="quiet">CSV, JSON, or an export of ChirpStack or The Things Stack. Nothing is changed before you have seen what would happen.</p>
      <FilePick label="File of devices" accept=".csv,.json,.ndjson,.txt" onPick={pick} />
      <Check label="Skip lines with faults and take the others" checked={skip} onChange={setSkip} />
      <div class="row">
        <button type="button" disabled={!file || work.busy} onClick={() => go(true)}>
          Try it (dry run)
        </button>
        <button type="button" class="first" disabled={!p.result?.dry_run || work.busy} onClick={() => go(false)}>
          Import
        </button>
      </div>
      <Progress of={work} label="Importing" />
      <Problem text={work.error} />
    </Card>
  );
}

function Export() {
  return (
    <Card title="Export">
      <p class="quiet">All devices with their sessions. Keys are in it only if you may see them: keep the file safe.</p>
      <div class="row">
        {["csv", "json"].map((format) => (
          <a key={format} class="button" href={`${base}/devices/export?format=${format}`} download={`devices.${format}`}>
            {format.toUpperCase()}
          </a>
        ))}
      </div>
    </Card>
  );
}

function Undo(p: { onUndone: () => void }) {
  const [done, setDone] = useState("");
  const undo = useAction(async () => {
    const answer = await post<{ message?: string }>("/devices/import/undo");
    setDone(answer.message ?? "The last import is undone.");
    p.onUndone();
  });
  return (
    <Card title="Undo">
      <p class="quiet">Takes the last import back.</p>
      <button type="button" disabled={undo.busy} onClick={() => void undo.go()}>
        Undo the last import
      </button>
      <Problem text={undo.error} />
      {done && <p class="good">{done}</p>}
    </Card>
  );
}

/** What became of each line, those with a fault first. */
function Report(p: { of: Result }) {
  const faults = p.of.rows.filter((r) => r.message);
  const rows = [...faults, ...p.of.rows.filter((r) => !r.message)].slice(0, shown);
  return (
    <Card title={p.of.dry_run ? "What would happen" : "What happened"} class="scroll">
      <p>
        {p.of.message} <span class="quiet">({p.of.format})</span>
      </p>
      {faults.length > 0 && <p class="note warn">{faults.length} lines have a fault.</p>}
      <Table
        of={rows}
        id={(r) => r.at}
        empty="The file has no devices."
        columns={[
          { head: "Line", cell: (r) => r.at },
          { head: "DevEUI", class: "mono", cell: (r) => r.dev_eui },
          { head: "What", class: (r) => (r.message ? "bad" : ""), cell: (r) => r.action },
          { head: "Why", class: "wrap", cell: (r) => r.message },
        ]}
      />
      {p.of.rows.length > shown && <p class="quiet">… and {p.of.rows.length - shown} more lines</p>}
    </Card>
  );
}
