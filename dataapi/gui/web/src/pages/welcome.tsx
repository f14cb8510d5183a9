// The first minutes: the gateway's facts, the first key, the first device.
import { useState } from "preact/hooks";
import { get } from "../api";
import { useLoad } from "../parts/hooks";
import { Card, Code, Facts } from "../parts/ui";
import type { Device, Gateway, Key } from "../types";
import { Clock } from "./clock";
import { Config } from "./config";
import { KeyForm, TryIt } from "./keys";
import { useOffers } from "./offers";

const steps = ["The gateway", "The first key", "The first device"];

export function Welcome() {
  const [at, setAt] = useState(0);
  const [key, setKey] = useState<Key | null>(null);
  document.title = "Welcome – gatewayd";
  return (
    <main class="center wide">
      <h1>Welcome to gatewayd</h1>
      <ol class="steps">
        {steps.map((s, i) => (
          <li key={s} aria-current={i === at ? "step" : undefined}>
            {i + 1}. {s}
          </li>
        ))}
      </ol>
      {at === 0 && <TheGateway />}
      {at === 1 && (
        <>
          <p>An application connects with a key. Make one and try it: a copy of the line below, in a terminal, hears your devices.</p>
          {key ? (
            <Card title="Your key">
              <p>It is shown once; the gateway keeps only a hash of it.</p>
              <Code id="token" text={key.access_token ?? ""} />
              <TryIt token={key.access_token ?? ""} />
            </Card>
          ) : (
            <Card title="New key">
              <KeyForm onDone={setKey} />
            </Card>
          )}
        </>
      )}
      {at === 2 && <FirstDevice />}
      <div class="row between">
        <button type="button" disabled={at === 0} onClick={() => setAt(at - 1)}>
          Back
        </button>
        {at < steps.length - 1 ? (
          <button type="button" class={at === 1 && !key ? "" : "first"} onClick={() => setAt(at + 1)}>
            {at === 1 && !key ? "Later" : "Go on"}
          </button>
        ) : (
          <a class="button" href="#/live">
            To the live air
          </a>
        )}
      </div>
    </main>
  );
}

function TheGateway() {
  const offers = useOffers();
  const { value } = useLoad((s) => get<{ gateways: Gateway[] }>("/gateways", s), [], 5000);
  const g = value?.gateways[0];
  return (
    <>
      <Card title="This gateway">
        {g ? (
          <Facts
            of={[
              ["EUI", <code>{g.eui}</code>],
              ["Region", g.band],
              ["Radio", g.online ? <span class="good">works</span> : <span class="bad">doesn't work: see “System”</span>],
            ]}
          />
        ) : (
          <p class="note warn">There is no concentrator yet. The page “System” says what is wrong.</p>
        )}
      </Card>
      <Config wanted={["region.name", "concentrator.driver", "concentrator.board"]} title="Where it is, and what it is made of" offers={offers} />
      <p />
      <Clock />
    </>
  );
}

function FirstDevice() {
  const { value } = useLoad((s) => get<{ devices: Device[]; total: number }>("/devices?limit=1", s), [], 3000);
  if (value && value.total > 0) {
    return (
      <p class="note">
        {value.total} {value.total === 1 ? "device is" : "devices are"} known already. <a href="#/devices">Look at them.</a>
      </p>
    );
  }
  return (
    <Card title="The first device">
      <p>
        <a class="button" href="#/devices/new">
          By form or QR code
        </a>{" "}
        <a class="button" href="#/devices/import">
          From a file
        </a>
      </p>
      <p class="quiet">Then switch it on: its join shows in the live air.</p>
    </Card>
  );
}
