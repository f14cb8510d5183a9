// Why no downlink, why no join.
import { optional } from "../../api";
import { ago, mhz, seconds } from "../../format";
import { messages } from "../../live";
import { useLoad } from "../../parts/hooks";
import { Card } from "../../parts/ui";

interface Explanation {
  summary: string;
  windows: { name: string; start: number; deadline: number; freq: number; datarate: number; power: number; max_size: number; why: string; free_at: number | null }[] | null;
  mac: { asked: string[] | null; resting: string[] | null };
}

export function Explain(p: { eui: string }) {
  const { value } = useLoad((s) => optional<{ explanation: Explanation }>(`/devices/${p.eui}/explain`, s), [p.eui], 5000);
  const x = value?.explanation;
  const lastProblem = messages.findLast((m) => m.meta.device === p.eui && (m.type === "error" || m.type === "warning"));
  return (
    <Card title="Why?">
      {x && <p>{x.summary}</p>}
      {x?.windows?.map((w) => (
        <p key={w.name}>
          <strong>{w.name}</strong> {mhz(w.freq / 1e6)} MHz, DR{w.datarate}, {w.power} dBm, at most {w.max_size} bytes: {w.why ? <span class="warn">{w.why}</span> : <span class="good">can be used</span>}
          {w.free_at ? ` – free ${seconds(w.free_at - Date.now() / 1000)} from now` : ""}
        </p>
      ))}
      {x?.mac.asked?.length ? <p class="quiet">Asked of the device: {x.mac.asked.join("; ")}</p> : null}
      {x?.mac.resting?.length ? <p class="quiet">Refused by the device: {x.mac.resting.join("; ")}</p> : null}
      {lastProblem && (
        <p class="note warn">
          {ago(lastProblem.meta.time)}: {lastProblem.params.message}
        </p>
      )}
      {!x && !lastProblem && <p class="quiet">Nothing went wrong lately.</p>}
    </Card>
  );
}
