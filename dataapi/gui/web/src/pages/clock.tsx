// The gateway's clock against the browser's. It never decides when something
// is sent, but it dates what was heard.
import { get, post } from "../api";
import { date, seconds } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem } from "../parts/ui";
import type { SystemState } from "./system";

const tolerable = 2; // s

const qualities: Record<string, string> = {
  none: "nobody keeps it",
  host: "nobody keeps it",
  "host-disciplined": "kept by a time server",
  gnss: "kept by satellites",
};

export function Clock() {
  const { value, reload } = useLoad(async (s) => {
    const before = Date.now();
    const { system } = await get<{ system: SystemState }>("/system", s);
    return { ...system.time, off: system.time.now - (before + Date.now()) / 2000 };
  }, [], 10_000);
  const set = useAction(async () => {
    await post("/system/time", { time: Date.now() / 1000 });
    reload();
  });
  if (!value) return null;
  const wrong = Math.abs(value.off) > tolerable;
  return (
    <Card title="Clock">
      <p>
        {date(value.now)}, {qualities[value.quality] ?? value.quality}
        {value.error > 0 && <span class="quiet"> (± {seconds(value.error)})</span>}
        {wrong ? (
          <span class="warn">
            ; {seconds(Math.abs(value.off))} {value.off < 0 ? "behind" : "ahead of"} this computer
          </span>
        ) : (
          <span class="good">; agrees with this computer</span>
        )}
        .
      </p>
      {wrong && (
        <button type="button" disabled={set.busy || !value.settable} onClick={() => void set.go()}>
          Take this computer's time
        </button>
      )}
      {wrong && !value.settable && <p class="quiet">gatewayd may not set the clock here; the operating system's settings do.</p>}
      <p class="quiet">No transmission goes by this clock.</p>
      <Problem text={set.error} />
    </Card>
  );
}
