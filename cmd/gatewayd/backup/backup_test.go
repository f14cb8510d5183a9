package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"gatewayd/nsedge/store"
)

// open opens a store for the length of a test.
func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// keyPair is quicker than a passphrase, which is slow by design.
func keyPair(t *testing.T) (age.Recipient, age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ForKey(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromKey(id.String())
	if err != nil {
		t.Fatal(err)
	}
	return to, back
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var info = Info{Made: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Version: "1.2.3", Region: "EU868"}

// made is a backup of a small store, and a key that opens it.
func made(t *testing.T) ([]byte, age.Identity) {
	t.Helper()
	s := open(t)
	for i := range 300 {
		must(t, s.Put("keys", fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte(i)}, i%40)))
	}
	must(t, s.Put("dataapi", []byte("network"), []byte("0123")), s.Append([8]byte{1}, []byte("not a device's")))
	must(t, s.Forget([8]byte{1}))
	to, id := keyPair(t)
	var file bytes.Buffer
	must(t, Write(t.Context(), &file, s, info, []byte("[region]\n"), to))
	return file.Bytes(), id
}

func TestEverythingComesBack(t *testing.T) {
	file, id := made(t)
	into := open(t)
	sum, err := Read(t.Context(), bytes.NewReader(file), id, into)
	must(t, err)
	if sum.Version != "1.2.3" || sum.Region != "EU868" || !sum.Made.Equal(info.Made) || sum.Config != "[region]\n" || sum.Records["keys"] != 300 || sum.Records["dataapi"] != 1 {
		t.Errorf("%+v", sum)
	}
	for i := range 300 {
		v, err := into.Get("keys", fmt.Appendf(nil, "k%d", i))
		if must(t, err); v == nil || !bytes.Equal(v, bytes.Repeat([]byte{byte(i)}, i%40)) {
			t.Fatalf("document %d is %x", i, v)
		}
	}
	if bytes.Contains(file, []byte("network")) {
		t.Error("it is not encrypted")
	}
}

func TestAPassphraseOpensWhatItClosed(t *testing.T) {
	s := open(t)
	to, err := ForPassphrase("correct horse")
	must(t, err)
	var file bytes.Buffer
	must(t, Write(t.Context(), &file, s, info, nil, to))
	for phrase, want := range map[string]error{"correct horse": nil, "wrong horse": ErrSecret} {
		id, err := FromPassphrase(phrase)
		must(t, err)
		if _, err := Check(t.Context(), bytes.NewReader(file.Bytes()), id); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", phrase, err, want)
		}
	}
	_, other := keyPair(t)
	if _, err := Check(t.Context(), bytes.NewReader(file.Bytes()), other); !errors.Is(err, ErrSecret) {
		t.Errorf("with a key: %v", err)
	}
	for _, bad := range []string{"", "age1nonsense", "AGE-SECRET-KEY-1"} {
		if _, err := ForKey(bad); err == nil {
			t.Errorf("recipient %q is taken", bad)
		}
		if _, err := FromKey(bad); err == nil || strings.Contains(err.Error(), bad) && bad != "" && !strings.HasSuffix(bad, "-1") {
			t.Errorf("identity %q: %v", bad, err)
		}
	}
	if _, err := ForPassphrase(""); err == nil {
		t.Error("no passphrase is one")
	}
}

// Wherever it is changed or cut, it is refused, and a check finds it, too.
func TestADamagedBackupIsRefused(t *testing.T) {
	file, id := made(t)
	damage := map[string][]byte{"empty": nil, "no backup": []byte("hello"), "one byte more": append(bytes.Clone(file), 0)}
	for at := 0; at < len(file); at += 1 + len(file)/60 {
		damage[fmt.Sprint("cut at ", at)] = file[:at]
		flipped := bytes.Clone(file)
		flipped[at] ^= 0x10
		damage[fmt.Sprint("changed at ", at)] = flipped
	}
	damage["cut by one"] = file[:len(file)-1]
	for name, f := range damage {
		if _, err := Check(t.Context(), bytes.NewReader(f), id); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// inside makes a file of any plaintext.
func inside(t testing.TB, to age.Recipient, plain string) *bytes.Buffer {
	t.Helper()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &file
}

func TestWhatIsNoBackupInsideIsRefused(t *testing.T) {
	to, id := keyPair(t)
	head := `{"gatewayd_backup":1,"version":"9"}` + "\n"
	for name, c := range map[string]struct {
		plain string
		want  error
	}{
		"good":                    {head + "e\x00", nil},
		"newer":                   {`{"gatewayd_backup":2,"version":"9.9"}` + "\ne\x00", ErrVersion},
		"no JSON":                 {"x\ne\x00", ErrDamaged},
		"no line":                 {head[:10], ErrDamaged},
		"another age file":        {"{}\n", ErrDamaged},
		"no end":                  {head, ErrDamaged},
		"an unknown record":       {head + "x\x00", ErrDamaged},
		"a record is missing":     {head + "e\x01", ErrDamaged},
		"more after the end":      {head + "e\x00e\x00", ErrDamaged},
		"a text that is too long": {head + "c\xff\xff\xff\xff\x7f", ErrDamaged},
		"a text that is cut":      {head + "c\x05abc", ErrDamaged},
		"a bad state":             {head + "s\x01a\x01be\x01", ErrDamaged},
	} {
		if _, err := Check(t.Context(), inside(t, to, c.plain), id); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Others go on writing while a backup is made: it is as whole as without them.
func TestABackupUnderLoadIsWhole(t *testing.T) {
	s := open(t)
	for i := range 2000 {
		must(t, s.Append([8]byte{9, byte(i >> 8), byte(i)}, []byte("0")))
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := errors.Join(s.Append([8]byte{9, byte(i % 8), byte(i)}, fmt.Append(nil, i)), s.Put("history", fmt.Append(nil, i%50), make([]byte, 200))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	to, id := keyPair(t)
	for range 5 {
		var file bytes.Buffer
		must(t, Write(t.Context(), &file, s, info, nil, to))
		sum, err := Check(t.Context(), &file, id)
		if must(t, err); sum.Records["states"] < 2000 {
			t.Errorf("%d states", sum.Records["states"])
		}
	}
	close(stop)
	writers.Wait()
}

func TestABackupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to, _ := keyPair(t)
	if err := Write(ctx, io.Discard, open(t), info, nil, to); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzInside(f *testing.F) {
	head := `{"gatewayd_backup":1}` + "\n"
	f.Add([]byte(head + "c\x00s\x08aaaaaaaa\x01bd\x01a\x01b\x01ce\x03"))
	f.Add([]byte(head + "e\x00"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		_, err = Check(t.Context(), inside(t, id.Recipient(), string(plain)), id)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Error(err)
		}
	})
}
