import { useState } from "preact/hooks";
import { del, get, optional, post } from "../api";
import { ago } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Check, Choice, Problem, Sure, TextField } from "../parts/ui";
import type { Connection, Filter } from "../types";

const empty = { type: "http" as "http" | "mqtt", description: "", filter: "", url: "", authorization: "", uri: "", topic_up: "lora/{device}/{type}", topic_down: "", radio: true, lora: false, duplicate: false };

export function Connections() {
  const { value, error, reload } = useLoad((s) => get<{ connections: Connection[] }>("/connections", s), [], 3000);
  const remove = useAction(async (id: string) => {
    await del(`/connections/${id}`);
    reload();
  });
  return (
    <>
      <Clients />
      <Problem text={error || remove.error} />
      <Card title="Connections that the gateway makes" class="scroll">
        {value?.connections.length === 0 && <p class="empty">None. The gateway can bring messages to an HTTP server or an MQTT broker.</p>}
        {value?.connections.length ? (
          <table>
            <thead>
              <tr>
                <th>To</th>
                <th>State</th>
                <th class="num">Sent</th>
                <th class="num">Failed</th>
                <th class="num">Dropped</th>
                <th>
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {value.connections.map((c) => (
                <tr key={c.id}>
                  <td class="wrap">
                    {c.description} <span class="mono quiet">{c.url ?? c.uri}</span>
                  </td>
                  <td class={`wrap ${c.status?.state === "connected" ? "good" : "warn"}`}>
                    {c.status?.state} {c.status?.last_error && <span class="quiet">{c.status.last_error}</span>}
                  </td>
                  <td class="num">{c.status?.sent}</td>
                  <td class="num">{c.status?.failed}</td>
                  <td class="num">{c.status?.dropped}</td>
                  <td class="num">
                    <Sure label="Delete" question="Nothing more is sent there." onSure={() => void remove.go(c.id)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
      </Card>
      <NewConnection onMade={reload} />
    </>
  );
}

interface Client {
  id: string;
  key?: string;
  description?: string;
  remote?: string;
  since?: number;
  queued?: number;
  queue?: number;
  sent?: number;
}

/** The applications that are connected now. */
function Clients() {
  const { value } = useLoad((s) => optional<{ clients: Client[] }>("/clients", s), [], 2000);
  if (!value) return null;
  return (
    <Card title="Applications connected now" class="scroll">
      {value.clients.length === 0 ? (
        <p class="empty">No application is connected.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th>Key</th>
              <th>From</th>
              <th>Since</th>
              <th class="num">Waiting</th>
              <th class="num">Sent</th>
            </tr>
          </thead>
          <tbody>
            {value.clients.map((c) => (
              <tr key={c.id}>
                <td class="wrap">{c.description || c.key}</td>
                <td class="mono">{c.remote}</td>
                <td>{ago(c.since)}</td>
                <td class={`num ${(c.queued ?? 0) * 2 > (c.queue ?? 1) ? "warn" : ""}`}>
                  {c.queued} of {c.queue}
                </td>
                <td class="num">{c.sent}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}

function NewConnection(p: { onMade: () => void }) {
  const [v, setV] = useState(empty);
  const filters = useLoad((s) => get<{ filters: Filter[] }>("/filters", s));
  const set = <K extends keyof typeof empty>(k: K) => (x: (typeof empty)[K]) => setV((old) => ({ ...old, [k]: x }));
  const { go, busy, error } = useAction(async () => {
    const { type, description, filter, radio, lora, duplicate } = v;
    const common = { type, description, filter, radio, lora, duplicate };
    await post("/connections", type === "http" ? { ...common, url: v.url, authorization: v.authorization } : { ...common, uri: v.uri, topic_up: v.topic_up, topic_down: v.topic_down });
    setV(empty);
    p.onMade();
  });
  return (
    <Card title="New connection">
      <form
        class="form"
        onSubmit={(e) => {
          e.preventDefault();
          void go();
        }}
      >
        <Choice label="To" value={v.type} of={[["http", "an HTTP server"], ["mqtt", "an MQTT broker"]]} onChange={set("type")} />
        <TextField label="Description" value={v.description} onInput={set("description")} />
        {v.type === "http" ? (
          <>
            <TextField label="URL" value={v.url} onInput={set("url")} placeholder="https://example.org/lora/{device}/{type}" mono />
            <TextField label="Authorization header" value={v.authorization} onInput={set("authorization")} hint="sent as it is" mono />
          </>
        ) : (
          <>
            <TextField label="Broker" value={v.uri} onInput={set("uri")} placeholder="mqtts://user:password@broker.example.org" mono />
            <TextField label="Topic of messages" value={v.topic_up} onInput={set("topic_up")} mono />
            <TextField label="Topic of answers" value={v.topic_down} onInput={set("topic_down")} placeholder="lora/{device}/answer" mono />
          </>
        )}
        <Choice label="Filter" value={v.filter} of={[["", "the usual types of all devices"], ...(filters.value?.filters ?? []).map((f) => [f.id, f.description || f.id] as const)]} onChange={set("filter")} />
        <div class="row">
          <Check label="radio" checked={v.radio} onChange={set("radio")} />
          <Check label="lora" checked={v.lora} onChange={set("lora")} />
          <Check label="copies" checked={v.duplicate} onChange={set("duplicate")} />
        </div>
        <Problem text={error} />
        <button class="first" disabled={busy}>
          Connect
        </button>
      </form>
    </Card>
  );
}
