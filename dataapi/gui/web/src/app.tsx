// The shell: who is signed in, which page is shown.
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, onSignedOut, words } from "./api";
import * as live from "./live";
import { LabBanner } from "./parts/banner";
import { useRoute } from "./parts/hooks";
import { Access } from "./pages/access";
import { Devices } from "./pages/devices";
import { Live } from "./pages/live";
import { RadioPage } from "./pages/radio";
import { SignIn } from "./pages/signin";
import { System } from "./pages/system";
import { TimingPage } from "./pages/timing";
import { Welcome } from "./pages/welcome";

const pages: Record<string, { title: string; page: (p: { route: string[] }) => preact.JSX.Element }> = {
  live: { title: "Live air", page: Live },
  timing: { title: "Timing", page: TimingPage },
  devices: { title: "Devices", page: Devices },
  access: { title: "Access", page: Access },
  radio: { title: "Radio", page: RadioPage },
  system: { title: "System", page: System },
};

type Who = "asking" | "nobody" | "somebody" | "unreachable";

export function App() {
  const [who, setWho] = useState<Who>("asking");
  const [problem, setProblem] = useState("");
  const route = useRoute();
  const ask = () =>
    get("/me")
      .then(() => setWho("somebody"))
      .catch((err) => {
        if (err instanceof ApiError && err.status === 401) return setWho("nobody");
        setProblem(words(err));
        setWho("unreachable");
      });
  useEffect(() => {
    onSignedOut(() => setWho("nobody"));
    void ask();
  }, []);
  useEffect(() => {
    if (who === "somebody") live.start();
    else live.stop();
  }, [who]);

  if (who === "asking") return <p class="boot">gatewayd …</p>;
  if (who === "unreachable") {
    return (
      <div class="center">
        <p class="note bad">{problem}</p>
        <button onClick={() => void ask()}>Try again</button>
      </div>
    );
  }
  if (who === "nobody") return <SignIn onDone={() => setWho("somebody")} />;
  if (route[0] === "welcome") return <Welcome />;
  const name = route[0] && pages[route[0]] ? route[0] : "live";
  const { page: Page, title } = pages[name]!;
  document.title = `${title} – gatewayd`;
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <LabBanner />
      <div class="shell">
        <nav class="main" aria-label="Pages">
          <div class="brand">
            <img src="icon.svg" width="24" height="24" alt="" /> gatewayd
          </div>
          <div class="links">
            {Object.entries(pages).map(([id, p]) => (
              <a key={id} href={`#/${id}`} aria-current={id === name ? "page" : undefined}>
                {p.title}
              </a>
            ))}
          </div>
          <div class="end">
            <Link />
            <button class="link" onClick={() => void signOut(() => setWho("nobody"))}>
              Sign out
            </button>
          </div>
        </nav>
        <main id="content" tabIndex={-1}>
          <Page route={route} key={name} />
        </main>
      </div>
    </>
  );
}

async function signOut(done: () => void) {
  try {
    await get("/logout");
  } finally {
    done();
  }
}

const linkWords: Record<live.LinkState, [string, string]> = {
  live: ["good", "live"],
  connecting: ["quiet", "connecting"],
  away: ["quiet", "away"],
  lost: ["bad", "no connection"],
};

function Link() {
  const [look, text] = linkWords[live.link.value];
  return (
    <p class={`dot ${look}`} role="status">
      {text}
    </p>
  );
}
