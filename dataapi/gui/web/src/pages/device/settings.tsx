// What the network server is told about a device, and its keys.
import { useState } from "preact/hooks";
import { patch } from "../../api";
import { Check, Choice, Form, TextField } from "../../parts/form";
import { useAction } from "../../parts/hooks";
import { Card, Copy, Problem } from "../../parts/ui";
import type { Device } from "../../types";

const classes = [["A", "A"], ["B", "B"], ["C", "C"]] as const;

export function Settings(p: { device: Device; onSaved: () => void }) {
  const d = p.device;
  const [tags, setTags] = useState(d.tags.join(", "));
  const { go, busy, error } = useAction(async (change: object) => {
    await patch(`/devices/${d.dev_eui}`, change);
    p.onSaved();
  });
  return (
    <Card title="Settings">
      <Form class="" submit="Save the tags" onSubmit={() => void go({ tags: tags.split(/[,\s]+/).filter(Boolean) })} busy={busy}>
        <TextField label="Tags" value={tags} onInput={setTags} />
      </Form>
      <p />
      <div class="pair">
        <Choice label="Class" value={d.dev_class} of={classes} onChange={(v) => void go({ dev_class: v })} />
        <Choice
          label="Counter policy"
          value={d.policy}
          of={[["strict", "strict"], ["relaxed", "relaxed"], ["lab", "lab"]]}
          onChange={(v) => void go({ policy: v })}
          hint="strict refuses each repeated nonce and counter"
        />
        <Choice label="ADR" value={d.adr.mode} of={[["on", "on"], ["off", "off"], ["static", "static"]]} onChange={(v) => void go({ adr: { mode: v } })} />
      </div>
      <Check label="Block its uplinks" checked={d.block_uplink} onChange={(v) => void go({ block_uplink: v })} />
      <Check label="Block its downlinks" checked={d.block_downlink} onChange={(v) => void go({ block_downlink: v })} />
      <Check label="Answer in RX2 only" checked={d.rx2.force} onChange={(v) => void go({ rx2: { force: v } })} />
      <Problem text={error} />
    </Card>
  );
}

export function Secrets(p: { device: Device }) {
  const [show, setShow] = useState(false);
  const keys = (["app_key", "nwk_key", "nwkskey", "appskey"] as const).filter((k) => p.device[k]);
  if (keys.length === 0) return null;
  return (
    <Card title="Keys" action={<button onClick={() => setShow(!show)}>{show ? "Hide" : "Show"}</button>}>
      {show ? (
        keys.map((k) => (
          <div class="row between" key={k}>
            <span class="quiet">{k}</span> <code>{p.device[k]}</code> <Copy text={p.device[k]!} />
          </div>
        ))
      ) : (
        <p class="quiet">{keys.join(", ")}</p>
      )}
    </Card>
  );
}
