import { useState } from "preact/hooks";
import { post } from "../api";
import { useAction } from "../parts/hooks";
import { Problem, TextField } from "../parts/ui";

export function SignIn(p: { onDone: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { go, busy, error } = useAction(async () => {
    await post("/auth", { email: email.trim(), password });
    p.onDone();
  });
  document.title = "Sign in – gatewayd";
  return (
    <main class="center">
      <h1>gatewayd</h1>
      <form
        class="card"
        onSubmit={(e) => {
          e.preventDefault();
          void go();
        }}
      >
        <TextField label="Email" name="email" value={email} onInput={setEmail} autocomplete="username" required />
        <TextField label="Password" name="password" type="password" value={password} onInput={setPassword} autocomplete="current-password" required />
        <Problem text={error} />
        <button class="first" disabled={busy}>
          Sign in
        </button>
      </form>
      <p class="quiet">
        No user yet? On the gateway: <code>gatewayd user add --email YOU@EXAMPLE.ORG</code>
      </p>
    </main>
  );
}
