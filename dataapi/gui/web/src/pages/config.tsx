// The configuration file, key by key; a change is taken at the next start.
import { useState } from "preact/hooks";
import { get, patch, post } from "../api";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem } from "../parts/ui";

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

/** The keys that `wanted` names, in that order; all by section without it. */
export function Config(p: { wanted?: string[]; title?: string }) {
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
            <Entry key={k.key} of={k} value={changed[k.key] ?? k.value} disabled={!!c.writable} onChange={(v) => setChanged({ ...changed, [k.key]: v })} />
          ))}
        </Card>
      ))}
      <Problem text={save.error || restart.error} />
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
    </>
  );
}

function Entry(p: { of: ConfigKey; value: Value; disabled: boolean; onChange: (v: Value) => void }) {
  const k = p.of;
  const id = `key-${k.key.replace(".", "-")}`;
  const kind = typeof k.default;
  return (
    <label class="field" for={id}>
      <span>
        <code>{k.key}</code> {p.value !== k.default && <span class="tag">changed</span>}
      </span>
      {kind === "boolean" ? (
        <input id={id} type="checkbox" checked={p.value === true} disabled={p.disabled} onChange={(e) => p.onChange(e.currentTarget.checked)} />
      ) : k.choices?.length ? (
        <select id={id} value={String(p.value)} disabled={p.disabled} onChange={(e) => p.onChange(e.currentTarget.value)}>
          {(k.choices.includes(String(p.value)) ? k.choices : [String(p.value), ...k.choices]).map((o) => (
            <option key={o} value={o}>
              {o}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          value={String(p.value)}
          disabled={p.disabled}
          spellcheck={false}
          onInput={(e) => {
            const text = e.currentTarget.value;
            p.onChange(kind === "number" && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
          }}
        />
      )}
      <small>{k.meaning}</small>
    </label>
  );
}
