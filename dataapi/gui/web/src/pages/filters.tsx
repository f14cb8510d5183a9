import { useState } from "preact/hooks";
import { del, get, post } from "../api";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem, Sure, TextField } from "../parts/ui";
import type { Filter } from "../types";

const lists = [
  ["types", "Types", "uplink, downlink_request, error …; empty: the usual ones"],
  ["devices", "Devices", "DevEUIs"],
  ["applications", "Applications", "JoinEUIs"],
  ["tags", "Tags", ""],
  ["gateways", "Gateways", "EUIs"],
] as const;

const empty = { description: "", types: "", devices: "", applications: "", tags: "", gateways: "" };

export function Filters() {
  const { value, error, reload } = useLoad((s) => get<{ filters: Filter[] }>("/filters", s));
  const [v, setV] = useState(empty);
  const create = useAction(async () => {
    await post("/filters", v);
    setV(empty);
    reload();
  });
  const remove = useAction(async (id: string) => {
    await del(`/filters/${id}`);
    reload();
  });
  return (
    <>
      <Card title="New filter">
        <p class="quiet">What an application hears when it connects with “filter=ID”. Lists have commas; each narrows what comes.</p>
        <form
          class="form"
          onSubmit={(e) => {
            e.preventDefault();
            void create.go();
          }}
        >
          <TextField label="Description" value={v.description} onInput={(x) => setV({ ...v, description: x })} />
          {lists.map(([id, label, hint]) => (
            <TextField key={id} label={label} hint={hint} value={v[id]} onInput={(x) => setV({ ...v, [id]: x })} />
          ))}
          <Problem text={create.error} />
          <button class="first" disabled={create.busy}>
            Make the filter
          </button>
        </form>
      </Card>
      <Problem text={error || remove.error} />
      <Card title="Filters" class="scroll">
        {value?.filters.length === 0 && <p class="empty">No filter yet.</p>}
        {value?.filters.length ? (
          <table>
            <thead>
              <tr>
                <th>Id</th>
                <th>Description</th>
                <th>Lets through</th>
                <th>
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {value.filters.map((f) => (
                <tr key={f.id}>
                  <td class="mono">{f.id}</td>
                  <td class="wrap">{f.description}</td>
                  <td class="wrap">
                    {lists
                      .filter(([id]) => f[id])
                      .map(([id]) => `${id}: ${f[id]}`)
                      .join("; ") || "the usual types of all devices"}
                  </td>
                  <td class="num">
                    <Sure label="Delete" question="Connections keep what they have." onSure={() => void remove.go(f.id)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
      </Card>
    </>
  );
}
