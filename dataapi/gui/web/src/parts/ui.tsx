// Small pieces that pages are made of.
import type { ComponentChildren } from "preact";
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
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close(); // what had the focus has it again
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
