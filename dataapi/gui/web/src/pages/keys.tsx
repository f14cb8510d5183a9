import { useState } from "preact/hooks";
import { base, del, get, post } from "../api";
import { date } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Check, Code, Dialog, Problem, Sure, TextField } from "../parts/ui";
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
  const { value, error, reload } = useLoad((s) => get<{ keys: Key[] }>("/keys", s));
  const [made, setMade] = useState<Key | null>(null);
  const revoke = useAction(async (id: string) => {
    await del(`/keys/${id}`);
    reload();
  });
  return (
    <>
      <NewKey
        onMade={(k) => {
          setMade(k);
          reload();
        }}
      />
      {made && <Token of={made} onClose={() => setMade(null)} />}
      <Problem text={error || revoke.error} />
      <Card title="Keys" class="scroll">
        {value?.keys.length === 0 && <p class="empty">No key yet: an application needs one.</p>}
        <table>
          <thead>
            <tr>
              <th>For</th>
              <th>May</th>
              <th class="hide-small">Made</th>
              <th>
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {value?.keys.map((k) => (
              <tr key={k.id}>
                <td class="wrap">{k.description || <span class="quiet mono">{k.id}</span>}</td>
                <td class="wrap">{k.rights.join(", ") || scopes(k)}</td>
                <td class="hide-small">{date(k.created)}</td>
                <td class="num">
                  <Sure label="Revoke" question="Its connections end at once." onSure={() => void revoke.go(k.id)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Card>
    </>
  );
}

const scopes = (k: Key) =>
  Object.entries(k.permissions ?? {})
    .map(([r, ids]) => `${r} (${Object.keys(ids).join(", ")})`)
    .join(", ");

/** The form for a key; devices limit it to those. */
export function NewKey(p: { onMade: (k: Key) => void }) {
  const [description, setDescription] = useState("");
  const [chosen, setChosen] = useState(["data"]);
  const { go, busy, error } = useAction(async () => {
    const { key } = await post<{ key: Key }>("/keys", { description, rights: chosen });
    setDescription("");
    p.onMade(key);
  });
  return (
    <Card title="New key">
      <form
        class="form"
        onSubmit={(e) => {
          e.preventDefault();
          void go();
        }}
      >
        <TextField label="What is it for?" name="description" value={description} onInput={setDescription} placeholder="weather application" />
        <fieldset>
          <legend>It may</legend>
          {rights.map(([id, text]) => (
            <Check key={id} label={text} checked={chosen.includes(id)} onChange={(on) => setChosen(on ? [...chosen, id] : chosen.filter((r) => r !== id))} />
          ))}
        </fieldset>
        <Problem text={error} />
        <button class="first" disabled={busy || chosen.length === 0}>
          Make the key
        </button>
      </form>
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
