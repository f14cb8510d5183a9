// The configuration file, key by key; a change is taken at the next start.
import { useState } from "preact/hooks";
import { get, patch, post } from "../api";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem } from "../parts/ui";
import type { Offer } from "./offers";

type Value = string | number | boolean;

interface ConfigKey {
  key: string;
  meaning: string;
  default: Value;
  value: Value;
  choices?: string[];
}

interface Configuration {
  path: string;
  writable: string;
  keys: ConfigKey[];
}

interface ConfigProps {
  /** These keys alone, in this order; without them all, by section. */
  wanted?: string[];
  title?: string;
  offers?: Record<string, Offer>;
}

export function Config(p: ConfigProps) {
  const { value, error, reload } = useLoad((s) => get<{ config: Configuration }>("/system/config", s));
  const [changed, setChanged] = useState<Record<string, Value>>({});
  const [saved, setSaved] = useState(false);
  const save = useAction(async () => {
    await patch("/system/config", changed);
    setChanged({});
    setSaved(true);
    reload();
  });
  const restart = useAction(async () => {
    await post("/system/restart");
    setSaved(false);
  });
  const c = value?.config;
  if (!c) return <Problem text={error} />;
  const keys = p.wanted ? p.wanted.flatMap((k) => c.keys.find((x) => x.key === k) ?? []) : c.keys;
  const sections = p.wanted ? new Map([[p.title ?? "", keys]]) : Map.groupBy(keys, (k) => k.key.split(".")[0]!);
  return (
    <>
      {!p.wanted && <p class="quiet">{c.path ? `In ${c.path}.` : "There is no file: these are the defaults."} A change is taken at the next start.</p>}
      {c.writable && <p class="note">{c.writable}</p>}
      {[...sections].map(([section, list]) => (
        <Card key={section} title={section}>
          {list.map((k) => (
            <Entry key={k.key} of={k} value={changed[k.key] ?? k.value} disabled={!!c.writable} offer={p.offers?.[k.key]} onChange={(v) => setChanged({ ...changed, [k.key]: v })} />
          ))}
        </Card>
      ))}
      <Problem text={save.error || restart.error} />
      {!c.writable && (
        <div class="row">
          <button type="button" class="first" disabled={!Object.keys(changed).length || save.busy} onClick={() => void save.go()}>
            Save {Object.keys(changed).length || ""}
          </button>
          {saved && (
            <>
              <span class="good" role="status">
                Saved; it is taken at the next start.
              </span>
              <button type="button" disabled={restart.busy} onClick={() => void restart.go()}>
                Restart now
              </button>
            </>
          )}
        </div>
      )}
    </>
  );
}

interface EntryProps {
  of: ConfigKey;
  value: Value;
  disabled: boolean;
  offer?: Offer;
  onChange: (v: Value) => void;
}

function Entry(p: EntryProps) {
  const k = p.of;
  const id = `key-${k.key.replace(".", "-")}`;
  const { value, why } = p.offer ?? {};
  const offered = value !== undefined && value !== p.value && k.choices?.includes(value) && !p.disabled;
  return (
    <div class="field">
      <label for={id}>
        {p.offer?.label ?? <code>{k.key}</code>} {p.value !== k.default && <span class="tag">not the default</span>}
      </label>
      <Input {...p} id={id} />
      <small>{k.meaning}</small>
      {why && (value === undefined || offered) && (
        <p class="note">
          {why}{" "}
          {offered && (
            <button type="button" onClick={() => p.onChange(value)}>
              Take {value}
            </button>
          )}
        </p>
      )}
    </div>
  );
}

/** What a key of this kind is filled in with. */
function Input(p: EntryProps & { id: string }) {
  const { id, disabled, of: k } = p;
  const kind = typeof k.default;
  const now = String(p.value);
  if (kind === "boolean") return <input id={id} type="checkbox" checked={p.value === true} disabled={disabled} onChange={(e) => p.onChange(e.currentTarget.checked)} />;
  if (k.choices?.length) {
    const groups: NonNullable<Offer["groups"]> = p.offer?.groups ?? [["", k.choices]];
    const option = (o: string) => (
      <option key={o} value={o}>
        {p.offer?.names?.has(o) ? `${o}: ${p.offer.names.get(o)}` : o}
      </option>
    );
    return (
      <select id={id} value={now} disabled={disabled} onChange={(e) => p.onChange(e.currentTarget.value)}>
        {!k.choices.includes(now) && option(now)}
        {groups.map(([title, list]) => (title ? <optgroup key={title} label={title}>{list.map(option)}</optgroup> : list.map(option)))}
      </select>
    );
  }
  const read = (text: string) => (kind === "number" && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  return <input id={id} value={now} disabled={disabled} spellcheck={false} onInput={(e) => p.onChange(read(e.currentTarget.value))} />;
}
