// A new device, by form or by the text of its QR code.
import { useState } from "preact/hooks";
import { words } from "../api";
import { isHex, plainHex } from "../format";
import { Choice, Form, TextField } from "../parts/form";
import { Card } from "../parts/ui";
import { Scanner } from "../parts/scanner";
import { parseTR005 } from "../tr005";
import { tagList, useNewDevice } from "./newdevice";

const empty = {
  dev_eui: "",
  app_eui: "",
  app_key: "",
  nwk_key: "",
  dev_addr: "",
  nwkskey: "",
  appskey: "",
  tags: "",
  activation: "OTAA" as "OTAA" | "ABP",
  encryption: "NS" as "NS" | "APP",
  dev_class: "A" as "A" | "B" | "C",
  lorawan_version: "1.0.4",
};

const digits: Partial<Record<keyof typeof empty, number>> = { dev_eui: 16, app_eui: 16, app_key: 32, nwk_key: 32, dev_addr: 8, nwkskey: 32, appskey: 32 };

const versions = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0"] as const;

export function DeviceForm() {
  const [v, setV] = useState(empty);
  const { create, errors, setErrors, problem } = useNewDevice();
  const [qr, setQR] = useState("");
  const set = (name: keyof typeof empty) => (value: string) => {
    setV((old) => ({ ...old, [name]: value }));
    setErrors((old) => ({ ...old, [name]: "" }));
  };
  const takeQR = (text: string) => {
    setQR(text);
    if (!text.trim()) return setErrors((old) => ({ ...old, qr: "" }));
    try {
      const label = parseTR005(text);
      setV((old) => ({ ...old, dev_eui: label.devEUI, app_eui: label.joinEUI, activation: "OTAA", tags: [old.tags, label.serial && `serial-${label.serial}`].filter(Boolean).join(", ") }));
      setErrors((old) => ({ ...old, qr: "" }));
    } catch (err) {
      setErrors((old) => ({ ...old, qr: words(err) }));
    }
  };
  const submit = () => {
    const body = requestOf(v);
    const wrong = check(body);
    setErrors(wrong);
    if (Object.keys(wrong).length === 0) void create({ ...body, tags: tagList(v.tags) });
  };
  const hexField = (name: keyof typeof empty, label: string, hint?: string) => (
    <TextField label={label} name={name} value={v[name]} onInput={set(name)} error={errors[name]} hint={hint ?? `${digits[name]} hex digits`} mono />
  );
  const is11 = v.lorawan_version.startsWith("1.1");
  return (
    <>
      <p>
        <a href="#/devices">Devices</a>
      </p>
      <h1>Add a device</h1>
      <Form submit="Add the device" onSubmit={submit} error={problem} more={<a href="#/devices">Cancel</a>}>
        <Card title="From its label">
          <TextField label="Text of the QR code" value={qr} onInput={takeQR} error={errors.qr} hint="LW:D0:JoinEUI:DevEUI:… as the LoRa Alliance's TR005 wants it" mono />
          <Scanner onText={takeQR} />
        </Card>
        <Card title="The device">
          <Choice label="Activation" value={v.activation} of={[["OTAA", "OTAA: it joins"], ["ABP", "ABP: the session is fixed"]]} onChange={set("activation")} />
          {hexField("dev_eui", "DevEUI")}
          {hexField("app_eui", "JoinEUI (AppEUI)")}
          {v.activation === "OTAA" && v.encryption === "NS" && hexField("app_key", "AppKey")}
          {v.activation === "OTAA" && v.encryption === "NS" && is11 && hexField("nwk_key", "NwkKey")}
          {v.activation === "ABP" && (
            <>
              {hexField("dev_addr", "DevAddr")}
              {hexField("nwkskey", "NwkSKey")}
              {v.encryption === "NS" && hexField("appskey", "AppSKey")}
            </>
          )}
          <div class="pair">
            <Choice label="Class" value={v.dev_class} of={[["A", "A"], ["B", "B"], ["C", "C"]]} onChange={set("dev_class")} />
            <Choice label="LoRaWAN" value={v.lorawan_version as (typeof versions)[number]} of={versions.map((x) => [x, x] as const)} onChange={set("lorawan_version")} />
          </div>
          <Choice label="Who holds the keys" value={v.encryption} of={[["NS", "this gateway"], ["APP", "the application"]]} onChange={set("encryption")} hint="With the application, payloads stay encrypted here." />
          <TextField label="Tags" value={v.tags} onInput={set("tags")} error={errors.tags} hint="words with commas between them; the last line of a label" />
        </Card>
      </Form>
    </>
  );
}

type Body = Record<string, string>;

/** What goes to the server: only what this kind of device has. */
function requestOf(v: typeof empty): Body & { dev_eui: string } {
  const names: (keyof typeof empty)[] = ["dev_eui", "app_eui"];
  if (v.activation === "OTAA" && v.encryption === "NS") names.push("app_key");
  if (v.activation === "OTAA" && v.encryption === "NS" && v.lorawan_version.startsWith("1.1")) names.push("nwk_key");
  if (v.activation === "ABP") names.push("dev_addr", "nwkskey");
  if (v.activation === "ABP" && v.encryption === "NS") names.push("appskey");
  const body: Body = { activation: v.activation, encryption: v.encryption, dev_class: v.dev_class, lorawan_version: v.lorawan_version };
  for (const n of names) body[n] = plainHex(v[n]);
  return { ...body, dev_eui: plainHex(v.dev_eui) };
}

function check(body: Body): Record<string, string> {
  const wrong: Record<string, string> = {};
  for (const [name, n] of Object.entries(digits)) {
    const value = body[name];
    if (value !== undefined && !isHex(value, n)) wrong[name] = value === "" ? `Please give ${n} hex digits.` : `${n} hex digits are wanted, here are ${value.length} characters.`;
  }
  return wrong;
}
