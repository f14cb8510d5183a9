import { useState } from "preact/hooks";
import { base, save } from "../api";
import { date } from "../format";
import { Check, Form, TextField } from "../parts/form";
import { useForm, useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Code, Dialog, Problem } from "../parts/ui";
import type { Key } from "../types";

const rights: [string, string][] = [
  ["data", "Data API: hear devices and answer them"],
  ["devices", "Devices: list, create, change, delete"],
  ["secrets", "See device keys (with devices)"],
  ["gateways", "See gateways"],
  ["keys", "Administrator: keys, users, connections"],
];

export const dataURL = (token: string) => `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${base}/data?access_token=${token}`;

export function Keys() {
  const keys = useList<Key>("/keys");
  const [made, setMade] = useState<Key | null>(null);
  return (
    <>
      <Card title="New key">
        <KeyForm
          onDone={(k) => {
            setMade(k);
            keys.reload();
          }}
        />
      </Card>
      {made && <Token of={made} onClose={() => setMade(null)} />}
      <Problem text={keys.error} />
      <Card title="Keys" class="scroll">
        <Table
          of={keys.items}
          id={(k) => k.id}
          empty="No key yet: an application needs one."
          columns={[
            { head: "For", class: "wrap", cell: (k) => k.description || <span class="quiet mono">{k.id}</span> },
            { head: "May", class: "wrap", cell: (k) => [k.rights.join(", ") || permissions(k), limits(k)].filter(Boolean).join("; only ") },
            { head: "Made", class: "hide-small", cell: (k) => date(k.created) },
          ]}
          change={{ title: "Change the key", form: (k, onDone) => <KeyForm of={k} onDone={onDone} />, done: keys.reload }}
          removal={{ label: "Revoke", question: "Its connections end at once.", run: (k) => keys.remove(k.id) }}
        />
      </Card>
    </>
  );
}

const permissions = (k: Key) =>
  Object.entries(k.permissions ?? {})
    .map(([r, ids]) => `${r} (${Object.keys(ids).join(", ")})`)
    .join(", ");

const scopes = [
  ["applications", "Applications", "JoinEUIs"],
  ["devices", "Devices", "DevEUIs"],
  ["gateways", "Gateways", "EUIs"],
  ["tags", "Tags", "words that devices carry"],
  ["types", "Types of messages", "uplink, downlink_request, join_request …"],
] as const;

const unlimited = { applications: "", devices: "", gateways: "", tags: "", types: "" };

/** What a key is confined to. */
const limits = (k: Key) =>
  scopes
    .filter(([id]) => k.scope?.[id])
    .map(([id]) => `${id}: ${k.scope![id]}`)
    .join("; ");

/** Makes a key, or changes the one that it is of. */
export function KeyForm(p: { of?: Key; onDone: (k: Key) => void }) {
  const { v, set, text, form } = useForm({ description: p.of?.description ?? "", rights: p.of?.rights ?? ["data"], ...unlimited, ...p.of?.scope }, async ({ description, rights, ...scope }) => {
    p.onDone((await save<{ key: Key }>("/keys", p.of?.id, { description, rights, scope })).key);
  });
  const powerless = v.rights.length === 0 && p.of?.rights.length !== 0; // but for a key of permissions
  const confined = scopes.some(([id]) => v[id]);
  return (
    <Form submit={p.of ? "Save" : "Make the key"} {...form} busy={form.busy || powerless}>
      {p.of && <p class="quiet">Its token stays. Its connections end, and have to be made again.</p>}
      <TextField label="What is it for?" name="description" {...text("description")} placeholder="weather application" />
      <fieldset>
        <legend>It may</legend>
        {rights.map(([id, label]) => (
          <Check key={id} label={label} checked={v.rights.includes(id)} onChange={(on) => set("rights")(on ? [...v.rights, id] : v.rights.filter((r) => r !== id))} />
        ))}
      </fieldset>
      <details open={p.of && confined}>
        <summary>Confine it to some devices</summary>
        <p class="quiet">Nothing else exists for such a key. Several words are separated by commas; an empty field is no limit.</p>
        {scopes.map(([id, label, hint]) => (
          <TextField key={id} label={label} hint={hint} {...text(id)} />
        ))}
      </details>
    </Form>
  );
}

function Token(p: { of: Key; onClose: () => void }) {
  return (
    <Dialog title="The new key" onClose={p.onClose}>
      <p>This is shown once; the gateway keeps only a hash of it.</p>
      <Code id="token" text={p.of.access_token ?? ""} />
      {p.of.rights.includes("data") && <TryIt token={p.of.access_token ?? ""} />}
    </Dialog>
  );
}

/** The line that shows that it works. */
export const TryIt = (p: { token: string }) => (
  <>
    <p>Hear your devices, in a terminal with Node.js:</p>
    <Code id="wscat" text={`npx wscat -c "${dataURL(p.token)}&radio=1"`} />
  </>
);
