package update

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"testing"
)

func key(seed byte) (ed25519.PrivateKey, []byte) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return k, []byte(base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey)) + "\n")
}

func made(t testing.TB, root []byte) []byte {
	private, _ := key(1)
	var out bytes.Buffer
	if err := Write(&out, private, "1.0", "6.12", root); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func install(file, public []byte) ([]byte, error) {
	_, r, err := Open(bytes.NewReader(file), public)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestUpdateIsWhatWasSigned(t *testing.T) {
	root := bytes.Repeat([]byte("root"), 50)
	file := made(t, root)
	_, public := key(1)
	got, err := install(append(bytes.Clone(file), "more"...), public) // what follows is not read
	if err != nil || !bytes.Equal(got, root) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	_, other := key(2)
	if _, err := install(file, other); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	for cut := range len(file) - len(root) + 2 {
		if _, err := install(file[:cut], public); err == nil {
			t.Fatalf("cut at %d: taken", cut)
		}
	}
	// Every byte but those of base64's unused bits counts.
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 0x41
		if _, err := install(bad, public); err == nil {
			t.Fatalf("byte %d changed: taken", i)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("gatewayd-update 1\n"))
	_, public := key(1)
	root := []byte("root")
	f.Add(made(f, root))
	f.Fuzz(func(t *testing.T, file []byte) {
		if got, err := install(file, public); err == nil && !bytes.Equal(got, root) {
			t.Errorf("taken without a signature: %q", got)
		}
	})
}
