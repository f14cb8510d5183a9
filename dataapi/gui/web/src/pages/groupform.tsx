// A new multicast group: a session that many devices share.
import { useState } from "preact/hooks";
import { isHex, plainHex } from "../format";
import { Choice, Form, TextField } from "../parts/form";
import { Card } from "../parts/ui";
import { randomHex, tagList, useNewDevice } from "./newdevice";

const fresh = () => ({
  dev_eui: randomHex(8),
  dev_addr: `00${randomHex(3)}`, // of a private network, NetID 0
  nwkskey: randomHex(16),
  appskey: randomHex(16),
  tags: "",
  dev_class: "C" as "B" | "C",
  periodicity: "0",
  freq: "", // MHz
  datarate: "",
  repeat: "0",
});
type Group = ReturnType<typeof fresh>;

const periods = Array.from({ length: 8 }, (_, i) => [String(i), `each ${2 ** i} s`] as const);
const repeats = [["0", "once"], ["1", "twice"], ["2", "three times"], ["3", "four times"]] as const;

export function GroupForm() {
  const [v, setV] = useState(fresh);
  const { create, errors, setErrors, problem } = useNewDevice();
  const set = <K extends keyof Group>(name: K) => (value: Group[K]) => {
    setV((old) => ({ ...old, [name]: value }));
    setErrors((old) => ({ ...old, [name]: "" }));
  };
  const hexField = (name: "dev_eui" | "dev_addr" | "nwkskey" | "appskey", label: string, hint: string) => (
    <TextField label={label} name={name} value={v[name]} onInput={set(name)} error={errors[name]} hint={hint} mono />
  );
  const submit = () => {
    const wrong = check(v);
    setErrors(wrong);
    if (Object.keys(wrong).length === 0) void create(requestOf(v));
  };
  return (
    <>
      <p>
        <a href="#/devices">Devices</a>
      </p>
      <h1>Add a multicast group</h1>
      <Form submit="Add the group" onSubmit={submit} error={problem} more={<a href="#/devices">Cancel</a>}>
        <Card title="Its session">
          <p class="quiet">Give address and keys to the devices of the group, too. Random ones are filled in.</p>
          {hexField("dev_eui", "Name of the group", "16 hex digits, unlike any DevEUI; applications name it in “device”")}
          {hexField("dev_addr", "Address", "8 hex digits")}
          {hexField("nwkskey", "NwkSKey", "32 hex digits")}
          {hexField("appskey", "AppSKey", "32 hex digits")}
          <TextField label="Tags" value={v.tags} onInput={set("tags")} hint="words with commas between them" />
        </Card>
        <Card title="Where its devices listen">
          <Choice label="Class" value={v.dev_class} of={[["C", "C: always"], ["B", "B: in ping slots"]]} onChange={set("dev_class")} />
          {v.dev_class === "B" && <Choice label="Ping slots" value={v.periodicity} of={periods} onChange={set("periodicity")} />}
          <div class="pair">
            <TextField label="Frequency, MHz" value={v.freq} onInput={set("freq")} error={errors.freq} hint={`empty: the region's ${v.dev_class === "B" ? "ping channel" : "RX2"}`} />
            <TextField label="Data rate" value={v.datarate} onInput={set("datarate")} error={errors.datarate} hint="0 to 15; empty: the region's" />
          </div>
          <Choice label="Each frame is sent" value={v.repeat} of={repeats} onChange={set("repeat")} hint="Nobody acknowledges it; devices take a repeated frame once." />
        </Card>
      </Form>
    </>
  );
}

function check(v: Group): Record<string, string> {
  const wrong: Record<string, string> = {};
  for (const [name, n] of [["dev_eui", 16], ["dev_addr", 8], ["nwkskey", 32], ["appskey", 32]] as const) {
    if (!isHex(plainHex(v[name]), n)) wrong[name] = `${n} hex digits are wanted.`;
  }
  if (v.freq && !(Number(v.freq) > 100 && Number(v.freq) < 1000)) wrong.freq = "A frequency in MHz is wanted, such as 869.525.";
  if (v.datarate && !/^(\d|1[0-5])$/.test(v.datarate)) wrong.datarate = "A number from 0 to 15 is wanted.";
  return wrong;
}

function requestOf(v: Group) {
  const where = { ...(v.freq && { freq: Math.round(Number(v.freq) * 1e6) }), ...(v.datarate && { datarate: Number(v.datarate) }) };
  return {
    multicast: true,
    activation: "ABP",
    dev_eui: plainHex(v.dev_eui),
    dev_addr: plainHex(v.dev_addr),
    nwkskey: plainHex(v.nwkskey),
    appskey: plainHex(v.appskey),
    tags: tagList(v.tags),
    dev_class: v.dev_class,
    repeat: Number(v.repeat),
    ...(v.dev_class === "B" ? { ping_slot: { periodicity: Number(v.periodicity), ...where } } : { rx2: where }),
  };
}
