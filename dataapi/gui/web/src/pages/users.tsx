import { save } from "../api";
import { date } from "../format";
import { Form, TextField } from "../parts/form";
import { useForm, useList } from "../parts/hooks";
import { Table } from "../parts/table";
import { Card, Problem } from "../parts/ui";
import type { User } from "../types";

export function Users() {
  const users = useList<User>("/users");
  return (
    <>
      <Card title="New user">
        <UserForm onDone={users.reload} />
      </Card>
      <Problem text={users.error} />
      <Card title="Users" class="scroll">
        <Table
          of={users.items}
          id={(u) => u.id}
          empty="Nobody may sign in."
          columns={[
            { head: "Email", class: "wrap", cell: (u) => u.email },
            { head: "Name", class: "wrap", cell: (u) => u.name },
            { head: "Since", class: "hide-small", cell: (u) => date(u.created) },
          ]}
          change={{ title: "Change the user", form: (u, onDone) => <UserForm of={u} onDone={onDone} />, done: users.reload }}
          removal={{ label: "Delete", question: "Its sessions end at once.", run: (u) => users.remove(u.id) }}
        />
      </Card>
    </>
  );
}

/** Adds a user, or changes the one that it is of. */
function UserForm(p: { of?: User; onDone: () => void }) {
  const { text, form } = useForm({ email: p.of?.email ?? "", name: p.of?.name ?? "", password: "" }, async ({ password, ...v }) => {
    await save("/users", p.of?.id, { ...v, ...(password && { password }) });
    p.onDone();
  });
  return (
    <Form submit={p.of ? "Save" : "Add the user"} {...form}>
      {p.of && <p class="quiet">Who gets another email or password has to sign in again.</p>}
      <TextField label="Email" {...text("email")} required />
      <TextField label="Name" {...text("name")} />
      <TextField label={p.of ? "New password" : "Password"} type="password" {...text("password")} autocomplete="new-password" hint={p.of ? "8 characters at least; empty: it stays" : "8 characters at least"} required={!p.of} />
    </Form>
  );
}
