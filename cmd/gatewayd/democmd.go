package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/exampleas"
	"gatewayd/concentrator"
	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	listen  string
	air     string
	state   string
	region  string
	last    time.Duration
	devices roles
	quietAS bool
	json    bool
}

// mostDevices that demo starts: with more, the story can't be read.
const mostDevices = 100

func newDemo(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it at work: a network on a simulated chip",
		Long: `Runs a whole network without hardware: the real driver on a simulated SX1302, the
network server, the Data API, virtual devices that join and talk over a simulated
radio medium, and an example application server that answers them. Tells the story
one line per event, with the timing proof of each downlink. Ctrl-C ends it.`,
		Args: exactly(0, ""),
	}
	var o demoOptions
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "", "`HOST:PORT` of the Data API (default: 127.0.0.1:8080, or any free port)")
	f.StringVar(&o.air, "air", "", "where the air protocol listens: HOST:PORT, unix:PATH or off (default: 127.0.0.1:7707, or any free port)")
	f.StringVar(&o.state, "state", "", "`FOLDER` to keep devices, sessions and keys in (default: a new one, removed at the end)")
	f.StringVar(&o.region, "region", "EU868", "region, as region.name in the configuration")
	f.DurationVar(&o.last, "for", 0, "end after this `TIME`, e.g. 60s (default: at Ctrl-C)")
	o.devices = usual(3)
	f.Var(&o.devices, "devices", "how many virtual devices, or what they are: a list of [COUNTx][1.0|1.1]CLASS[-abp] and B-group or C-group, such as 2xA,1.0B,1.1C-abp,C-group")
	f.BoolVar(&o.quietAS, "quiet-as", false, "no example application server: answer by hand")
	f.BoolVar(&o.json, "json", false, "one JSON object per line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.last < 0 {
			return usagef(cmd, "--for %v: a positive time is wanted", o.last)
		}
		if _, err := region.Lookup(o.region); err != nil {
			return usagef(cmd, "--region: %w", err)
		}
		cfg := config.Default()
		cfg.Concentrator.Driver, cfg.Region.Name = config.DriverEmulated, o.region
		return runDemo(cmd.Context(), std, cfg, o)
	}
	return cmd
}

// runDemo makes the parts and runs a daemon of them until ctx ends.
func runDemo(ctx context.Context, std streams, cfg config.Config, o demoOptions) (err error) {
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	tale := newStory(std.out, o.json)
	p := parts{log: slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelError})), firmware: concentrator.EmulatedFirmware()}
	if cfg.State.Dir, err = stateFolder(o.state, &open); err != nil {
		return err
	}
	if p.store, err = store.Open(cfg.State.Dir, store.Options{Log: p.log}); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	open.add(p.store.Close)
	if p.api, err = listenOr(tale, "--listen", o.listen, cfg.DataAPI.Listen); err != nil {
		return err
	}
	open.add(ignoreClosed(p.api))
	if o.air != config.Off {
		if p.air, err = listenOr(tale, "--air", o.air, config.DefaultAir); err != nil {
			return err
		}
		open.add(ignoreClosed(p.air))
	}
	if p.admin, err = listenAdmin(cfg.State.Dir); err != nil {
		return err
	}
	open.add(ignoreClosed(p.admin))
	emulation := board.Emulation{Log: p.log}
	p.sky = underSky(&emulation)
	if p.hardware, _, err = board.Emulate(emulation); err != nil {
		return err
	}
	open.add(p.hardware.Close)
	return tellDemo(ctx, cfg, p, tale, o)
}

// tellDemo runs the daemon with devices and application server beside it.
func tellDemo(ctx context.Context, cfg config.Config, p parts, tale *story, o demoOptions) error {
	reg, err := cfg.Region.Lookup()
	if err != nil {
		return err
	}
	keep := p.store
	if o.state == "" {
		keep = nil // the folder goes away at the end: spare the disk
	}
	cast, err := newCast(reg, keep, o.devices)
	if err != nil {
		return err
	}
	tale.names = cast.names()
	p.tell = tale.Publish
	p.also = append(p.also, func(ctx context.Context, d *daemon) error {
		return demoRuns(ctx, d, cast, tale, o)
	})
	d, err := newDaemon(cfg, p)
	if err != nil {
		return err
	}
	defer d.holdOnPanic()
	if o.last > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.last)
		defer cancel()
	}
	tale.over = ctx.Done()
	tale.note("start", "the driver starts the simulated SX1302 over SPI")
	if err := d.Run(ctx); err != nil {
		return err
	}
	tale.Summary()
	return nil
}

// makeKey makes an access key of the demo.
func makeKey(d *daemon, what string, rights ...dataapi.Right) (string, error) {
	_, token, err := d.server.Keys().Create(dataapi.Key{Description: "demo: " + what, Rights: rights})
	return token, err
}

// demoRuns is what runs beside the network once that is up.
func demoRuns(ctx context.Context, d *daemon, cast *cast, tale *story, o demoOptions) error {
	if err := cast.register(ctx, d.edge); err != nil {
		return err
	}
	token, err := makeKey(d, "for you", dataapi.RightData, dataapi.RightDevices, dataapi.RightSecrets)
	if err != nil {
		return err
	}
	tale.invite(d, token, cast)
	run, err := cast.runs(d.parts.hardware.Medium, tale.Heard, d.log)
	if err != nil {
		return err
	}
	if !o.quietAS {
		own, err := makeKey(d, "example AS", dataapi.RightData)
		if err != nil {
			return err
		}
		run = append(run, func(ctx context.Context) error {
			return exampleas.Run(ctx, exampleas.Config{
				URL: d.dataURL() + "?access_token=" + own, Dial: d.parts.dial, Tell: tale.Told, Hold: letPeopleFirst,
				Claim: cast.claimed(), ClaimEvery: castClaims,
			})
		})
	}
	return runAll(ctx, run)
}

// letPeopleFirst is how long the example AS waits where a window is so far
// away that somebody may be typing an answer.
func letPeopleFirst(r exampleas.Request) time.Duration {
	const typing, reserve = 5 * time.Second, time.Second
	if left := time.Until(r.TXTime); left > typing {
		return left - reserve
	}
	return 0
}

// invite tells how to take part.
func (s *story) invite(d *daemon, token string, cast *cast) {
	url := fmt.Sprintf("%s?access_token=%s&radio=1", d.dataURL(), token)
	s.note("ready", "gateway %s, %s", d.conc.EUI(), d.region.Short())
	if s.json {
		s.print(line{Event: "invite", Text: "connect here", Detail: map[string]string{"data_api": url, "token": token, "air": addr(d.parts.air)}})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n  Be an application server yourself:  npx wscat -c \"%s\"\n", url)
	if patient := cast.patient(); patient != nil {
		fmt.Fprintf(s.out, "  Answer %-8s within its 15 s:    {\"type\":\"downlink_response\",\"meta\":{\"device\":\"%s\"},\"params\":{\"payload\":\"aGVsbG8=\"}}\n", patient.Name, patient.DevEUI)
	}
	fmt.Fprintf(s.out, "  Look at it in a browser:            http://%s/\n", d.parts.api.Addr())
	fmt.Fprintf(s.out, "  The devices:                        curl \"http://%s/api/v1.0/devices?access_token=%s\"\n", d.parts.api.Addr(), token)
	if d.parts.air != nil {
		fmt.Fprintf(s.out, "  The air, for your own device:       %s (docs/air.md)\n", d.parts.air.Addr())
	}
	fmt.Fprintf(s.out, "  Ctrl-C ends it.\n\n")
}

func addr(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// stateFolder makes a folder for the demo, which goes away at the end if
// nobody named one.
func stateFolder(named string, open *closers) (string, error) {
	if named != "" {
		return named, nil
	}
	dir, err := os.MkdirTemp("", "gatewayd-demo-")
	if err == nil {
		open.add(func() error { return os.RemoveAll(dir) })
	}
	return dir, err
}

// listenOr listens where the user said, else at the usual address, else at
// any free port; the last is told.
func listenOr(tale *story, flag, named, usual string) (net.Listener, error) {
	if named != "" {
		return listen(flag, named)
	}
	l, err := listen(flag, usual)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if l, err = listen(flag, "127.0.0.1:0"); err == nil {
		tale.note("note", "%s is in use, so it is %s this time", usual, l.Addr())
	}
	return l, err
}

// newStory tells it on w, in colour if that is a terminal that wants any.
func newStory(w io.Writer, asJSON bool) *story {
	return &story{
		start: time.Now(), out: w, json: asJSON, color: wantsColor(w),
		told: map[string]string{}, asked: map[string]asked{},
	}
}

// wantsColor follows https://no-color.org.
func wantsColor(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
