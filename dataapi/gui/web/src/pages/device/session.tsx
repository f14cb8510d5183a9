// What the network server knows of a device's radio, and how its joins went.
import { optional } from "../../api";
import { ago, date, mhz, seconds } from "../../format";
import { useLoad } from "../../parts/hooks";
import { Table } from "../../parts/table";
import { Card, Facts } from "../../parts/ui";

interface Channel {
  index: number;
  freq: number; // Hz
  freq_down?: number;
  min_datarate: number;
  max_datarate: number;
}

interface Session {
  dev_addr: string;
  lorawan: string;
  joined: number | null;
  last_uplink: number | null;
  counter_up: number;
  counter_down: number;
  counter_down_app?: number;
  rx1: { delay: number; offset: number };
  rx2: { freq: number; datarate: number };
  datarate: number | null;
  tx_power: number;
  nb_trans: number;
  max_duty_cycle: number;
  adr: boolean;
  class_b: { active: boolean; told: boolean; periodicity: number; freq: number; datarate: number | null } | null;
  channels: Channel[];
}

interface Join {
  time: number;
  level: string;
  code: string;
  message: string;
}

interface State {
  session: Session | null;
  pending: Session | null;
  joins: Joins;
}
type Joins = Join[];

export function useDeviceState(eui: string): State | undefined {
  const { value } = useLoad((s) => optional<{ state: State }>(`/devices/${eui}/state`, s), [eui], 5000);
  return value?.state;
}

export function SessionCard(p: { of: State | undefined }) {
  const s = p.of?.session;
  return (
    <Card title="Session">
      {s ? (
        <>
          <Facts
            of={[
              ["Address", <code>{s.dev_addr}</code>],
              ["Began", s.joined ? date(s.joined) : "as registered"],
              ["Last uplink", ago(s.last_uplink)],
              ["Next counters", `up ${s.counter_up}, down ${s.counter_down}${s.counter_down_app !== undefined ? `, down of applications ${s.counter_down_app}` : ""}`],
              ["Data rate", s.datarate !== null ? `DR${s.datarate}, power step ${s.tx_power}${s.adr ? ", by ADR" : ""}` : "not known yet"],
              ["Each uplink", s.nb_trans > 1 ? `${s.nb_trans} times` : undefined],
              ["Duty cycle", s.max_duty_cycle ? `at most 1/${2 ** s.max_duty_cycle} of the time` : undefined],
              ["RX1", `after ${seconds(s.rx1.delay)}${s.rx1.offset ? `, data rate offset ${s.rx1.offset}` : ""}`],
              ["RX2", `${hz(s.rx2.freq)} MHz, DR${s.rx2.datarate}`],
              ["Class B", s.class_b ? classB(s.class_b) : undefined],
            ]}
          />
          <Channels of={s.channels} />
        </>
      ) : (
        <p class="quiet">None yet: the device has to join.</p>
      )}
      {p.of?.pending && <p class="note">A new session with address {p.of.pending.dev_addr} waits for the device's first uplink.</p>}
    </Card>
  );
}

const hz = (f: number) => mhz(f / 1e6);

function classB(b: NonNullable<Session["class_b"]>) {
  if (!b.active) return <span class="quiet">not now: its uplinks do not say so</span>;
  if (!b.told) return <span class="warn">yes, but it has not told where its ping slots are</span>;
  const where = [b.freq && `${hz(b.freq)} MHz`, b.datarate !== null && `DR${b.datarate}`].filter(Boolean).join(", ");
  return (
    <span class="good">
      yes, a ping slot each {2 ** b.periodicity} s{where && `, ${where}`}
    </span>
  );
}

function Channels(p: { of: Channel[] }) {
  if (p.of.length === 0) return null;
  return (
    <details>
      <summary>{p.of.length} channels</summary>
      <Table
        of={p.of}
        id={(c) => c.index}
        empty=""
        columns={[
          { head: "Channel", cell: (c) => c.index },
          { head: "MHz", class: "num", cell: (c) => hz(c.freq) },
          { head: "Data rates", cell: (c) => `DR${c.min_datarate}–${c.max_datarate}` },
          { head: "RX1 at MHz", class: "num", cell: (c) => (c.freq_down ? hz(c.freq_down) : "") },
        ]}
      />
    </details>
  );
}

export function JoinsCard(p: { of: Joins | undefined }) {
  return (
    <Card title="Joins" class="scroll">
      <Table
        of={p.of?.toReversed()}
        id={(j) => j.time}
        empty="No join-request since gatewayd started."
        columns={[
          { head: "When", cell: (j) => ago(j.time) },
          { head: "What became of it", class: (j) => `wrap ${/warn|err/i.test(j.level) ? "warn" : ""}`, cell: (j) => j.message },
        ]}
      />
    </Card>
  );
}
