package blackbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gatewayd/dataapi"
)

// imageVariable names the folder with the builds of scripts/image, for the
// card of an emulated Raspberry Pi (see scripts/image/test).
const imageVariable = "GATEWAYD_IMAGE"

const imageDeadline = 3 * time.Hour // for all power cuts

const emulatedConf = `
[concentrator]
driver = "emulated"
[region]
name = "EU868"
duty_cycle = false # eight power cuts within an hour use up a sub-band of 1 %
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
	p.start(t)
	p.setUp(t)
	p.runs(t, "1.0", 2, false)
	p.resident(t)
	s := p.system(t)
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
		"HTTP": "https://" + p.http, "AIR": p.air, "TOKEN": p.token, "CUTS": strconv.Itoa(n), "NODE_TLS_REJECT_UNAUTHORIZED": "0", "PATIENCE": "30",
	}, map[string]func(context.Context) error{
		"cut": func(ctx context.Context) error {
			p.cut()
			took, err := p.boot(ctx)
			t.Logf("first answer %.1f s after power on", took.Seconds())
			return err
		},
	})
	p.resident(t)
}

// A machine with 128 MB of memory takes over what a person puts on the card:
// a user with a password, a key for SSH, firmware; what is wrong there is told
// in ERROR.TXT and changes nothing; factory-reset forgets.
func TestImageTakesTheFilesOfTheCard(t *testing.T) {
	dir := wantedImage(t)
	hash, err := dataapi.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	me, other := newSSHKey(t, filepath.Join(t.TempDir(), "me")), newSSHKey(t, filepath.Join(t.TempDir(), "other"))
	system := "hostname = \"roof\"\n[user]\nemail = \"ann@example.org\"\npassword_hash = \"" + hash + "\"\n" +
		"[ssh]\nkeys = [\"" + me.public + "\"]\n[wifi]\nssid = \"net\"\npassphrase = \"12345678\"\ncountry = \"DE\"\n"
	p := newPi(t, filepath.Join(dir, "gatewayd-1.0.img"), map[string]string{
		"gatewayd.toml": emulatedConf, "system.toml": system, "firmware/arb_fw.bin": "no firmware",
	})
	p.memory = 128
	p.start(t)
	signIn := func() int {
		status, text, err := p.call(t.Context(), http.MethodPost, "/api/v1.0/auth", strings.NewReader(`{"email":"ann@example.org","password":"correct horse"}`))
		if err != nil {
			t.Errorf("sign in: %v %s", err, text)
		}
		return status
	}
	if status := signIn(); status != http.StatusOK {
		t.Errorf("the card's user signs in: %d", status)
	}
	if out, err := p.sshRun(t, other, "version"); err == nil {
		t.Errorf("another SSH key: %s", out)
	}
	for command, says := range map[string]string{
		"appliance status": "version  1.0, kept", "user list": "ann@example.org", "key create --name k --rights data": "",
		"device add 70b3d57ed00c0001 app_eui=70b3d57ed0000003 app_key=2b7e151628aed2a6abf7158809cf4f3c": "",
	} {
		if out, err := p.sshRun(t, me, command); err != nil || !strings.Contains(out, says) {
			t.Errorf("ssh %s: %v\n%s", command, err, out)
		}
	}
	if out, err := p.sshRun(t, me, "firmware check"); err == nil || !strings.Contains(out, "arb_fw.bin") {
		t.Errorf("the firmware on the card is none, which is to be found out: %v\n%s", err, out)
	}
	p.says(t, "no Wi-Fi device")

	p.cut()
	p.put(t, "gatewayd.toml", strings.Replace(emulatedConf, "EU868", "EU999", 1))
	p.put(t, "system.toml", "hostname = \"the roof\"\n")
	p.start(t)
	says := p.onCard(t, "ERROR.TXT")
	for _, words := range []string{"gatewayd.toml: it is not taken over", "EU999", `system.toml: hostname = "the roof"`} {
		if !strings.Contains(says, words) {
			t.Errorf("ERROR.TXT does not say %q:\n%s", words, says)
		}
	}
	if status := signIn(); status != http.StatusOK {
		t.Errorf("with faults on the card: %d", status)
	}

	p.cut()
	p.put(t, "gatewayd.toml", emulatedConf)
	p.put(t, "system.toml", "hostname = \"roof\"\n")
	p.put(t, "factory-reset.txt", "")
	p.start(t)
	if left := p.tool(t, "mdir", "-b", "-i", p.card+"@@1M", "::/"); strings.Contains(left, "ERROR.TXT") || strings.Contains(left, "factory-reset") {
		t.Errorf("left on the card:\n%s", left)
	}
	if status := signIn(); status != http.StatusUnauthorized {
		t.Errorf("after the reset, a user that was: %d", status)
	}
	p.setUp(t)
	var list struct{ Devices []any }
	p.must(t, http.StatusOK, http.MethodGet, "/api/v1.0/devices", "", &list)
	if len(list.Devices) != 0 {
		t.Errorf("after the reset: %v", list.Devices)
	}
}

// On QEMU's Raspberry Pi 3, whose card, device tree and network are a Pi's; first
// with the simulated concentrator, then with none, where the page is there and
// says what is missing.
func TestImageBootsOnARaspberryPi(t *testing.T) {
	p := newPi(t, filepath.Join(wantedImage(t), "gatewayd-1.0.img"), map[string]string{"gatewayd.toml": emulatedConf})
	p.raspberry(t)
	p.start(t)
	p.setUp(t)
	p.runs(t, "1.0", 2, false)

	p.cut()
	p.put(t, "gatewayd.toml", "[concentrator]\nboard = \"semtech-corecell\"\n[dataapi]\nlisten = \"0.0.0.0:443\"\n")
	p.alive = "/healthz"
	p.start(t)
	if s := p.system(t); !strings.Contains(s.Ready, "firmware") {
		t.Errorf("no concentrator, no firmware: %q", s.Ready)
	}
	if _, text, err := p.call(t.Context(), http.MethodGet, "/", nil); err != nil || !bytes.Contains(text, []byte("<html")) {
		t.Errorf("the page: %v %.200s", err, text)
	}
}

// In this image gatewayd is stopped once, as if it hung (scripts/image/stuck).
func TestImageRestartsADaemonThatHangs(t *testing.T) {
	p := newPi(t, filepath.Join(wantedImage(t), "gatewayd-1.0.hangs.img"), map[string]string{"gatewayd.toml": emulatedConf})
	p.start(t)
	p.says(t, "the daemon hangs: it is killed")
	if err := p.await(t.Context(), "an answer", p.ready); err != nil {
		t.Fatal(err)
	}
}

// sshKey is a key of a person.
type sshKey struct{ file, public string }

func newSSHKey(t *testing.T, file string) sshKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return sshKey{file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))}
}

// sshRun gives a command with OpenSSH's client.
func (p *pi) sshRun(t *testing.T, key sshKey, command string) (string, error) {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.ssh)
	out, err := exec.CommandContext(t.Context(), "ssh", "-i", key.file, "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "gatewayd@127.0.0.1", command).CombinedOutput()
	return string(out), err
}

// An update is tried once, and kept when the daemon is well in it; whatever
// is wrong with one leaves the old version.
func TestImageIsUpdatedAndComesBackFromABadUpdate(t *testing.T) {
	dir := wantedImage(t)
	p := newPi(t, filepath.Join(dir, "gatewayd-1.0.img"), map[string]string{"gatewayd.toml": emulatedConf})
	p.more = "gatewayd.trial=20m" // a busy host is slow
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
	p.says(t, "the new version is kept")
	p.must(t, http.StatusAccepted, http.MethodPost, "/api/v1.0/system/reboot", "", nil)
	p.off(t)
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
