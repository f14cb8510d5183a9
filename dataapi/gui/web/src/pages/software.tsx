// What the gateway runs: the concentrator's firmware, and on an appliance the
// whole system.
import { useState } from "preact/hooks";
import { get, optional, post } from "../api";
import { useAction, useLoad } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Facts, Problem, Sure } from "../parts/ui";
import { FilePick, Progress, useUpload } from "../parts/work";

export function Software() {
  return (
    <div class="cards">
      <Firmware />
      <Appliance />
    </div>
  );
}

interface Images {
  dir: string;
  writable: string;
  images: { file: string; runs: string; fault: string }[];
}

function Firmware() {
  const { value, error, reload } = useLoad((s) => get<{ firmware: Images }>("/system/firmware", s));
  const [file, setFile] = useState<File | null>(null);
  const [done, setDone] = useState(false);
  const work = useUpload(() => {
    setDone(true);
    reload();
  });
  const restart = useAction(async () => {
    await post("/system/restart");
    setDone(false);
  });
  const f = value?.firmware;
  return (
    <Card title="The concentrator's firmware" class="scroll">
      <p class="quiet">
        It is the chip vendor's and no part of gatewayd. Download release 2.1.0 of <code>Lora-net/sx1302_hal</code> from GitHub (.tar.gz or .zip) and hand it over here; each image is checked against its known hash.
      </p>
      <Problem text={error} />
      <Table
        of={f?.images}
        id={(i) => i.file}
        empty=""
        columns={[
          { head: "Image", class: "mono", cell: (i) => i.file },
          { head: "For", class: "wrap", cell: (i) => i.runs },
          { head: "State", class: (i) => (i.fault ? "bad" : "good"), cell: (i) => <span title={i.fault}>{!i.fault ? "good" : i.fault.includes("is missing") ? "missing" : "not the known one"}</span> },
        ]}
      />
      {f?.writable ? (
        <p class="note">{f.writable}</p>
      ) : (
        <>
          <FilePick label="Archive of the firmware" accept=".tar.gz,.tgz,.zip" onPick={setFile} />
          <button type="button" class="first" disabled={!file || work.busy} onClick={() => void work.go("/system/firmware", file!)}>
            Import the firmware
          </button>
        </>
      )}
      <Progress of={work} label="Importing the firmware" />
      <Problem text={work.error || restart.error} />
      {done && (
        <p class="row" role="status">
          <span class="good">All images are known. They run after the next start.</span>
          <button type="button" disabled={restart.busy} onClick={() => void restart.go()}>
            Restart now
          </button>
        </p>
      )}
    </Card>
  );
}

interface State {
  version: string;
  kernel: string;
  slot: number;
  trial: boolean;
}

function Appliance() {
  const { value, error } = useLoad((s) => optional<{ appliance: State }>("/system/appliance", s));
  const [file, setFile] = useState<File | null>(null);
  const [done, setDone] = useState("");
  const work = useUpload<{ message: string }>((a) => setDone(a.message));
  const reboot = useAction(async () => setDone((await post<{ message: string }>("/system/reboot")).message));
  const reset = useAction(async () => setDone((await post<{ message: string }>("/system/reset")).message));
  if (value === undefined) return <Problem text={error} />;
  if (value === null) {
    return (
      <Card title="Updates">
        <p class="quiet">This machine is no appliance: its software is updated by its own means, such as apt.</p>
      </Card>
    );
  }
  const a = value.appliance;
  return (
    <Card title="Appliance">
      <Facts
        of={[
          ["Version", a.version],
          ["Kernel", a.kernel],
          ["Partition", a.slot],
          ["State", a.trial ? <span class="warn">on trial: it is kept if gatewayd is well in it</span> : <span class="good">kept</span>],
        ]}
      />
      <p class="quiet">An update is installed beside what runs. If gatewayd is not well in it within five minutes, the machine goes back.</p>
      <FilePick label="File of the update" accept="*" onPick={setFile} />
      <div class="row">
        <button type="button" class="first" disabled={!file || work.busy} onClick={() => void work.go("/system/update", file!)}>
          Install and restart
        </button>
        <Sure label="Restart the machine" question="Nothing is received for half a minute." disabled={work.busy || reboot.busy} onSure={() => void reboot.go()} />
        <Sure label="Reset to factory" question="Devices, keys, users and configuration are removed." disabled={work.busy || reset.busy} onSure={() => void reset.go()} />
      </div>
      <Progress of={work} label="Installing the update" />
      <Problem text={work.error || reboot.error || reset.error} />
      {done && <p role="status">{done}</p>}
    </Card>
  );
}
