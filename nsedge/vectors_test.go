package nsedge

import (
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Vectors of an independent implementation: anthonykirby/lora-packet,
// __tests__/mic_test.ts, decrypt_test.ts and key_gen_test.ts.
const (
	vectorNwkSKey = "44024241ed4ce9a68c6a8bc055233fd3"
	vectorAppSKey = "ec925802ae430ca77fd3dd73cb2cc588"
	vectorAppKey  = "98929b92c49edba9676d646d3b612456"
)

func TestPublishedDataFramesAreUnderstood(t *testing.T) {
	for _, c := range []struct{ phy, text string }{
		{"40f17dbe4900020001954378762b11ff0d", "test"},
		{"40f17dbe490004000155332de41a11adc072553544429ce7787707d1c316e027e7e5e334263376affb8aa17ad30075293f28dea8a20af3c5e7", "The quick brown fox jumps over the lazy dog."},
		{"40f17dbe49000300012a3518af", ""},
	} {
		f, err := parseDataUp(unhex(t, c.phy))
		if err != nil {
			t.Fatal(err)
		}
		if f.addr.String() != "49be7df1" {
			t.Errorf("address %v", f.addr)
		}
		if !f.valid(Key(unhex(t, vectorNwkSKey)), uint32(f.counter)) {
			t.Errorf("%s: MIC refused", c.phy)
		}
		if got := crypt(Key(unhex(t, vectorAppSKey)), true, f.addr, uint32(f.counter), f.frm); string(got) != c.text {
			t.Errorf("decrypted to %q, want %q", got, c.text)
		}
		f.mic[3] ^= 5
		if f.valid(Key(unhex(t, vectorNwkSKey)), uint32(f.counter)) {
			t.Errorf("%s: a wrong MIC is accepted", c.phy)
		}
	}
}

func TestThePublishedAckHasOurMIC(t *testing.T) {
	phy := unhex(t, "60f17dbe4920020001f9d65d27")
	if got := dataMIC(Key(unhex(t, vectorNwkSKey)), false, DevAddr{0x49, 0xbe, 0x7d, 0xf1}, 2, phy[:9]); hex.EncodeToString(got[:]) != "f9d65d27" {
		t.Errorf("MIC %x", got)
	}
}

func TestThePublishedJoinRequestHasOurMIC(t *testing.T) {
	phy := unhex(t, "0039363463336913aa05693574323831330489c65b1304")
	end := len(phy) - micSize
	if mic := joinMIC(Key(unhex(t, vectorAppKey)), phy[:end]); mic != [micSize]byte(phy[end:]) {
		t.Errorf("MIC %x", mic)
	}
}

// The published numbers are written most significant byte first.
func TestPublishedSessionKeysAreDerived(t *testing.T) {
	nwk, app := sessionKeys(Key(unhex(t, vectorAppKey)), 0x376338, [3]byte{0xaa, 0xbb, 0xcc}, 0xf18e)
	if got := hex.EncodeToString(nwk[:]); got != "4e3d6e6afbcc67af2ba3c8e8ec4acf4b" {
		t.Errorf("NwkSKey %s", got)
	}
	if got := hex.EncodeToString(app[:]); got != "610897aa6f1460623443b527d3ac6a9d" {
		t.Errorf("AppSKey %s", got)
	}
}

// RFC 4493 §4, key 2b7e1516…: examples 2 (16 bytes), 3 (40 bytes) and 4 (64
// bytes), truncated to a MIC.
func TestCMACEqualsTheRFC(t *testing.T) {
	key := Key(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	msg := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{16: "070a16b4", 40: "dfa66747", 64: "51f0bebf"} {
		if got := cmac(key, (*[16]byte)(msg[:16]), msg[16:n]); hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bytes: %x, want %s", n, got, want)
		}
	}
}
