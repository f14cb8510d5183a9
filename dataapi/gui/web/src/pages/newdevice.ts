// Making a device or a group: the request, and its errors beside their fields.
import { useState } from "preact/hooks";
import { ApiError, post, words } from "../api";

/** The words of a field that wants several. */
export const tagList = (text: string) => text.split(/[,\s]+/).filter(Boolean);

export const randomHex = (bytes: number) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((b) => b.toString(16).padStart(2, "0")).join("");

export function useNewDevice() {
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [problem, setProblem] = useState("");
  const create = async (body: { dev_eui: string; tags: string[] }) => {
    setProblem("");
    try {
      await post("/devices", body);
      location.hash = `#/devices/${body.dev_eui}`;
    } catch (err) {
      const field = err instanceof ApiError ? err.field : "";
      if (field && field in body && !field.includes(".")) setErrors({ [field]: words(err) });
      else setProblem(words(err));
    }
  };
  return { create, errors, setErrors, problem };
}
