// What can be done to a device.
import { useState } from "preact/hooks";
import { ApiError, del, post } from "../../api";
import { ago, number } from "../../format";
import { messages, send } from "../../live";
import { useAction } from "../../parts/hooks";
import { Card, Problem, Sure } from "../../parts/ui";
import type { Device } from "../../types";

export function Actions(p: { device: Device; onDone: () => void }) {
  const [done, setDone] = useState("");
  const { go, busy, error } = useAction(async (run: () => Promise<string>) => {
    setDone(await run());
    p.onDone();
  });
  const eui = p.device.dev_eui;
  const reset = async () => {
    await post(`/devices/${eui}/reset`);
    return "The counters are reset.";
  };
  const status = async () => {
    if (!send({ type: "status_request", meta: { device: eui } })) throw new ApiError(0, "", "There is no live connection to the gateway.");
    return "Asked; the answer comes with one of its next uplinks.";
  };
  const rejoin = async () => {
    await post(`/devices/${eui}/rejoin`);
    return "It is asked to join again with one of its next downlinks.";
  };
  const remove = async () => {
    await del(`/devices/${eui}`);
    location.hash = "#/devices";
    return "";
  };
  return (
    <Card title="Actions">
      <div class="row">
        {!p.device.multicast && (
          <button disabled={busy} onClick={() => void go(status)}>
            Ask for its status
          </button>
        )}
        {p.device.lorawan_version.startsWith("1.1") && (
          <button disabled={busy} onClick={() => void go(rejoin)}>
            Ask it to join again
          </button>
        )}
        {!p.device.multicast && <Sure label="Reset" question="Counters start afresh, an old frame could be replayed." onSure={() => void go(reset)} disabled={busy} />}
        <Sure label="Delete" question={`Delete ${eui}?`} onSure={() => void go(remove)} disabled={busy} />
      </div>
      {done && <p role="status">{done}</p>}
      <Problem text={error} />
      <StatusLine eui={eui} />
    </Card>
  );
}

function StatusLine(p: { eui: string }) {
  const m = messages.findLast((x) => x.meta.device === p.eui && x.type.startsWith("status"));
  if (!m) return null;
  const b = m.params.battery;
  return (
    <p class="quiet">
      {ago(m.meta.time)}: battery {b === 0 ? "external power" : b === 255 ? "unknown" : `${number(((b ?? 0) / 254) * 100)} %`}, SNR at the device {m.params.snr} dB
    </p>
  );
}
