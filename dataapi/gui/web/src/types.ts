// What the APIs speak of, as far as the page looks at it (docs/data-api.md).

export interface Meta {
  application?: string;
  device?: string;
  device_addr?: string;
  gateway?: string;
  network?: string;
  packet_hash?: string;
  packet_id?: string;
  time: number;
  tags?: string[];
  history?: boolean;
}

export interface Modulation {
  type: "LORA" | "FSK";
  bandwidth?: number;
  spreading?: number;
  coderate?: string;
  bitrate?: number;
  inverted?: boolean;
}

export interface Radio {
  freq: number;
  datarate?: number;
  time: number;
  size: number;
  modulation: Modulation;
  delay?: number;
  hardware: { tmst?: number; channel?: number; chain?: number; status?: number; rssi?: number; snr?: number; power?: number };
}

export interface Timing {
  window: string;
  planned?: number;
  armed?: number;
  started?: number;
  ended?: number;
  margin?: number;
  late?: string;
  lead?: number;
  application?: string;
}

export interface Header {
  type: number;
  confirmed?: boolean;
  adr?: boolean;
  adr_ack_req?: boolean;
  ack?: boolean;
  class_b?: boolean;
  pending?: boolean;
}

export interface Params {
  code?: string;
  message?: string;
  counter_up?: number;
  counter_down?: number;
  port?: number;
  payload?: string;
  encrypted_payload?: string;
  phy_payload?: string; // of a frame heard, as it is
  duplicate?: boolean;
  rx_time?: number;
  tx_time?: number;
  cutoff_time?: number;
  max_size?: number;
  dev_nonce?: string;
  battery?: number;
  snr?: number;
  radio?: Radio;
  lora?: { header: Header; mac_commands: Record<string, unknown>[] };
  timing?: Timing;
}

export interface Message {
  type: string;
  meta: Meta;
  params: Params;
}

export interface Device {
  dev_eui: string;
  app_eui: string;
  tags: string[];
  activation: "OTAA" | "ABP";
  encryption: "NS" | "APP";
  dev_addr: string;
  dev_class: "A" | "B" | "C";
  band: string;
  counter_up: number;
  counter_down: number;
  counters_size: 2 | 4;
  strict_counter: boolean;
  policy: string;
  lorawan_version: string;
  mac: string;
  adr: { mode: string; datarate: number | null; tx_power: number | null };
  rx1: { delay: number; status?: string; current_delay?: number };
  rx2: { force: boolean; freq?: number; datarate?: number | null };
  multicast?: boolean;
  repeat?: number;
  ping_slot?: { periodicity?: number; freq?: number; datarate?: number };
  block_uplink: boolean;
  block_downlink: boolean;
  geolocation: { lat: number; lng: number; precision?: number } | null;
  last_activity: number | null;
  last_join: number | null;
  app_key?: string;
  nwk_key?: string;
  nwkskey?: string;
  appskey?: string;
}

export interface Key {
  id: string;
  description: string;
  rights: string[];
  permissions?: Record<string, Record<string, string[]>>;
  scope?: Partial<Record<"applications" | "devices" | "gateways" | "tags" | "types", string>>;
  access_token?: string;
  created?: number;
}

export interface User {
  id: string;
  email: string;
  name?: string;
  created?: number;
}

export interface Filter {
  id: string;
  description: string;
  applications: string;
  gateways: string;
  tags: string;
  devices: string;
  types: string;
}

export interface Connection {
  id: string;
  type: "http" | "mqtt";
  description: string;
  filter: string;
  url?: string;
  uri?: string;
  topic_up?: string;
  topic_down?: string;
  authorization?: string;
  tls_ca?: string;
  radio: boolean;
  lora: boolean;
  duplicate: boolean;
  status?: { state: string; sent: number; failed: number; dropped: number; last_error?: string };
}

export interface Gateway {
  id: string;
  eui: string;
  band: string;
  online: boolean;
  geolocation: { lat: number; lng: number; alt?: number } | null;
}
