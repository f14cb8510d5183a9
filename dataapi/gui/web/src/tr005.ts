// The text on a device's label, as LoRa Alliance TR005 defines it:
// LW:D0:<JoinEUI>:<DevEUI>:<ProfileID>[:O<OwnerToken>][:S<Serial>][:P<Proprietary>][:C<CheckSum>]

export interface Label {
  joinEUI: string;
  devEUI: string;
  profile: string;
  serial: string;
}

export function parseTR005(input: string): Label {
  const parts = input.trim().split(":");
  if (parts[0]?.toUpperCase() !== "LW") throw new Error("The text of a LoRaWAN label starts with LW:");
  if (parts[1]?.toUpperCase() !== "D0") throw new Error(`Labels of kind ${parts[1] ?? "–"} are unknown; D0 is what TR005 defines.`);
  const [, , joinEUI = "", devEUI = "", profile = "", ...more] = parts;
  for (const [name, eui] of [
    ["JoinEUI", joinEUI],
    ["DevEUI", devEUI],
  ] as const) {
    if (!/^[0-9a-fA-F]{16}$/.test(eui)) throw new Error(`The label's ${name} is “${eui}”; 16 hex digits are wanted.`);
  }
  if (!/^[0-9a-fA-F]{8}$/.test(profile)) throw new Error(`The label's ProfileID is “${profile}”; 8 hex digits are wanted.`);
  const sum = more.find((p) => p.startsWith("C"));
  if (sum !== undefined) {
    const body = input.trim().slice(0, input.trim().lastIndexOf(":C"));
    const want = crc16(body);
    if (sum.slice(1).toUpperCase() !== want) throw new Error(`The label's checksum is ${sum.slice(1)}, ${want} is right for this text: scan or type it again.`);
  }
  return { joinEUI: joinEUI.toLowerCase(), devEUI: devEUI.toLowerCase(), profile: profile.toLowerCase(), serial: more.find((p) => p.startsWith("S"))?.slice(1) ?? "" };
}

/** CRC-16/MODBUS of the text, as four hex digits (TR005 section 2). */
export function crc16(s: string): string {
  let crc = 0xffff;
  for (const b of new TextEncoder().encode(s)) {
    crc ^= b;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc.toString(16).toUpperCase().padStart(4, "0");
}
