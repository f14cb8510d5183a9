// The list of devices; one device and the ways to make them are in their files.
import { useState } from "preact/hooks";
import { get } from "../api";
import { ago } from "../format";
import { messages, tick } from "../live";
import { useLoad } from "../parts/hooks";
import { Margin, marginsOf } from "../parts/margin";
import { Table, type Column } from "../parts/table";
import { Card, Problem, Tags } from "../parts/ui";
import type { Device } from "../types";
import { DeviceForm } from "./deviceform";
import { DevicePage } from "./device";
import { GroupForm } from "./groupform";
import { Import } from "./import";

const pageSize = 100;

export function Devices(p: { route: string[] }) {
  switch (p.route[1]) {
    case undefined:
    case "":
      return <List />;
    case "new":
      return <DeviceForm />;
    case "group":
      return <GroupForm />;
    case "import":
      return <Import />;
    default:
      return <DevicePage eui={p.route[1]} key={p.route[1]} />;
  }
}

interface Page {
  devices: Device[];
  total: number;
}

const kinds = { all: ["Devices and groups", ""], devices: ["Devices", "multicast:false"], groups: ["Multicast groups", "multicast:true"] } as const;
type Kind = keyof typeof kinds;

function List() {
  tick.value;
  const [q, setQ] = useState("");
  const [kind, setKind] = useState<Kind>("all");
  const [sort, setSort] = useState("-last_activity");
  const [offset, setOffset] = useState(0);
  const query = new URLSearchParams({ sort, offset: String(offset), limit: String(pageSize) });
  const terms = [asQuery(q), kinds[kind][1]].filter(Boolean).join(" ");
  if (terms) query.set("q", terms);
  const { value, error } = useLoad((s) => get<Page>(`/devices?${query}`, s), [query.toString()], 5000);
  const narrow = (change: () => void) => {
    change();
    setOffset(0);
  };
  return (
    <>
      <div class="row between">
        <h1>Devices {value && <span class="quiet">{value.total}</span>}</h1>
        <div class="row">
          <a class="button" href="#/devices/import">
            Import or export
          </a>
          <a class="button" href="#/devices/group">
            Add a group
          </a>
          <a class="button" href="#/devices/new">
            Add a device
          </a>
        </div>
      </div>
      <div class="row">
        <input class="grow" type="search" aria-label="Find devices" placeholder="DevEUI or part of it, or tag:cellar dev_class:C app_eui:70b3 …" value={q} onInput={(e) => narrow(() => setQ(e.currentTarget.value))} />
        <select aria-label="What is shown" class="auto" value={kind} onChange={(e) => narrow(() => setKind(e.currentTarget.value as Kind))}>
          {Object.entries(kinds).map(([id, [text]]) => (
            <option key={id} value={id}>
              {text}
            </option>
          ))}
        </select>
      </div>
      <p />
      <Problem text={error} />
      <Card class="scroll">
        <Table
          of={value?.devices}
          id={(d) => d.dev_eui}
          empty={terms ? "No device matches." : <>No device yet. <a href="#/devices/new">Add the first one.</a></>}
          columns={columns(sort, setSort)}
        />
        {value && value.total > pageSize && <Pages offset={offset} total={value.total} onTurn={setOffset} />}
      </Card>
    </>
  );
}

function columns(sort: string, setSort: (s: string) => void): Column<Device>[] {
  const margins = marginsOf(messages);
  const sorted = (field: string, text: string): Pick<Column<Device>, "head" | "sort"> => ({
    head: (
      <button type="button" onClick={() => setSort(sort === field ? `-${field}` : field)}>
        {text} {sort === field ? "↑" : sort === `-${field}` ? "↓" : ""}
      </button>
    ),
    sort: sort === field ? "ascending" : sort === `-${field}` ? "descending" : "none",
  });
  return [
    { ...sorted("dev_eui", "DevEUI"), class: "mono", cell: (d) => <a href={`#/devices/${d.dev_eui}`}>{d.dev_eui}</a> },
    { ...sorted("dev_addr", "DevAddr"), class: "mono hide-small", cell: (d) => d.dev_addr },
    { ...sorted("dev_class", "Class"), cell: (d) => d.dev_class },
    { ...sorted("activation", "Activation"), class: "hide-small", cell: (d) => (d.multicast ? "group" : d.activation) },
    { ...sorted("last_activity", "Last heard"), cell: (d) => (d.multicast ? "" : ago(d.last_activity)) },
    { head: "Link margin", class: "hide-small", cell: (d) => (d.multicast ? "" : <Margin of={margins.get(d.dev_eui)} />) },
    { head: "Up / down", class: "num hide-small", cell: (d) => (d.multicast ? `– / ${d.counter_down}` : `${d.counter_up} / ${d.counter_down}`) },
    { head: "Tags", class: "wrap", cell: (d) => <>{(d.block_uplink || d.block_downlink) && <span class="tag warn">blocked</span>}<Tags of={d.tags} /></> },
  ];
}

function Pages(p: { offset: number; total: number; onTurn: (offset: number) => void }) {
  return (
    <div class="row between">
      <button disabled={p.offset === 0} onClick={() => p.onTurn(p.offset - pageSize)}>
        Back
      </button>
      <span class="quiet">
        {p.offset + 1}–{Math.min(p.offset + pageSize, p.total)} of {p.total}
      </span>
      <button disabled={p.offset + pageSize >= p.total} onClick={() => p.onTurn(p.offset + pageSize)}>
        More
      </button>
    </div>
  );
}

/** A word without a colon looks for DevEUIs (hex) or else tags. */
function asQuery(q: string): string {
  return q
    .split(/\s+/)
    .filter(Boolean)
    .map((w) => (w.includes(":") && !/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(w) ? w : /^[0-9a-f:-]+$/i.test(w) ? `dev_eui:${w.replace(/[:-]/g, "")}` : `tag:${w}`))
    .join(" ");
}
