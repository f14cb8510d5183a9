// Small pieces that pages are made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

export function Card(p: { title?: ComponentChildren; children?: ComponentChildren; class?: string; action?: ComponentChildren }) {
  return (
    <section class={`card ${p.class ?? ""}`}>
      {p.title !== undefined && (
        <div class="row between">
          <h2>{p.title}</h2>
          {p.action}
        </div>
      )}
      {p.children}
    </section>
  );
}

export function Facts(p: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {p.of
        .filter(([, v]) => v !== undefined && v !== "" && v !== null)
        .map(([k, v]) => (
          <>
            <dt>{k}</dt>
            <dd>{v}</dd>
          </>
        ))}
    </dl>
  );
}

export function Problem(p: { text: string }) {
  return p.text ? (
    <p class="note bad" role="alert">
      {p.text}
    </p>
  ) : null;
}

export function Field(p: { label: string; hint?: string; error?: string; children: (id: string) => JSX.Element }) {
  const id = useId();
  return (
    <label class="field" for={id}>
      <span>{p.label}</span>
      {p.children(id)}
      {p.error ? <small class="bad">{p.error}</small> : p.hint && <small>{p.hint}</small>}
    </label>
  );
}

export function TextField(p: {
  label: string;
  value: string;
  onInput: (v: string) => void;
  hint?: string;
  error?: string;
  type?: "text" | "password" | "email" | "search";
  placeholder?: string;
  autocomplete?: string;
  required?: boolean;
  mono?: boolean;
  name?: string;
}) {
  return (
    <Field label={p.label} hint={p.hint} error={p.error}>
      {(id) => (
        <input
          id={id}
          name={p.name}
          type={(p.type ?? "text") as "text"}
          class={p.mono ? "mono" : ""}
          value={p.value}
          placeholder={p.placeholder}
          autocomplete={p.autocomplete ?? "off"}
          spellcheck={false}
          required={p.required}
          aria-invalid={p.error ? "true" : undefined}
          onInput={(e) => p.onInput(e.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function Choice<T extends string>(p: { label: string; value: T; of: readonly (readonly [T, string])[]; onChange: (v: T) => void; hint?: string }) {
  return (
    <Field label={p.label} hint={p.hint}>
      {(id) => (
        <select id={id} value={p.value} onChange={(e) => p.onChange(e.currentTarget.value as T)}>
          {p.of.map(([v, text]) => (
            <option key={v} value={v}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Check(p: { label: ComponentChildren; checked: boolean; onChange: (v: boolean) => void }) {
  const id = useId();
  return (
    <label class="check" for={id}>
      <input id={id} type="checkbox" checked={p.checked} onChange={(e) => p.onChange(e.currentTarget.checked)} />
      <span>{p.label}</span>
    </label>
  );
}

export function Copy(p: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(p.text); // secure contexts only
    } catch {
      const area = document.createElement("textarea");
      area.value = p.text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" onClick={copy} aria-live="polite">
      {done ? "Copied" : (p.label ?? "Copy")}
    </button>
  );
}

export function Code(p: { text: string; copy?: boolean; id?: string }) {
  return (
    <div class="row">
      <pre class={`grow ${p.copy === false ? "" : "broken"}`} id={p.id} tabIndex={p.copy === false ? 0 : undefined}>
        {p.text}
      </pre>
      {p.copy !== false && <Copy text={p.text} />}
    </div>
  );
}

export function Tabs(p: { at: string; of: [string, string][]; base: string }) {
  return (
    <div class="tabs" role="navigation" aria-label="Sections">
      {p.of.map(([id, text]) => (
        <a key={id} href={`#/${p.base}/${id}`} aria-current={p.at === id ? "page" : undefined}>
          {text}
        </a>
      ))}
    </div>
  );
}

export function Dialog(p: { title: string; onClose: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  return (
    <dialog ref={ref} onClose={p.onClose} aria-labelledby={id}>
      <div class="row between">
        <h2 id={id}>{p.title}</h2>
        <button type="button" aria-label="Close" onClick={() => ref.current?.close()}>
          ×
        </button>
      </div>
      {p.children}
    </dialog>
  );
}

/** A button that asks before it does something that can't be undone. */
export function Sure(p: { label: string; question: string; onSure: () => void; disabled?: boolean }) {
  const [asking, setAsking] = useState(false);
  if (!asking) {
    return (
      <button type="button" class="danger" disabled={p.disabled} onClick={() => setAsking(true)}>
        {p.label}
      </button>
    );
  }
  return (
    <span class="row" role="group" aria-label={p.question}>
      <span>{p.question}</span>
      <button
        type="button"
        class="danger"
        onClick={() => {
          setAsking(false);
          p.onSure();
        }}
      >
        Yes, {p.label.toLowerCase()}
      </button>
      <button type="button" onClick={() => setAsking(false)}>
        No
      </button>
    </span>
  );
}

export const Tags = (p: { of: string[] }) => (
  <>
    {p.of.map((t) => (
      <span key={t} class="tag">
        {t}
      </span>
    ))}
  </>
);
