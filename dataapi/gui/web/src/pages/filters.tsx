import { save } from "../api";
import { Form, TextField } from "../parts/form";
import { useForm, useList } from "../parts/hooks";
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
      <Card title="New filter">
        <p class="quiet">What an application hears when it connects with “filter=ID”.</p>
        <FilterForm onDone={filters.reload} />
      </Card>
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
          change={{ title: "Change the filter", form: (f, onDone) => <FilterForm of={f} onDone={onDone} />, done: filters.reload }}
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

/** Makes a filter, or changes the one that it is of. */
function FilterForm(p: { of?: Filter; onDone: () => void }) {
  const { text, form } = useForm({ ...empty, ...p.of }, async (v) => {
    await save("/filters", p.of?.id, v);
    p.onDone();
  });
  return (
    <Form submit={p.of ? "Save" : "Make the filter"} {...form}>
      <p class="quiet">Several words are separated by commas; each list that is filled in narrows what comes.</p>
      <TextField label="Description" {...text("description")} />
      {lists.map(([id, label, hint]) => (
        <TextField key={id} label={label} hint={hint} {...text(id)} />
      ))}
    </Form>
  );
}
