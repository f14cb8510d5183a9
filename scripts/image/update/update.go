// Package update is the format of the appliance's updates: a line that names
// it, a line with an Ed25519 signature in base64, a line of JSON that is
// signed, and the root file system, whose hash that has.
package update

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const magic = "gatewayd-update 1\n"

const longestLine = 4096 // bytes

// Manifest is what is signed.
type Manifest struct {
	Version string `json:"version"`
	Kernel  string `json:"kernel"` // release of the kernel whose modules are in it
	Size    int64  `json:"size"`   // bytes of the root file system
	SHA256  []byte `json:"sha256"` // its hash
}

// Errors that [Open] and its reader return, wrapped.
var (
	ErrFormat    = errors.New("this is no update of gatewayd's appliance")
	ErrSignature = errors.New("the signature is not by the key that this gateway trusts")
	ErrDamaged   = errors.New("the update is damaged")
)

// Write writes an update with the root file system given.
func Write(w io.Writer, key ed25519.PrivateKey, version, kernel string, root []byte) error {
	sum := sha256.Sum256(root)
	text, err := json.Marshal(Manifest{version, kernel, int64(len(root)), sum[:]})
	if err != nil {
		return err
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
	for _, part := range [][]byte{[]byte(magic), []byte(sig + "\n"), append(text, '\n'), root} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Open reads an update as far as its manifest and checks the signature against
// the public key, in base64. The reader gives the root file system; it ends
// with an error if that is not the one that was signed.
func Open(r io.Reader, public []byte) (Manifest, io.Reader, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(public)))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return Manifest{}, nil, errors.New("the key for updates is damaged")
	}
	in := bufio.NewReaderSize(r, longestLine)
	var lines [3][]byte
	for i := range lines {
		line, err := in.ReadSlice('\n')
		if err != nil || i == 0 && string(line) != magic {
			return Manifest{}, nil, ErrFormat
		}
		lines[i] = bytes.Clone(bytes.TrimSuffix(line, []byte("\n")))
	}
	sig, err := base64.StdEncoding.DecodeString(string(lines[1]))
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("%w: its second line is no signature", ErrFormat)
	}
	if !ed25519.Verify(key, lines[2], sig) {
		return Manifest{}, nil, ErrSignature
	}
	var m Manifest
	if err := json.Unmarshal(lines[2], &m); err != nil || m.Size <= 0 {
		return Manifest{}, nil, fmt.Errorf("%w: its third line is no manifest", ErrFormat)
	}
	return m, &payload{in: in, left: m.Size, want: m.SHA256, sum: sha256.New()}, nil
}

// payload reads exactly what was signed.
type payload struct {
	in   io.Reader
	left int64
	want []byte
	sum  hash.Hash
}

func (p *payload) Read(b []byte) (int, error) {
	if p.left == 0 {
		if !bytes.Equal(p.sum.Sum(nil), p.want) {
			return 0, fmt.Errorf("%w: another hash than was signed", ErrDamaged)
		}
		return 0, io.EOF
	}
	n, err := p.in.Read(b[:min(int64(len(b)), p.left)])
	p.sum.Write(b[:n])
	p.left -= int64(n)
	if errors.Is(err, io.EOF) && p.left > 0 {
		err = fmt.Errorf("%w: %d bytes are missing at its end", ErrDamaged, p.left)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
