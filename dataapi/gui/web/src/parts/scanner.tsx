// Reads a QR code with the camera, where the browser can do that by itself.
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./ui";

interface Detector {
  detect(v: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}
declare const BarcodeDetector: { new (o: { formats: string[] }): Detector } | undefined;

const can = () => typeof BarcodeDetector !== "undefined" && !!navigator.mediaDevices?.getUserMedia;

export function Scanner(p: { onText: (s: string) => void }) {
  const [on, setOn] = useState(false);
  const [error, setError] = useState("");
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (!on) return;
    let stream: MediaStream | undefined;
    let timer: ReturnType<typeof setTimeout>;
    let ended = false;
    const detector = new BarcodeDetector!({ formats: ["qr_code"] });
    const look = async () => {
      if (ended || !video.current) return;
      const found = await detector.detect(video.current).catch(() => []);
      if (found[0]) {
        p.onText(found[0].rawValue);
        setOn(false);
        return;
      }
      timer = setTimeout(() => void look(), 200);
    };
    navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "environment" } })
      .then(async (s) => {
        stream = s;
        if (ended || !video.current) return;
        video.current.srcObject = s;
        await video.current.play();
        void look();
      })
      .catch(() => {
        setError("The camera can't be used: allow it for this page, or type the text of the code.");
        setOn(false);
      });
    return () => {
      ended = true;
      clearTimeout(timer);
      stream?.getTracks().forEach((t) => t.stop());
    };
  }, [on]);
  if (!can()) return null;
  return (
    <>
      <button type="button" onClick={() => setOn(!on)}>
        {on ? "Stop the camera" : "Scan with the camera"}
      </button>
      {on && <video ref={video} muted playsInline style={{ width: "100%", marginTop: ".6rem" }} />}
      <Problem text={error} />
    </>
  );
}
