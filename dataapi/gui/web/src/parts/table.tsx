// A table of one kind of thing, a column each of what is known of it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Dialog, Sure } from "./ui";

export interface Column<T> {
  head: ComponentChildren;
  cell: (row: T) => ComponentChildren;
  /** Of head and cells: num, wrap, mono, hide-small. */
  class?: string | ((row: T) => string);
  /** How the rows are sorted by it. */
  sort?: "ascending" | "descending" | "none";
}

/** How a row's thing is changed: the form that does it calls onDone at its end. */
interface Change<T> {
  title: string;
  form: (row: T, onDone: () => void) => ComponentChildren;
  done: () => void;
}

/** How a row's thing is taken away. */
interface Removal<T> {
  label: string;
  question: string;
  run: (row: T) => void;
}

interface TableProps<T> {
  of: readonly T[] | undefined;
  id: (row: T) => string | number;
  columns: Column<T>[];
  change?: Change<T>;
  removal?: Removal<T>;
  empty: ComponentChildren;
}

export function Table<T>(p: TableProps<T>) {
  if (!p.of) return null;
  if (p.of.length === 0) return <p class="empty">{p.empty}</p>;
  const looks = (c: Column<T>, row?: T) => (typeof c.class === "function" ? (row ? c.class(row) : "") : c.class);
  return (
    <table>
      <thead>
        <tr>
          {p.columns.map((c, i) => (
            <th key={i} class={looks(c)} aria-sort={c.sort}>
              {c.head}
            </th>
          ))}
          {(p.change || p.removal) && (
            <th>
              <span class="unseen">Actions</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {p.of.map((row) => (
          <tr key={p.id(row)}>
            {p.columns.map((c, i) => (
              <td key={i} class={looks(c, row)}>
                {c.cell(row)}
              </td>
            ))}
            {(p.change || p.removal) && (
              <td>
                <div class="row end">
                  {p.change && <Changing of={row} {...p.change} />}
                  {p.removal && <Sure label={p.removal.label} question={p.removal.question} onSure={() => p.removal!.run(row)} />}
                </div>
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Changing<T>(p: Change<T> & { of: T }) {
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Change
      </button>
      {open && (
        <Dialog title={p.title} onClose={close}>
          {p.form(p.of, () => {
            close();
            p.done();
          })}
        </Dialog>
      )}
    </>
  );
}
