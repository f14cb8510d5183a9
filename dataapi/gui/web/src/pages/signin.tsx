// The door: a sign-in, or on the first start the first user.
import { useState } from "preact/hooks";
import { get, post } from "../api";
import { useAction, useLoad } from "../parts/hooks";
import { Form, TextField } from "../parts/form";

interface Setup {
  needed: boolean;
  code: boolean;
}

export function SignIn(p: { onDone: () => void }) {
  const { value, error } = useLoad((s) => get<{ setup: Setup }>("/setup", s));
  document.title = "gatewayd";
  if (!value && !error) return <p class="boot">gatewayd …</p>;
  return (
    <main class="center">
      <h1>gatewayd</h1>
      {value?.setup.needed ? <FirstUser code={value.setup.code} onDone={p.onDone} /> : <Door onDone={p.onDone} />}
    </main>
  );
}

const forgotten = (
  <span class="quiet">
    Forgotten? On the gateway: <code>gatewayd user --help</code>
  </span>
);

function Door(p: { onDone: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { go, busy, error } = useAction(async () => {
    await post("/auth", { email: email.trim(), password });
    p.onDone();
  });
  return (
    <Form class="card" submit="Sign in" onSubmit={() => void go()} busy={busy} error={error} more={forgotten}>
      <TextField label="Email" name="email" value={email} onInput={setEmail} autocomplete="username" required />
      <TextField label="Password" name="password" type="password" value={password} onInput={setPassword} autocomplete="current-password" required />
    </Form>
  );
}

function FirstUser(p: { code: boolean; onDone: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [code, setCode] = useState("");
  const { go, busy, error, setError } = useAction(async () => {
    await post("/setup", { email: email.trim(), password, ...(p.code ? { code: code.trim() } : {}) });
    location.hash = "#/welcome";
    p.onDone();
  });
  return (
    <Form class="card" submit="Begin" onSubmit={() => (password !== again ? setError("The two passwords differ.") : void go())} busy={busy} error={error}>
      <h2>Welcome. Who looks after this gateway?</h2>
      <p class="quiet">You become its administrator. Nothing leaves this gateway: the email is just your name here.</p>
      {p.code && <TextField label="Setup code" name="code" value={code} onInput={setCode} hint="from the gateway's log, in the line “no user yet”" mono required />}
      <TextField label="Email" name="email" value={email} onInput={setEmail} autocomplete="username" required />
      <TextField label="Password" name="password" type="password" value={password} onInput={setPassword} autocomplete="new-password" hint="8 characters at least" required />
      <TextField label="The password again" name="again" type="password" value={again} onInput={setAgain} autocomplete="new-password" required />
    </Form>
  );
}
