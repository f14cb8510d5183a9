// The whole gateway in one encrypted file, and back.
import { useState } from "preact/hooks";
import { download } from "../api";
import { size } from "../format";
import { Form, TextField } from "../parts/form";
import { Card, Problem, Sure } from "../parts/ui";
import { FilePick, Progress, useUpload, useWork } from "../parts/work";

export function Backup() {
  return (
    <div class="cards">
      <Make />
      <Restore />
    </div>
  );
}

function Make() {
  const [passphrase, setPassphrase] = useState("");
  const [again, setAgain] = useState("");
  const [done, setDone] = useState("");
  const work = useWork(async (signal) => {
    const blob = await download("/backup", { passphrase }, signal);
    save(blob, `gatewayd-${new Date().toISOString().slice(0, 10)}.age`);
    setDone(`${size(blob.size)}. Without the passphrase nobody can read it, you neither.`);
  });
  const submit = () => {
    setDone("");
    if (passphrase !== again) work.setError("The two passphrases differ.");
    else void work.go();
  };
  return (
    <Card title="Make a backup">
      <p class="quiet">Devices, keys, sessions, counters, users: everything, encrypted with a passphrase of yours.</p>
      <Form submit="Save the backup" onSubmit={submit} busy={work.busy} error={work.error}>
        <TextField label="Passphrase" type="password" value={passphrase} onInput={setPassphrase} autocomplete="new-password" required />
        <TextField label="The passphrase again" type="password" value={again} onInput={setAgain} autocomplete="new-password" required />
      </Form>
      <Progress of={work} label="Making the backup" />
      {done && <p role="status">{done}</p>}
    </Card>
  );
}

function save(blob: Blob, name: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

interface Restored {
  message: string;
  backup: Record<string, unknown>;
  check: boolean;
}

function Restore() {
  const [file, setFile] = useState<File | null>(null);
  const [passphrase, setPassphrase] = useState("");
  const [result, setResult] = useState<Restored | null>(null);
  const work = useUpload<Restored>(setResult);
  const go = (check: boolean) => void work.go(`/restore${check ? "?check=1" : ""}`, file!, { "Backup-Passphrase": passphrase });
  const pick = (f: File | null) => {
    setFile(f);
    setResult(null);
  };
  return (
    <Card title="Restore a backup">
      <p class="quiet">It takes the place of everything here at the next start. The gateway that it is from must be switched off for good.</p>
      <FilePick label="Backup file" accept=".age" onPick={pick} />
      <TextField label="Its passphrase" type="password" value={passphrase} onInput={setPassphrase} />
      <div class="row">
        <button type="button" disabled={!file || !passphrase || work.busy} onClick={() => go(true)}>
          Look into it
        </button>
        <Sure label="Restore" question="Everything here is replaced." disabled={!result || work.busy} onSure={() => go(false)} />
      </div>
      <Progress of={work} label="Reading the backup" />
      <Problem text={work.error} />
      {result && (
        <>
          <p role="status">{result.message}</p>
          <pre class="broken">{JSON.stringify(result.backup, null, 1)}</pre>
          {!result.check && (
            <p class="note">
              It is in use after the next start: <a href="#/system/state">restart gatewayd</a>.
            </p>
          )}
        </>
      )}
    </Card>
  );
}
