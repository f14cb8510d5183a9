// The gateway's clock against the browser's. It never decides when something
// is sent, but it dates what was heard.
import { get, put } from "../api";
import { date, seconds } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Problem } from "../parts/ui";

interface ClockState {
  time: number;
  quality: string;
  message?: string;
}

const tolerable = 2; // s

export function Clock() {
  const { value, reload } = useLoad(async (s) => {
    const before = Date.now();
    const { clock } = await get<{ clock: ClockState }>("/system/clock", s).catch(() => ({ clock: null }));
    return clock && { ...clock, off: clock.time - (before + Date.now()) / 2000 };
  }, [], 10_000);
  const set = useAction(async () => {
    await put("/system/clock", { time: Date.now() / 1000 });
    reload();
  });
  if (!value) return null;
  const wrong = Math.abs(value.off) > tolerable;
  return (
    <Card title="Clock">
      <p>
        The gateway says {date(value.time)} <span class="quiet">({value.quality})</span>
        {wrong && <span class="warn">, {seconds(Math.abs(value.off))} {value.off < 0 ? "behind" : "ahead of"} this computer</span>}.
      </p>
      {wrong && (
        <button type="button" disabled={set.busy} onClick={() => void set.go()}>
          Take this computer's time
        </button>
      )}
      <Problem text={set.error} />
    </Card>
  );
}
