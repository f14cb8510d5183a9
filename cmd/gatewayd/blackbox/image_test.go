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

// Deadlines of a machine that is emulated on a busy host.
const (
	bootDeadline  = 8 * time.Minute
	imageDeadline = 2 * time.Hour
)

// cardImage is what the card of an emulated Raspberry Pi holds at first: a
// build of scripts/image, in the folder that GATEWAYD_IMAGE names (see
// scripts/image/test).
const imageVariable = "GATEWAYD_IMAGE"

// pi is an emulated machine whose card is the image.
type pi struct {
	dir, card, kernel, log string
	http, air              string // HOST:PORT at this end
	more                   string // for the kernel's command line
	client                 *http.Client
	token                  string

	cmd  *exec.Cmd
	done chan struct{} // closed when the emulator has ended
}

// newPi makes the card of an image and puts files onto its boot partition.
func newPi(t *testing.T, image string, files map[string]string) *pi {
	t.Helper()
	dir := t.TempDir()
	addresses := freeAddresses(t, 2)
	p := &pi{
		dir: dir, card: filepath.Join(dir, "card"), kernel: filepath.Join(dir, "vmlinuz"), log: filepath.Join(dir, "console"),
		http: addresses[0], air: addresses[1],
		client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // its certificate is its own
			DisableKeepAlives: true,
		}},
	}
	p.tool(t, "cp", "--sparse=always", image, p.card)
	p.tool(t, "truncate", "-s", "1G", p.card)
	p.tool(t, "mcopy", "-n", "-o", "-i", p.card+"@@1M", "::/vmlinuz", p.kernel)
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
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.tool(t, "mcopy", "-o", "-i", p.card+"@@1M", file, "::/"+name)
}

// boot starts the machine as the Pi's firmware would, with the kernel and the
// command line of the card, and returns how long the first answer took.
func (p *pi) boot(ctx context.Context) (time.Duration, error) {
	text, err := exec.CommandContext(ctx, "mtype", "-i", p.card+"@@1M", "::/cmdline.txt").Output()
	if err != nil {
		return 0, fmt.Errorf("cmdline.txt: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	p.cmd = exec.Command("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512",
		"-kernel", p.kernel, "-append", strings.TrimSpace(line)+" console=ttyAMA0 "+p.more,
		"-drive", "if=none,id=d0,format=raw,cache=writethrough,file="+p.card, "-device", "virtio-blk-device,drive=d0",
		"-netdev", fmt.Sprintf("user,id=n0,restrict=on,hostfwd=tcp:%s-:443,hostfwd=tcp:%s-:7707", p.http, p.air),
		"-device", "virtio-net-device,netdev=n0", "-device", "i6300esb",
		"-display", "none", "-monitor", "none", "-no-reboot", "-serial", "file:"+p.log)
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
	ctx, cancel := context.WithTimeout(ctx, bootDeadline)
	defer cancel()
	for poll := time.NewTicker(500 * time.Millisecond); ; {
		if status, _, err := p.call(ctx, http.MethodGet, "/readyz", nil); err == nil && status == http.StatusOK {
			poll.Stop()
			return time.Since(began), nil
		}
		select {
		case <-p.done:
			return 0, fmt.Errorf("the machine went off: %s", stderr)
		case <-ctx.Done():
			return 0, fmt.Errorf("no answer after %v", bootDeadline)
		case <-poll.C:
		}
	}
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
	select {
	case <-p.done:
		p.cmd = nil
	case <-time.After(bootDeadline):
		t.Fatal("the machine does not restart")
	}
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

// running asks for the version and whether it is on trial.
func (p *pi) running(ctx context.Context) (version string, slot int, trial bool, err error) {
	var a struct {
		Appliance struct {
			Version string
			Slot    int
			Trial   bool
		}
	}
	status, text, err := p.call(ctx, http.MethodGet, "/api/v1.0/system/appliance", nil)
	if err == nil && status != http.StatusOK {
		err = errors.New(string(text))
	}
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a.Appliance.Version, a.Appliance.Slot, a.Appliance.Trial, err
}

func (p *pi) runs(t *testing.T, version string, slot int, trial bool) {
	t.Helper()
	v, s, tr, err := p.running(t.Context())
	if err != nil || v != version || s != slot || tr != trial {
		t.Fatalf("version %q in slot %d, on trial: %v, %v; want %q in %d, %v", v, s, tr, err, version, slot, trial)
	}
}

const emulatedConf = `
[concentrator]
driver = "emulated"
[region]
name = "EU868"
[air]
listen = "0.0.0.0:7707"
[dataapi]
listen = "0.0.0.0:443"
`

// wantedImage is the folder with the builds.
func wantedImage(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(imageVariable)
	if dir == "" {
		t.Skip("the image is tested by make test-image")
	}
	return dir
}

func TestImageBootsToAWorkingNetworkAndSurvivesPowerCuts(t *testing.T) {
	dir := wantedImage(t)
	p := newPi(t, filepath.Join(dir, "gatewayd-1.0.img"), map[string]string{
		"gatewayd.toml": emulatedConf, "system.toml": "hostname = \"roof\"\n",
	})
	took, err := p.boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first answer %.1f s after power on (bar: 12 s on an idle machine)", took.Seconds())
	p.setUp(t)
	p.runs(t, "1.0", 2, false)
	var sys struct {
		System struct {
			Hostname, Region string
			Memory           struct{ Resident uint64 }
			Storage          struct{ Size uint64 }
		}
	}
	p.must(t, http.StatusOK, http.MethodGet, "/api/v1.0/system", "", &sys)
	s := sys.System
	t.Logf("the daemon takes %d MB of memory (bar: 40)", s.Memory.Resident/1_000_000)
	if s.Hostname != "roof" || s.Region != "EU868" {
		t.Errorf("the card's files: %+v", s)
	}
	if s.Storage.Size < 700<<20 {
		t.Errorf("the data partition has %d bytes on a card of 1 GiB", s.Storage.Size)
	}
	if _, text, err := p.call(t.Context(), http.MethodGet, "/", nil); err != nil || !bytes.Contains(text, []byte("<html")) {
		t.Errorf("the page: %v %.200s", err, text)
	}
	cuts := os.Getenv("GATEWAYD_CUTS")
	if cuts == "" {
		cuts = "2"
	}
	n, err := strconv.Atoi(cuts)
	if err != nil {
		t.Fatalf("GATEWAYD_CUTS=%s: %v", cuts, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), imageDeadline)
	defer cancel()
	playUntil(ctx, t, "image.mjs", map[string]string{
		"HTTP": "https://" + p.http, "AIR": p.air, "TOKEN": p.token, "CUTS": strconv.Itoa(n), "NODE_TLS_REJECT_UNAUTHORIZED": "0",
	}, map[string]func(context.Context) error{
		"cut": func(ctx context.Context) error {
			p.cut()
			_, err := p.boot(ctx)
			return err
		},
	})
}

// An update is tried once, and kept when the daemon is well in it; whatever
// is wrong with one leaves the old version.
func TestImageIsUpdatedAndComesBackFromABadUpdate(t *testing.T) {
	dir := wantedImage(t)
	p := newPi(t, filepath.Join(dir, "gatewayd-1.0.img"), map[string]string{"gatewayd.toml": emulatedConf})
	p.more = "gatewayd.trial=4m"
	boot := func() {
		t.Helper()
		if _, err := p.boot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	update := func(name string) (int, string) {
		t.Helper()
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		status, text, err := p.call(t.Context(), http.MethodPost, "/api/v1.0/system/update", f)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(text)
	}
	boot()
	p.setUp(t)
	for name, says := range map[string]string{"gatewayd-1.1.foreign": "signature", "gatewayd-1.1.damaged": "damaged", "gatewayd-1.0.img": "no update"} {
		if status, text := update(name); status != http.StatusUnprocessableEntity || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	p.runs(t, "1.0", 2, false)

	if status, text := update("gatewayd-1.1.update"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	p.off(t)
	boot()
	p.runs(t, "1.1", 3, true)
	p.cut() // before it is kept
	boot()
	p.runs(t, "1.0", 2, false)

	update("gatewayd-1.1.update")
	p.off(t)
	boot()
	for deadline := time.Now().Add(bootDeadline); !strings.Contains(p.console(1<<20), "the new version is kept"); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the new version is not kept")
		}
	}
	p.cut()
	boot()
	p.runs(t, "1.1", 3, false)

	// A signed update whose daemon does not run.
	p.more = "gatewayd.trial=30s"
	update("gatewayd-1.2.broken")
	p.off(t)
	if _, err := p.boot(t.Context()); err == nil {
		t.Fatal("the broken version answers")
	}
	p.off(t)
	boot()
	p.runs(t, "1.1", 3, false)

	p.must(t, http.StatusAccepted, http.MethodPost, "/api/v1.0/system/reset", "", nil)
	p.off(t)
	boot()
	p.token = ""
	p.setUp(t) // it has forgotten its user, and takes a first one
}
