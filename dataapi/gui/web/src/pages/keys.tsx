import { useState } from "preact/hooks";
import { base, post } from "../api";
import { date } from "../format";
import { Check, Form, TextField } from "../parts/form";
import { useAction, useList } from "../parts/hooks";
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
      <NewKey
        onMade={(k) => {
          setMade(k);
          keys.reload();
        }}
      />
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
  ["tags", "Tags", "words that devices carry"],
  ["types", "Types of messages", "uplink, downlink_request, join_request …"],
] as const;

type Scope = Partial<Record<(typeof scopes)[number][0], string>>;

/** What a key is confined to. */
const limits = (k: Key) =>
  scopes
    .filter(([id]) => k.scope?.[id])
    .map(([id]) => `${id}: ${k.scope![id]}`)
    .join("; ");

export function NewKey(p: { onMade: (k: Key) => void }) {
  const [description, setDescription] = useState("");
  const [chosen, setChosen] = useState(["data"]);
  const [scope, setScope] = useState<Scope>({});
  const { go, busy, error } = useAction(async () => {
    const confined = Object.values(scope).some((v) => v.trim());
    const { key } = await post<{ key: Key }>("/keys", { description, rights: chosen, ...(confined && { scope }) });
    setDescription("");
    setScope({});
    p.onMade(key);
  });
  return (
    <Card title="New key">
      <Form submit="Make the key" onSubmit={() => void go()} busy={busy || chosen.length === 0} error={error}>
        <TextField label="What is it for?" name="description" value={description} onInput={setDescription} placeholder="weather application" />
        <fieldset>
          <legend>It may</legend>
          {rights.map(([id, text]) => (
            <Check key={id} label={text} checked={chosen.includes(id)} onChange={(on) => setChosen(on ? [...chosen, id] : chosen.filter((r) => r !== id))} />
          ))}
        </fieldset>
        <details>
          <summary>Confine it to some devices</summary>
          <p class="quiet">Nothing else exists for such a key. Several words are separated by commas; an empty field is no limit.</p>
          {scopes.map(([id, label, hint]) => (
            <TextField key={id} label={label} hint={hint} value={scope[id] ?? ""} onInput={(v) => setScope({ ...scope, [id]: v })} />
          ))}
        </details>
      </Form>
    </Card>
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
