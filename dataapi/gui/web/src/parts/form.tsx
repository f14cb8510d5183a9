// What people fill in.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { Problem } from "./ui";

interface FormProps {
  submit: string; // the button's label
  onSubmit: () => void;
  busy?: boolean;
  error?: string;
  class?: string;
  children: ComponentChildren;
  more?: ComponentChildren; // beside the button
}

export function Form(p: FormProps) {
  return (
    <form
      class={p.class ?? "form"}
      onSubmit={(e) => {
        e.preventDefault();
        p.onSubmit();
      }}
    >
      {p.children}
      <Problem text={p.error ?? ""} />
      <div class="row">
        <button class="first" disabled={p.busy}>
          {p.submit}
        </button>
        {p.more}
      </div>
    </form>
  );
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

export function Choice<T extends string>(p: { label: string; value: T; of: readonly (readonly [T, string])[]; onChange: (v: T) => void; hint?: string; error?: string }) {
  return (
    <Field label={p.label} hint={p.hint} error={p.error}>
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
