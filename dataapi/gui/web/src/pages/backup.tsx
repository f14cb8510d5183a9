// The whole gateway in one encrypted file, and back.
import { useRef, useState } from "preact/hooks";
import { download, upload } from "../api";
import { size } from "../format";
import { useAction } from "../parts/hooks";
import { Card, Problem, Sure, TextField } from "../parts/ui";

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
  const { go, busy, error, setError } = useAction(async () => {
    const blob = await download("/backup", { passphrase });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `gatewayd-${new Date().toISOString().slice(0, 10)}.age`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    setDone(`${size(blob.size)}. Without the passphrase nobody can read it, you neither.`);
  });
  return (
    <Card title="Make a backup">
      <p class="quiet">Devices, keys, sessions, counters, users: everything, encrypted with a passphrase of yours.</p>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          setDone("");
          if (passphrase !== again) setError("The two passphrases differ.");
          else void go();
        }}
      >
        <TextField label="Passphrase" type="password" value={passphrase} onInput={setPassphrase} autocomplete="new-password" required />
        <TextField label="The passphrase again" type="password" value={again} onInput={setAgain} autocomplete="new-password" required />
        <Problem text={error} />
        <button class="first" disabled={busy}>
          Save the backup
        </button>
        {busy && <progress aria-label="Making the backup" />}
        {done && <p role="status">{done}</p>}
      </form>
    </Card>
  );
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
  const stop = useRef<AbortController | undefined>(undefined);
  const { go, busy, error } = useAction(async (check: boolean) => {
    stop.current = new AbortController();
    setResult(await upload<Restored>(`/restore${check ? "?check=1" : ""}`, file!, "application/age", stop.current.signal, { "Backup-Passphrase": passphrase }));
  });
  return (
    <Card title="Restore a backup">
      <p class="quiet">It takes the place of everything here at the next start. The gateway that it is from must be switched off for good.</p>
      <input
        type="file"
        aria-label="Backup file"
        accept=".age"
        onChange={(e) => {
          setFile(e.currentTarget.files?.[0] ?? null);
          setResult(null);
        }}
      />
      <p />
      <TextField label="Its passphrase" type="password" value={passphrase} onInput={setPassphrase} />
      <div class="row">
        <button type="button" disabled={!file || !passphrase || busy} onClick={() => void go(true)}>
          Look into it
        </button>
        <Sure label="Restore" question="Everything here is replaced." disabled={!result || busy} onSure={() => void go(false)} />
        {busy && (
          <button type="button" onClick={() => stop.current?.abort()}>
            Cancel
          </button>
        )}
      </div>
      {busy && <progress aria-label="Reading the backup" />}
      <Problem text={error} />
      {result && (
        <>
          <p role="status">{result.message}</p>
          <pre class="broken">{JSON.stringify(result.backup, null, 1)}</pre>
          {!result.check && (
            <p class="note">
              It is in use after the next start: <a href={`#/system/state`}>restart gatewayd</a>.
            </p>
          )}
        </>
      )}
    </Card>
  );
}

