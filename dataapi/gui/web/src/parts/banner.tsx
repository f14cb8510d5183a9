// A red line on every page while the laboratory bends the network.
import { ApiError, get, post } from "../api";
import { useAction, useLoad } from "./hooks";

interface Fault {
  id: number;
  kind: string;
  device: string;
  hits: number;
}

export function LabBanner() {
  const { value, reload } = useLoad(
    async (s) => {
      try {
        return (await get<{ lab: { faults: Fault[] } }>("/lab", s)).lab.faults;
      } catch (err) {
        if (err instanceof ApiError && err.status < 500) return []; // no laboratory, or not for this user
        throw err;
      }
    },
    [],
    5000,
  );
  const disarm = useAction(async () => {
    await post("/lab/verbs/disarm");
    reload();
  });
  if (!value?.length) return null;
  return (
    <div class="banner row between" role="alert">
      <span>
        Laboratory: {value.length} {value.length === 1 ? "fault is" : "faults are"} armed ({[...new Set(value.map((f) => f.kind))].join(", ")}). What you see is bent on purpose.
      </span>
      <button type="button" disabled={disarm.busy} onClick={() => void disarm.go()}>
        Disarm all
      </button>
    </div>
  );
}
