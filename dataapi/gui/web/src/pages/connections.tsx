import { post } from "../api";
import { useState } from "preact/hooks";
import { ago } from "../format";
import { Check, Choice, Form, TextField } from "../parts/form";
import { useAction, useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";
import type { Connection, Filter } from "../types";

export function Connections() {
  const connections = useList<Connection>("/connections", 3000);
  return (
    <>
      <Clients />
      <Problem text={connections.error} />
      <Card title="Connections that the gateway makes" class="scroll">
        <Table
          of={connections.items}
          id={(c) => c.id}
          empty="None. The gateway can bring messages to an HTTP server or an MQTT broker."
          columns={[
            { head: "To", class: "wrap", cell: (c) => <>{c.description} <span class="mono quiet">{c.url ?? c.uri}</span></> },
            {
              head: "State",
              class: (c) => `wrap ${c.status?.state === "connected" ? "good" : "warn"}`,
              cell: (c) => <>{c.status?.state} <span class="quiet">{c.status?.last_error}</span></>,
            },
            { head: "Sent", class: "num", cell: (c) => c.status?.sent },
            { head: "Failed", class: "num", cell: (c) => c.status?.failed },
            { head: "Dropped", class: "num", cell: (c) => c.status?.dropped },
          ]}
          removal={{ label: "Delete", question: "Nothing more is sent there.", run: (c) => connections.remove(c.id) }}
        />
      </Card>
      <NewConnection onMade={connections.reload} />
    </>
  );
}

interface Client {
  id: string;
  key: string;
  description: string;
  remote: string;
  since: number;
  queued: number;
  queue: number;
  sent: number;
}

/** The applications that are connected now. */
function Clients() {
  const clients = useList<Client>("/clients", 2000);
  return (
    <Card title="Applications connected now" class="scroll">
      <Problem text={clients.error} />
      <Table
        of={clients.items}
        id={(c) => c.id}
        empty="No application is connected."
        columns={[
          { head: "Key", class: "wrap", cell: (c) => c.description || c.key },
          { head: "From", class: "mono hide-small", cell: (c) => c.remote },
          { head: "Since", cell: (c) => ago(c.since) },
          { head: "Waiting", class: (c) => (c.queued * 2 > c.queue ? "num warn" : "num"), cell: (c) => `${c.queued} of ${c.queue}` },
          { head: "Sent", class: "num", cell: (c) => c.sent },
        ]}
        removal={{ label: "Disconnect", question: "It may connect again.", run: (c) => clients.remove(c.id) }}
      />
    </Card>
  );
}

const empty = { type: "http" as "http" | "mqtt", description: "", filter: "", url: "", authorization: "", uri: "", topic_up: "lora/{device}/{type}", topic_down: "", radio: true, lora: false, duplicate: false };

function NewConnection(p: { onMade: () => void }) {
  const [v, setV] = useState(empty);
  const filters = useList<Filter>("/filters");
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
      <Form submit="Connect" onSubmit={() => void go()} busy={busy} error={error}>
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
        <Choice label="Filter" value={v.filter} of={[["", "the usual types of all devices"], ...(filters.items ?? []).map((f) => [f.id, f.description || f.id] as const)]} onChange={set("filter")} />
        <fieldset>
          <legend>Messages also carry</legend>
          <Check label="how they were received (radio)" checked={v.radio} onChange={set("radio")} />
          <Check label="header and MAC commands (lora)" checked={v.lora} onChange={set("lora")} />
          <Check label="copies that other gateways heard" checked={v.duplicate} onChange={set("duplicate")} />
        </fieldset>
      </Form>
    </Card>
  );
}
