package lab

import (
	"context"
	"io"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"gatewayd/nsedge/lab"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// ether is an air that only hears.
type ether struct{ uplinks chan radio.Uplink }

func (e ether) Uplinks() <-chan radio.Uplink                 { return e.uplinks }
func (ether) Reports() <-chan radio.Report                   { return nil }
func (ether) Schedule(context.Context, radio.Downlink) error { return radio.ErrStopped }
func (ether) Lead(radio.Downlink) time.Duration              { return 0 }

// second is all that an SX1302 can hear in EU868 in a second: frames of 13
// bytes without a pause on each of its demodulators, eight channels with all
// spreading factors at once among them.
func second(b *testing.B) (frames []radio.Uplink) {
	b.Helper()
	r, err := region.Lookup("EU868")
	if err != nil {
		b.Fatal(err)
	}
	p := r.Plan()
	stream := func(f radio.Hertz, mod radio.Modulation) {
		u := radio.Uplink{Freq: f, Mod: mod, Payload: make([]byte, 13), CRC: radio.GoodCRC, RSSI: -90, SNR: 5}
		for at := mod.Airtime(13); at <= time.Second; at += mod.Airtime(13) {
			u.At = radio.Instant(at.Microseconds())
			frames = append(frames, u)
		}
	}
	for _, f := range p.MultiSF {
		for sf := uint8(7); sf <= 12; sf++ {
			stream(f, radio.LoRa{SF: sf, Bandwidth: 125_000, CodeRate: 1})
		}
	}
	stream(p.Service.Freq, p.Service.Mod)
	stream(p.FSK.Freq, p.FSK.Mod)
	return frames
}

// counted tells of each write.
type counted struct {
	io.Writer
	written chan struct{}
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.written <- struct{}{}
	return n, err
}

// BenchmarkCapture is the processor time, of everything from the layer to a
// pipe and its reader, for each second of a saturated receiver.
func BenchmarkCapture(b *testing.B) {
	frames := second(b)
	air := ether{make(chan radio.Uplink)}
	layer := lab.New(lab.Config{Air: air, Log: slog.New(slog.DiscardHandler)})
	bench := New(Config{})
	bench.Attach(layer)
	in, out, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	w := counted{out, make(chan struct{}, len(frames)+1)}
	go func() { _, _ = io.Copy(io.Discard, in) }()   // ends with the pipe
	go func() { _ = bench.Capture(ctx, w, false) }() // until ctx ends
	go func() { _ = layer.Run(ctx) }()               // likewise
	go func() {                                      // the network server
		for range layer.Uplinks() {
		}
	}()
	defer out.Close()
	<-w.written // the header: it watches
	before := processor(b)
	for b.Loop() {
		for _, u := range frames {
			air.uplinks <- u
			<-w.written
		}
	}
	b.ReportMetric(float64(len(frames)), "frames/s")
	b.ReportMetric(100*(processor(b)-before).Seconds()/float64(b.N), "%core")
}

// processor is the time that this process has had.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
