import { useState } from "preact/hooks";
import { patch, post } from "../api";
import { date } from "../format";
import { Form, TextField } from "../parts/form";
import { useAction, useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";
import type { User } from "../types";

export function Users() {
  const users = useList<User>("/users");
  return (
    <>
      <NewUser onMade={users.reload} />
      <Problem text={users.error} />
      <Card title="Users" class="scroll">
        <Table
          of={users.items}
          id={(u) => u.id}
          empty="Nobody may sign in."
          columns={[
            { head: "Email", class: "wrap", cell: (u) => u.email },
            { head: "Since", class: "hide-small", cell: (u) => date(u.created) },
            { head: "Password", cell: (u) => <NewPassword of={u} /> },
          ]}
          removal={{ label: "Delete", question: "Its sessions end at once.", run: (u) => users.remove(u.id) }}
        />
      </Card>
    </>
  );
}

function NewUser(p: { onMade: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const create = useAction(async () => {
    await post("/users", { email: email.trim(), password });
    setEmail("");
    setPassword("");
    p.onMade();
  });
  return (
    <Card title="New user">
      <Form submit="Add the user" onSubmit={() => void create.go()} busy={create.busy} error={create.error}>
        <TextField label="Email" value={email} onInput={setEmail} required />
        <TextField label="Password" type="password" value={password} onInput={setPassword} autocomplete="new-password" hint="8 characters at least" required />
      </Form>
    </Card>
  );
}

function NewPassword(p: { of: User }) {
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState("");
  const { go, busy, error } = useAction(async () => {
    await patch(`/users/${p.of.id}`, { password });
    setOpen(false);
    setPassword("");
  });
  if (!open) {
    return (
      <button type="button" onClick={() => setOpen(true)}>
        Change
      </button>
    );
  }
  return (
    <Form class="row" submit="Save" onSubmit={() => void go()} busy={busy} error={error}>
      <input type="password" aria-label={`New password of ${p.of.email}`} autocomplete="new-password" value={password} onInput={(e) => setPassword(e.currentTarget.value)} class="short" />
    </Form>
  );
}
