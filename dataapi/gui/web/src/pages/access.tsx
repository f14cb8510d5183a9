// Who may do what: keys, filters, users, connections.
import { Connections } from "./connections";
import { Filters } from "./filters";
import { Keys } from "./keys";
import { Users } from "./users";
import { Tabs } from "../parts/ui";

const tabs: [string, string][] = [
  ["keys", "Keys"],
  ["filters", "Filters"],
  ["connections", "Connections"],
  ["users", "Users"],
];

export function Access(p: { route: string[] }) {
  const at = p.route[1] || "keys";
  return (
    <>
      <h1>Access</h1>
      <Tabs at={at} of={tabs} base="access" />
      {at === "filters" ? <Filters /> : at === "connections" ? <Connections /> : at === "users" ? <Users /> : <Keys />}
    </>
  );
}
