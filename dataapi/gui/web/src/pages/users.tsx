import { useState } from "preact/hooks";
import { del, get, patch, post } from "../api";
import { date } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem, Sure, TextField } from "../parts/ui";
import type { User } from "../types";

export function Users() {
  const { value, error, reload } = useLoad((s) => get<{ users: User[] }>("/users", s));
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const create = useAction(async () => {
    await post("/users", { email: email.trim(), password });
    setEmail("");
    setPassword("");
    reload();
  });
  const remove = useAction(async (id: string) => {
    await del(`/users/${id}`);
    reload();
  });
  return (
    <>
      <Problem text={error || remove.error} />
      <Card title="Users" class="scroll">
        <table>
          <thead>
            <tr>
              <th>Email</th>
              <th class="hide-small">Since</th>
              <th>
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {value?.users.map((u) => (
              <tr key={u.id}>
                <td class="wrap">{u.email}</td>
                <td class="hide-small">{date(u.created)}</td>
                <td class="num">
                  <NewPassword of={u} />
                  <Sure label="Delete" question="Its sessions end at once." onSure={() => void remove.go(u.id)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Card>
      <Card title="New user">
        <form
          class="form"
          onSubmit={(e) => {
            e.preventDefault();
            void create.go();
          }}
        >
          <TextField label="Email" value={email} onInput={setEmail} required />
          <TextField label="Password" type="password" value={password} onInput={setPassword} autocomplete="new-password" hint="8 characters at least" required />
          <Problem text={create.error} />
          <button class="first" disabled={create.busy}>
            Add the user
          </button>
        </form>
      </Card>
    </>
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
        New password
      </button>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(e) => {
        e.preventDefault();
        void go();
      }}
    >
      <input type="password" aria-label={`New password of ${p.of.email}`} autocomplete="new-password" value={password} onInput={(e) => setPassword(e.currentTarget.value)} style={{ width: "12rem" }} />
      <button disabled={busy}>Save</button>
      <Problem text={error} />
    </form>
  );
}
