// uPlot in the page's colours.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

export const colour = (name: string) => {
  // light-dark() is resolved by asking an element.
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const c = getComputedStyle(probe).color;
  probe.remove();
  return c;
};

interface Props {
  label: string;
  data: uPlot.AlignedData;
  series: { label: string; colour: string; bars?: boolean; points?: boolean; value?: (n: number) => string }[];
  x?: { label?: string; time?: boolean; value?: (n: number) => string };
  height?: number;
}

export function Plot(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([p.series.map((s) => [s.label, s.colour, s.bars]), p.x?.label, p.height]);
  useEffect(() => {
    const element = box.current!;
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height: p.height ?? 220,
        legend: { live: false, show: p.series.length > 1 },
        cursor: { y: false },
        scales: { x: { time: p.x?.time ?? false } },
        axes: [
          { ...axis, label: p.x?.label, labelSize: 18, values: p.x?.value ? (_, v) => v.map((n) => (n === null ? "" : p.x!.value!(n))) : undefined },
          { ...axis, values: p.series[0]?.value ? (_, v) => v.map((n) => (n === null ? "" : p.series[0]!.value!(n))) : undefined, size: 62 },
        ],
        series: [
          {},
          ...p.series.map((s) => ({
            label: s.label,
            stroke: colour(s.colour),
            fill: s.bars ? colour(s.colour) : undefined,
            width: s.bars || s.points ? 0 : 1.5,
            paths: s.bars ? uPlot.paths.bars!({ size: [0.9, 60], align: 1 }) : undefined,
            points: { show: s.points ?? false, size: 5, fill: colour(s.colour) },
          })),
        ],
      },
      p.data,
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: p.height ?? 220 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(p.data), [p.data]);
  return <div ref={box} class="plot" role="img" aria-label={p.label} />;
}
