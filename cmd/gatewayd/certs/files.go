package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// look is how often the files are looked at, at most.
const look = time.Second

// files is a certificate out of two files.
type files struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	state  string // of the files that were read last, good or not
	looked time.Time
}

// Files serves a certificate chain and its private key out of PEM files. They
// are read anew when they change; as long as the new ones are no good, the old
// certificate stays and the log says why.
func Files(cert, key string, log *slog.Logger) (Source, error) {
	f := &files{cert: cert, key: key, log: log, looked: time.Now()}
	f.state = f.stat()
	var err error
	if f.loaded, err = f.load(); err != nil {
		return nil, err
	}
	if left := time.Until(f.loaded.Leaf.NotAfter); left < 0 {
		log.Warn("the certificate has expired: clients will refuse it", "file", cert, "not_after", f.loaded.Leaf.NotAfter)
	}
	return f, nil
}

func (f *files) load() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", f.cert, err)
		}
	}
	return &c, nil
}

// stat tells two states of the files apart.
func (f *files) stat() string {
	var state [2]string
	for i, path := range []string{f.cert, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			state[i] = err.Error()
			continue
		}
		state[i] = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	return state[0] + "\n" + state[1]
}

// now returns the certificate, out of the files if they have changed.
func (f *files) now() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < look {
		return f.loaded
	}
	f.looked = time.Now()
	state := f.stat()
	if state == f.state {
		return f.loaded
	}
	f.state = state
	c, err := f.load()
	if err != nil {
		f.log.Error("the new certificate is no good, the old one stays", "err", err)
		return f.loaded
	}
	f.log.Info("certificate loaded", "file", f.cert, "not_after", c.Leaf.NotAfter, "fingerprint", Fingerprint(c.Certificate[0]))
	f.loaded = c
	return c
}

// TLS implements Source.
func (f *files) TLS() *tls.Config {
	return config(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.now(), nil })
}

// Info implements Source.
func (f *files) Info() Info {
	c := f.now()
	return Info{Mode: "files", Fingerprint: Fingerprint(c.Certificate[0]), Names: namesOf(c.Leaf), NotAfter: c.Leaf.NotAfter}
}
