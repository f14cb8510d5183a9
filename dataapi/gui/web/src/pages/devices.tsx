// The list of devices; one device and the ways to make them are in their files.
import { useState } from "preact/hooks";
import { get } from "../api";
import { ago, number } from "../format";
import { linkMargin } from "../lora";
import { messages, tick } from "../live";
import { useLoad } from "../parts/hooks";
import { Card, Problem, Tags } from "../parts/ui";
import type { Device } from "../types";
import { DeviceForm } from "./deviceform";
import { DevicePage } from "./device";
import { Import } from "./import";

const pageSize = 100;

export function Devices(p: { route: string[] }) {
  switch (p.route[1]) {
    case undefined:
    case "":
      return <List />;
    case "new":
      return <DeviceForm />;
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

const columns: [string, string][] = [
  ["dev_eui", "DevEUI"],
  ["dev_addr", "DevAddr"],
  ["dev_class", "Class"],
  ["activation", "Activation"],
  ["last_activity", "Last heard"],
];

function List() {
  tick.value;
  const [q, setQ] = useState("");
  const [sort, setSort] = useState("-last_activity");
  const [offset, setOffset] = useState(0);
  const query = new URLSearchParams({ sort, offset: String(offset), limit: String(pageSize) });
  if (q.trim()) query.set("q", asQuery(q));
  const { value, error } = useLoad((s) => get<Page>(`/devices?${query}`, s), [query.toString()], 5000);
  const turn = (c: string) => setSort(sort === c ? `-${c}` : c);
  return (
    <>
      <div class="row between">
        <h1>Devices {value && <span class="quiet">{value.total}</span>}</h1>
        <div class="row">
          <a class="button" href="#/devices/import">
            Import or export
          </a>
          <a class="button" href="#/devices/new">
            Add a device
          </a>
        </div>
      </div>
      <input
        type="search"
        aria-label="Find devices"
        placeholder="DevEUI or part of it, or tag:cellar dev_class:C app_eui:70b3 …"
        value={q}
        onInput={(e) => {
          setQ(e.currentTarget.value);
          setOffset(0);
        }}
      />
      <p />
      <Problem text={error} />
      {value && (
        <Card class="scroll">
          {value.devices.length === 0 ? (
            <p class="empty">{q ? "No device matches." : <>No device yet. <a href="#/devices/new">Add the first one.</a></>}</p>
          ) : (
            <table>
              <thead>
                <tr>
                  {columns.map(([id, text]) => (
                    <th key={id} aria-sort={sort === id ? "ascending" : sort === `-${id}` ? "descending" : "none"} class={id === "dev_addr" || id === "activation" ? "hide-small" : ""}>
                      <button type="button" onClick={() => turn(id)}>
                        {text} {sort === id ? "↑" : sort === `-${id}` ? "↓" : ""}
                      </button>
                    </th>
                  ))}
                  <th class="hide-small">Link margin</th>
                  <th class="num hide-small">Up / down</th>
                  <th>Tags</th>
                </tr>
              </thead>
              <tbody>
                {value.devices.map((d) => (
                  <tr key={d.dev_eui}>
                    <td class="mono">
                      <a href={`#/devices/${d.dev_eui}`}>{d.dev_eui}</a>
                    </td>
                    <td class="mono hide-small">{d.dev_addr}</td>
                    <td>{d.dev_class}</td>
                    <td class="hide-small">{d.activation}</td>
                    <td>{ago(d.last_activity)}</td>
                    <td class="hide-small">
                      <Margin device={d.dev_eui} />
                    </td>
                    <td class="num hide-small">
                      {d.counter_up} / {d.counter_down}
                    </td>
                    <td class="wrap">
                      {(d.block_uplink || d.block_downlink) && <span class="tag warn">blocked</span>}
                      <Tags of={d.tags} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          {value.total > pageSize && (
            <div class="row between">
              <button disabled={offset === 0} onClick={() => setOffset(offset - pageSize)}>
                Back
              </button>
              <span class="quiet">
                {offset + 1}–{Math.min(offset + pageSize, value.total)} of {value.total}
              </span>
              <button disabled={offset + pageSize >= value.total} onClick={() => setOffset(offset + pageSize)}>
                More
              </button>
            </div>
          )}
        </Card>
      )}
    </>
  );
}

/** A word without a colon looks for DevEUIs (hex) or else tags. */
function asQuery(q: string): string {
  return q
    .trim()
    .split(/\s+/)
    .map((w) => (w.includes(":") && !/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(w) ? w : /^[0-9a-f:-]+$/i.test(w) ? `dev_eui:${w.replace(/[:-]/g, "")}` : `tag:${w}`))
    .join(" ");
}

/** The last link margins as a line, newest at the right. */
export function Margin(p: { device: string }) {
  const values: number[] = [];
  for (let i = messages.length - 1; i >= 0 && values.length < 30; i--) {
    const m = messages[i]!;
    if (m.type === "uplink" && m.meta.device === p.device && !m.params.duplicate) {
      const v = linkMargin(m);
      if (v !== null) values.unshift(v);
    }
  }
  if (values.length === 0) return <span class="quiet">–</span>;
  const last = values[values.length - 1]!;
  const x = (i: number) => (values.length === 1 ? 30 : (i / (values.length - 1)) * 58 + 1);
  const y = (v: number) => 17 - (Math.min(Math.max(v, 0), 40) / 40) * 15;
  const look = last < 3 ? "bad" : last < 8 ? "warn" : "good";
  return (
    <span class="row" style={{ gap: ".4rem", flexWrap: "nowrap" }}>
      <svg width="60" height="18" aria-hidden="true">
        <polyline points={values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ")} fill="none" stroke="currentColor" stroke-width="1.500" class={look} />
      </svg>
      <span class={look}>{number(last, 0)} dB</span>
    </span>
  );
}
