package doctor

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"time"
)

// File is one file of a support bundle.
type File struct {
	Name string // without a folder
	Text []byte
}

// hostFiles are what helps to understand a machine. None holds a secret of
// its own; they are scrubbed all the same.
func hostFiles() []string {
	return []string{
		"/etc/os-release", "/proc/version", "/proc/cmdline", "/proc/cpuinfo", "/proc/meminfo", "/proc/mounts", "/proc/modules",
		"/proc/loadavg", "/proc/uptime", "/proc/interrupts", "/boot/firmware/config.txt", "/boot/config.txt",
	}
}

// Bundle writes a support bundle, a ZIP file: the report, the configuration,
// the board, what the host says of itself, and more files that the caller has.
// Everything is scrubbed: see [Scrub].
func Bundle(w io.Writer, s Subject, r Report, more ...File) error {
	files, err := bundleFiles(s, r)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, f := range append(files, more...) {
		h := &zip.FileHeader{Name: "gatewayd-support/" + f.Name, Method: zip.Deflate, Modified: r.At.Truncate(time.Second)}
		h.SetMode(0o600)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return fmt.Errorf("support bundle: %s: %w", f.Name, err)
		}
		if _, err := entry.Write(Scrub(f.Text)); err != nil {
			return fmt.Errorf("support bundle: %s: %w", f.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("support bundle: %w", err)
	}
	return nil
}

func bundleFiles(s Subject, r Report) ([]File, error) {
	var text, machine, conf, brd bytes.Buffer
	r.Print(&text)
	if err := r.JSON(&machine); err != nil {
		return nil, err
	}
	if err := s.Config.Print(&conf); err != nil {
		return nil, err
	}
	if err := s.Board.Print(&brd); err != nil {
		return nil, err
	}
	files := []File{{"report.txt", text.Bytes()}, {"report.json", machine.Bytes()}, {"gatewayd.toml", conf.Bytes()}, {"board.toml", brd.Bytes()}}
	for _, name := range hostFiles() {
		if t := s.Host.text(name); t != "" {
			files = append(files, File{"host" + string(bytes.ReplaceAll([]byte(name), []byte("/"), []byte("-"))) + ".txt", []byte(t + "\n")})
		}
	}
	return files, nil
}

// What could let somebody in, or decrypt what is sent: values whose names say
// so, keys of 128 bits and longer, tokens in addresses and headers, names and
// passwords in URLs, private keys.
var secrets = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`), "[private key removed]"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`), "$1 [removed]"},
	{regexp.MustCompile(`(?i)([?&](?:access_token|token|key|password)=)[^&\s"'<>]+`), "$1[removed]"},
	{regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^/\s:@"']+:[^/\s@"']+@`), "$1[removed]@"},
	{regexp.MustCompile(`(?i)("?\b[a-z0-9_.-]*(?:password|passwd|passphrase|psk|secret|token|(?:app|nwk)_?(?:s_?)?(?:enc_?|int_?)?key|api_?key|private_?key)[a-z0-9_.-]*"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,}"']+)`), "$1[removed]"},
	{regexp.MustCompile(`(?i)\b(?:[0-9a-f]{2}[: -]?){15,}[0-9a-f]{2}\b`), "[hex removed]"},
}

// Scrub takes out of a text what could let somebody in or decrypt what is
// sent. EUIs and addresses of devices stay.
func Scrub(text []byte) []byte {
	for _, s := range secrets {
		text = s.find.ReplaceAll(text, []byte(s.put))
	}
	return text
}
