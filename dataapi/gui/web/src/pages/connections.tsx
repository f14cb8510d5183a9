import { save } from "../api";
import { ago } from "../format";
import { Check, Choice, Form, TextField } from "../parts/form";
import { useForm, useList } from "../parts/hooks";
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
          change={{ title: "Change the connection", form: (c, onDone) => <ConnectionForm of={c} onDone={onDone} />, done: connections.reload }}
          removal={{ label: "Delete", question: "Nothing more is sent there.", run: (c) => connections.remove(c.id) }}
        />
      </Card>
      <Card title="New connection">
        <ConnectionForm onDone={connections.reload} />
      </Card>
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

const empty = { description: "", filter: "", url: "", authorization: "", uri: "", topic_up: "lora/{device}/{type}", topic_down: "", radio: true, lora: false, duplicate: false };

/** Makes a connection, or changes the one that it is of. */
function ConnectionForm(p: { of?: Connection; onDone: () => void }) {
  const filters = useList<Filter>("/filters");
  const { v, set, text, form } = useForm({ type: "http" as Connection["type"], ...empty, ...p.of }, async ({ type, description, filter, radio, lora, duplicate, ...v }) => {
    const to = type === "http" ? { url: v.url, authorization: v.authorization } : { uri: v.uri, topic_up: v.topic_up, topic_down: v.topic_down };
    await save("/connections", p.of?.id, { type, description, filter, radio, lora, duplicate, ...to });
    p.onDone();
  });
  return (
    <Form submit={p.of ? "Save" : "Connect"} {...form}>
      {!p.of && <Choice label="To" value={v.type} of={[["http", "an HTTP server"], ["mqtt", "an MQTT broker"]]} onChange={set("type")} />}
      <TextField label="Description" {...text("description")} />
      {v.type === "http" ? (
        <>
          <TextField label="URL" {...text("url")} placeholder="https://example.org/lora/{device}/{type}" mono />
          <TextField label="Authorization header" {...text("authorization")} hint={p.of?.authorization ? "not shown; it stays, but another server needs it again" : "sent as it is"} mono />
        </>
      ) : (
        <>
          <TextField label="Broker" {...text("uri")} hint={p.of && "a password is not shown; it stays, but another broker needs it again"} placeholder="mqtts://user:password@broker.example.org" mono />
          <TextField label="Topic of messages" {...text("topic_up")} mono />
          <TextField label="Topic of answers" {...text("topic_down")} placeholder="lora/{device}/answer" mono />
        </>
      )}
      <Choice label="Filter" {...text("filter")} of={[["", "the usual types of all devices"], ...(filters.items ?? []).map((f) => [f.id, f.description || f.id] as const)]} onChange={set("filter")} />
      <fieldset>
        <legend>Messages also carry</legend>
        <Check label="how they were received (radio)" checked={v.radio} onChange={set("radio")} />
        <Check label="header and MAC commands (lora)" checked={v.lora} onChange={set("lora")} />
        <Check label="copies that other gateways heard" checked={v.duplicate} onChange={set("duplicate")} />
      </fieldset>
    </Form>
  );
}
