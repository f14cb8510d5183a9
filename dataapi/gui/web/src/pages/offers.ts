// What this machine and this browser tell of board and region, to be offered
// at the first start. They are guesses: a person decides.
import { optional } from "../api";
import { useLoad } from "../parts/hooks";

export interface Offer {
  label?: string;
  /** A value that is likely, and why. */
  value?: string;
  why?: string;
  /** Choices in groups, the likelier first. */
  groups?: [title: string, values: string[]][];
  /** What a choice is called. */
  names?: Map<string, string>;
}

interface Board {
  name: string;
  title: string;
  port: string;
  there: boolean;
  regions: string[];
}

interface Boards {
  model: string;
  hat: string;
  boards: Board[];
}

/** Offers by key of the configuration. */
export function useOffers(): Record<string, Offer> {
  const { value } = useLoad((s) => optional<{ boards: Boards }>("/system/boards", s));
  return { "region.name": regionOffer(), "concentrator.driver": { label: "Concentrator" }, ...(value && { "concentrator.board": boardOffer(value.boards) }) };
}

function boardOffer({ model, hat, boards }: Boards): Offer {
  const there = boards.filter((b) => b.there);
  const names = (list: Board[]) => list.map((b) => b.name);
  const ports = [...new Set(there.map((b) => b.port))];
  const seen = [model && `this computer is a ${model}`, hat && `the board on its header calls itself “${hat}”`, ports.length ? `there is ${ports.join(" and ")}` : "there is no port of a concentrator, neither SPI nor USB"];
  return {
    label: "Board",
    why: `Looked around: ${seen.filter(Boolean).join("; ")}.`,
    names: new Map(boards.map((b) => [b.name, b.title])),
    groups: there.length
      ? [["May be on this machine", names(there)], ["Others", names(boards.filter((b) => !b.there))]]
      : undefined,
  };
}

// Regions by time zone (RP002-1.0.4, chapter 1.2), where a zone has but one;
// of groups of channels, the one that most devices on the market are set to.
const zones: [RegExp, string][] = [
  [/^Europe\/(Moscow|Samara|Saratov|Volgograd)|^Asia\/(Yekaterinburg|Omsk|Novosibirsk|Krasnoyarsk|Irkutsk|Yakutsk|Vladivostok)/, "RU864"],
  [/^Europe\/|^Africa\/|^Atlantic\/(Reykjavik|Canary|Madeira|Azores|Faroe)/, "EU868"],
  [/^America\/(New_York|Chicago|Denver|Los_Angeles|Phoenix|Anchorage|Detroit|Toronto|Vancouver|Edmonton|Winnipeg|Halifax|Mexico_City|Monterrey|Tijuana)|^Pacific\/Honolulu/, "US915-2"],
  [/^Australia\/|^America\/(Sao_Paulo|Bahia|Fortaleza|Recife|Manaus|Argentina\/|Buenos_Aires|Santiago|Montevideo)/, "AU915-2"],
  [/^Asia\/(Kolkata|Calcutta)/, "IN865"],
  [/^Asia\/Seoul/, "KR920"],
  [/^Asia\/(Shanghai|Urumqi)/, "CN470-1"],
  [/^Asia\/(Tokyo|Singapore|Taipei|Bangkok|Hong_Kong|Kuala_Lumpur)/, "AS923-1"],
  [/^Asia\/(Jakarta|Makassar|Jayapura|Ho_Chi_Minh|Saigon)/, "AS923-2"],
  [/^Asia\/Manila/, "AS923-3"],
  [/^Asia\/(Jerusalem|Tel_Aviv)/, "AS923-4"],
];

function regionOffer(): Offer {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const value = zones.find(([pattern]) => pattern.test(zone))?.[1];
  if (!value) return { label: "Region" };
  return { label: "Region", value, why: `Your browser's time zone is ${zone}. What is allowed where you are, the radio authority knows.` };
}
