package blackbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Deadlines of a machine that is emulated. What it may take is the emulator's
// own processor time, so that a busy host has more patience; an idle machine
// boots in 20 s of it.
const (
	patience  = 5 * time.Minute  // of processor time
	deadline  = 40 * time.Minute // of the clock on the wall, whatever happens
	userHertz = 100              // ticks a second in /proc, on every Linux
)

// idleVariable says that nothing else runs on this machine: boots are then
// measured.
const idleVariable = "GATEWAYD_IDLE"

// Bars, on an idle machine.
const (
	bootBar     = 12 * time.Second // from power on to the first answer, with -M virt
	residentBar = 40               // MB
)

// pi is an emulated machine whose card is the image.
type pi struct {
	dir, card, log string
	http, air, ssh string // HOST:PORT at this end
	raspi          bool   // QEMU's raspi3b in place of virt
	memory         int    // MB, of virt
	idle           bool   // so is the host: the machine runs in real time
	more           string // for the kernel's command line
	alive          string // the path that answers once it is up
	client         *http.Client
	token          string

	cmd   *exec.Cmd
	done  chan struct{} // closed when the emulator has ended
	spent time.Duration // of processor time, by the last look
}

// newPi makes the card of an image and puts files onto its boot partition.
func newPi(t *testing.T, image string, files map[string]string) *pi {
	t.Helper()
	dir := t.TempDir()
	addresses := freeAddresses(t, 3)
	p := &pi{
		dir: dir, card: filepath.Join(dir, "card"), log: filepath.Join(dir, "console"), memory: 512, idle: os.Getenv(idleVariable) != "", alive: "/readyz",
		http: addresses[0], air: addresses[1], ssh: addresses[2],
		client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // its certificate is its own
			DisableKeepAlives: true,
		}},
	}
	p.tool(t, "cp", "--sparse=always", image, p.card)
	p.tool(t, "truncate", "-s", "1G", p.card)
	p.take(t, "vmlinuz")
	for name, text := range files {
		p.put(t, name, text)
	}
	t.Cleanup(func() {
		p.cut()
		if t.Failed() {
			t.Logf("the console's last words:\n%s", p.console(6000))
		}
	})
	return p
}

func (p *pi) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// put writes a file to the boot partition, as a person's computer does.
func (p *pi) put(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(p.dir, "put")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if folder, _, ok := strings.Cut(name, "/"); ok {
		_ = exec.CommandContext(t.Context(), "mmd", "-i", p.card+"@@1M", "::/"+folder).Run() // may be there
	}
	p.tool(t, "mcopy", "-o", "-i", p.card+"@@1M", file, "::/"+name)
}

// take copies a file of the boot partition and returns its path here.
func (p *pi) take(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(p.dir, filepath.Base(name))
	p.tool(t, "mcopy", "-n", "-o", "-i", p.card+"@@1M", "::/"+name, file)
	return file
}

// onCard returns a file of the boot partition; "" if there is none.
func (p *pi) onCard(t *testing.T, name string) string {
	t.Helper()
	text, _ := exec.CommandContext(t.Context(), "mtype", "-i", p.card+"@@1M", "::/"+name).Output()
	return string(text)
}

// raspberry makes the machine a Raspberry Pi 3. No Pi firmware runs in QEMU:
// what that does to the device tree is done here.
func (p *pi) raspberry(t *testing.T) {
	t.Helper()
	p.raspi = true
	tree, overlay := p.take(t, "bcm2710-rpi-3-b.dtb"), p.take(t, "overlays/disable-bt.dtbo")
	p.tool(t, "fdtoverlay", "-i", tree, "-o", tree, overlay)
	p.tool(t, "fdtput", "-t", "s", tree, "/soc/spi@7e204000", "status", "okay")
	p.tool(t, "fdtput", "-t", "s", tree, "/soc/i2c@7e804000", "status", "okay")
	p.tool(t, "fdtput", "-c", tree, "/system")
	p.tool(t, "fdtput", "-t", "x", tree, "/system", "linux,revision", "a02082")
}

// arguments are QEMU's. The machine's clock follows its own instructions while
// it works, so that a busy host, which gives it little, makes nothing in it
// time out; not so for a measurement, on an idle one. On a raspi3b, the driver of the Pi's watchdog would end
// the emulator, and the name eth0 goes to an address that is nobody's own.
func (p *pi) arguments(cmdline string) []string {
	net := fmt.Sprintf("user,id=n0,restrict=on,hostfwd=tcp:%s-:443,hostfwd=tcp:%s-:7707,hostfwd=tcp:%s-:22", p.http, p.air, p.ssh)
	args := []string{
		"-kernel", filepath.Join(p.dir, "vmlinuz"), "-netdev", net, "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "file:" + p.log,
	}
	if !p.idle {
		args = append(args, "-icount", "shift=1", "-rtc", "clock=vm")
	}
	if p.raspi {
		return append(args, "-M", "raspi3b", "-dtb", filepath.Join(p.dir, "bcm2710-rpi-3-b.dtb"),
			"-append", cmdline+" console=ttyAMA0,115200 dwc_otg.fiq_fsm_enable=0 initcall_blacklist=bcm2835_wdt_driver_init "+p.more,
			"-drive", "if=sd,format=raw,cache=writethrough,file="+p.card, "-device", "usb-net,netdev=n0,mac=40:54:00:12:34:57")
	}
	if p.idle {
		args = append(args, "-smp", "2")
	}
	return append(args, "-M", "virt", "-cpu", "cortex-a53", "-m", strconv.Itoa(p.memory), "-append", cmdline+" console=ttyAMA0 "+p.more,
		"-drive", "if=none,id=d0,format=raw,cache=writethrough,file="+p.card, "-device", "virtio-blk-device,drive=d0",
		"-device", "virtio-net-device,netdev=n0", "-device", "i6300esb")
}

// boot starts the machine as the Pi's firmware would, with the kernel and the
// command line of the card, and returns how long the first answer took.
func (p *pi) boot(ctx context.Context) (time.Duration, error) {
	text, err := exec.CommandContext(ctx, "mtype", "-i", p.card+"@@1M", "::/cmdline.txt").Output()
	if err != nil {
		return 0, fmt.Errorf("cmdline.txt: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	p.cmd = exec.Command("qemu-system-aarch64", p.arguments(strings.TrimSpace(line))...)
	stderr := new(tail)
	p.cmd.Stderr = stderr
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return 0, err
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan<- struct{}) {
		_ = cmd.Wait() // restarted or killed
		close(done)
	}(p.cmd, p.done)
	err = p.await(ctx, "an answer", p.ready)
	if errors.Is(err, errOff) {
		err = fmt.Errorf("%w: %s", err, stderr)
	}
	return time.Since(began), err
}

// start is boot for a test.
func (p *pi) start(t *testing.T) {
	t.Helper()
	took, err := p.boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first answer %.1f s after power on, %.1f s of processor time", took.Seconds(), p.work().Seconds())
	if p.idle && !p.raspi && took > bootBar {
		t.Errorf("the bar is %v", bootBar)
	}
}

func (p *pi) ready() bool {
	status, _, err := p.call(context.Background(), http.MethodGet, p.alive, nil)
	return err == nil && status == http.StatusOK
}

var errOff = errors.New("the machine went off")

// await waits until something is so, for as long as the machine may take.
func (p *pi) await(ctx context.Context, what string, so func() bool) error {
	began, end := p.work(), time.Now().Add(deadline)
	for poll := time.NewTicker(500 * time.Millisecond); ; {
		if so() {
			poll.Stop()
			return nil
		}
		if p.work()-began > patience || time.Now().After(end) {
			return fmt.Errorf("no sign of %s after %v of processor time", what, p.work()-began)
		}
		select {
		case <-p.done:
			return errOff
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// says waits for words on the console.
func (p *pi) says(t *testing.T, words string) {
	t.Helper()
	if err := p.await(t.Context(), strconv.Quote(words), func() bool { return strings.Contains(p.console(1<<20), words) }); err != nil {
		t.Fatal(err)
	}
}

// work is how much processor time the emulator has had.
func (p *pi) work() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if err != nil || len(f) < 13 {
		return p.spent
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	p.spent = time.Duration(user+system) * time.Second / userHertz
	return p.spent
}

// cut takes the power away.
func (p *pi) cut() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		p.cmd = nil
	}
}

// off waits until the machine restarts, which ends the emulator.
func (p *pi) off(t *testing.T) {
	t.Helper()
	if err := p.await(t.Context(), "a restart", func() bool { return false }); !errors.Is(err, errOff) {
		t.Fatal(err)
	}
	p.cmd = nil
}

func (p *pi) console(last int) string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-last):])
}

// call asks the gateway, with the token if there is one.
func (p *pi) call(ctx context.Context, method, path string, body io.Reader) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+p.http+path, body)
	if err != nil {
		return 0, nil, err
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

func (p *pi) must(t *testing.T, status int, method, path, body string, into any) {
	t.Helper()
	got, text, err := p.call(t.Context(), method, path, strings.NewReader(body))
	if err != nil || got != status {
		t.Fatalf("%s %s: %d, %v\n%s", method, path, got, err, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
}

// setUp makes the first user with the code on the console, and a key.
func (p *pi) setUp(t *testing.T) {
	t.Helper()
	m := regexp.MustCompile(`setup_code=(\S+)`).FindStringSubmatch(p.console(1 << 20))
	if m == nil {
		t.Fatal("no setup code on the console")
	}
	var session struct {
		Token string `json:"access_token"`
	}
	p.must(t, http.StatusCreated, http.MethodPost, "/api/v1.0/setup", `{"email":"ann@example.org","password":"correct horse","code":"`+m[1]+`"}`, &session)
	p.token = session.Token
	var made struct {
		Key struct {
			Token string `json:"access_token"`
		}
	}
	p.must(t, http.StatusCreated, http.MethodPost, "/api/v1.0/keys", `{"description":"image","rights":["data","devices","keys"]}`, &made)
	p.token = made.Key.Token
}

// system is what a gateway tells of itself.
type system struct {
	Hostname, Region string
	Ready            string // why not; "" if it is
	Memory           struct{ Resident uint64 }
	Storage          struct{ Size uint64 }
}

func (p *pi) system(t *testing.T) system {
	t.Helper()
	var out struct{ System system }
	p.must(t, http.StatusOK, http.MethodGet, "/api/v1.0/system", "", &out)
	return out.System
}

// resident prints what the daemon takes of the machine's memory.
func (p *pi) resident(t *testing.T) {
	t.Helper()
	mb := float64(p.system(t).Memory.Resident) / 1e6
	t.Logf("the daemon takes %.1f MB of memory", mb)
	if p.idle && mb > residentBar {
		t.Errorf("the bar is %d MB", residentBar)
	}
}

// runs asks for the version and whether it is on trial.
func (p *pi) runs(t *testing.T, version string, slot int, trial bool) {
	t.Helper()
	var a struct {
		Appliance struct {
			Version string
			Slot    int
			Trial   bool
		}
	}
	p.must(t, http.StatusOK, http.MethodGet, "/api/v1.0/system/appliance", "", &a)
	if got := a.Appliance; got.Version != version || got.Slot != slot || got.Trial != trial {
		t.Fatalf("%+v; want %q in %d, on trial: %v", got, version, slot, trial)
	}
}
