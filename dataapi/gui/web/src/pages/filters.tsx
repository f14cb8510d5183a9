import { useState } from "preact/hooks";
import { post } from "../api";
import { Form, TextField } from "../parts/form";
import { useAction, useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";
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
  const filters = useList<Filter>("/filters");
  return (
    <>
      <NewFilter onMade={filters.reload} />
      <Problem text={filters.error} />
      <Card title="Filters" class="scroll">
        <Table
          of={filters.items}
          id={(f) => f.id}
          empty="No filter yet: every application hears everything that its key allows."
          columns={[
            { head: "Id", class: "mono", cell: (f) => f.id },
            { head: "Description", class: "wrap", cell: (f) => f.description },
            { head: "Lets through", class: "wrap", cell: through },
          ]}
          removal={{ label: "Delete", question: "Connections keep what they have.", run: (f) => filters.remove(f.id) }}
        />
      </Card>
    </>
  );
}

const through = (f: Filter) =>
  lists
    .filter(([id]) => f[id])
    .map(([id]) => `${id}: ${f[id]}`)
    .join("; ") || "the usual types of all devices";

function NewFilter(p: { onMade: () => void }) {
  const [v, setV] = useState(empty);
  const create = useAction(async () => {
    await post("/filters", v);
    setV(empty);
    p.onMade();
  });
  return (
    <Card title="New filter">
      <p class="quiet">What an application hears when it connects with “filter=ID”. Several words are separated by commas; each list that is filled in narrows what comes.</p>
      <Form submit="Make the filter" onSubmit={() => void create.go()} busy={create.busy} error={create.error}>
        <TextField label="Description" value={v.description} onInput={(x) => setV({ ...v, description: x })} />
        {lists.map(([id, label, hint]) => (
          <TextField key={id} label={label} hint={hint} value={v[id]} onInput={(x) => setV({ ...v, [id]: x })} />
        ))}
      </Form>
    </Card>
  );
}
