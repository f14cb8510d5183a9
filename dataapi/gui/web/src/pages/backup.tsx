export function Backup() {
  return <p class="quiet">Backups are made on the command line: <code>gatewayd backup --help</code>.</p>;
}
