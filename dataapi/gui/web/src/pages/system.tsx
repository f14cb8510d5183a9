// The daemon and its host.
import { useState } from "preact/hooks";
import { base, get, post } from "../api";
import { date, seconds, size } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Facts, Problem, Sure, Tabs } from "../parts/ui";
import { Backup } from "./backup";
import { Clock } from "./clock";
import { Config } from "./config";
import { Audit, Log } from "./log";
import { Software } from "./software";

export interface SystemState {
  version: string;
  go: string;
  platform: string;
  hostname: string;
  board: string;
  driver: string;
  region: string;
  ready: string;
  started: number;
  uptime: number;
  memory: { goroutines: number; heap: number; resident: number };
  storage: { path: string; size: number; used: number; free: number };
  time: { now: number; quality: string; error: number; drift: number; leap_seconds: number; settable: boolean };
  gnss: { open: boolean; fix: string; satellites: number; position?: { lat: number; lng: number; alt: number }; messages: number; damaged: number } | null;
  tls: { mode: string; names: string[]; not_after: number; fingerprint: string } | null;
}

const tabs: [string, string][] = [
  ["state", "State"],
  ["config", "Configuration"],
  ["log", "Log"],
  ["audit", "Who did what"],
  ["backup", "Backup"],
  ["software", "Software"],
];

const views: Record<string, () => preact.JSX.Element> = { state: State, config: () => <Config />, log: Log, audit: Audit, backup: Backup, software: Software };

export function System(p: { route: string[] }) {
  const at = p.route[1] || "state";
  const Page = views[at] ?? State;
  return (
    <>
      <h1>System</h1>
      <Tabs at={at} of={tabs} base="system" />
      <Page />
    </>
  );
}

function State() {
  const { value, error } = useLoad((s) => get<{ system: SystemState }>("/system", s), [], 3000);
  const x = value?.system;
  if (!x) return <Problem text={error} />;
  return (
    <>
      <Problem text={error || (x.ready !== "ok" ? `Uplinks reach nobody: ${x.ready}` : "")} />
      <div class="cards packed">
        <Card title="gatewayd">
          <Facts
            of={[
              ["Version", x.version],
              ["Runs for", seconds(x.uptime)],
              ["Since", date(x.started)],
              ["Host", `${x.hostname}, ${x.platform}`],
              ["Board", x.board],
              ["Driver", x.driver],
              ["Region", x.region],
              ["Memory", size(x.memory.resident)],
            ]}
          />
        </Card>
        <Card title="Storage">
          <Facts
            of={[
              ["Folder", <code>{x.storage.path}</code>],
              ["gatewayd's data", size(x.storage.used)],
              ["Free", `${size(x.storage.free)} of ${size(x.storage.size)}`],
            ]}
          />
        </Card>
        <Clock />
        <Card title="Satellites">
          {x.gnss ? (
            <Facts
              of={[
                ["Receiver", x.gnss.open ? <span class="good">speaks</span> : <span class="bad">is silent</span>],
                ["Fix", x.gnss.fix],
                ["Satellites", x.gnss.satellites],
                ["Position", x.gnss.position && `${x.gnss.position.lat.toFixed(5)}, ${x.gnss.position.lng.toFixed(5)}, ${x.gnss.position.alt} m`],
              ]}
            />
          ) : (
            <p class="quiet">No receiver is configured.</p>
          )}
        </Card>
        <Card title="Certificate">
          {x.tls ? (
            <>
              <Facts
                of={[
                  ["Kind", { self: "made by this gateway", files: "from files", acme: "from a public authority" }[x.tls.mode] ?? x.tls.mode],
                  ["Names", x.tls.names.join(", ")],
                  ["Valid until", date(x.tls.not_after)],
                ]}
              />
              <p class="quiet">SHA-256 fingerprint, to compare:</p>
              <pre class="broken">{x.tls.fingerprint}</pre>
            </>
          ) : (
            <p class="quiet">This page comes without encryption: fine on the gateway itself, not over a network.</p>
          )}
        </Card>
        <Actions />
      </div>
    </>
  );
}

function Actions() {
  const [done, setDone] = useState("");
  const { go, busy, error } = useAction(async (path: string) => setDone((await post<{ message: string }>(path)).message));
  return (
    <Card title="Actions">
      <div class="row">
        <a class="button" href={`${base}/system/support`} download="gatewayd-support.zip">
          Support bundle
        </a>
        <a class="button" href="/metrics" target="_blank" rel="noopener">
          Figures for Prometheus
        </a>
        <Sure label="Restart" question="Nothing is heard for some seconds." disabled={busy} onSure={() => void go("/system/restart")} />
        <Sure label="Stop" question="Somebody has to start it again." disabled={busy} onSure={() => void go("/system/stop")} />
      </div>
      <p class="quiet">The bundle has log, figures and configuration, without secrets.</p>
      {done && <p role="status">{done}</p>}
      <Problem text={error} />
    </Card>
  );
}
