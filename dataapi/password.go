package dataapi

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"golang.org/x/crypto/argon2"
)

// Cost of argon2id, from the OWASP Password Storage Cheat Sheet. BenchmarkSignIn
// measures it.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// Lengths of a password, bytes.
const (
	shortestPassword = 8
	longestPassword  = 1024
)

// hasher makes and checks password hashes, one at a time: each takes 19 MiB.
type hasher struct {
	memory uint32 // KiB of new hashes

	turn  chan struct{} // held by who hashes
	queue chan struct{} // held by who waits or hashes
}

// hashQueue is how many may wait for their turn.
const hashQueue = 16

func newHasher() *hasher {
	return &hasher{memory: argonMemory, turn: make(chan struct{}, 1), queue: make(chan struct{}, hashQueue)}
}

var errHashing = &problem{http.StatusTooManyRequests, codeRateLimited, "", "too many sign-ins at once; try again in a few seconds"}

// worthFreeing is how many KiB of a hash go back to the system at once: half
// of what a daemon needs otherwise should not stay until the next collection.
const worthFreeing = 4 << 10

// alone runs f, which takes so many KiB, when it is its turn; an error says
// that it didn't run.
func (h *hasher) alone(ctx context.Context, memory uint32, f func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return errHashing
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	f()
	if memory >= worthFreeing {
		debug.FreeOSMemory()
	}
	return nil
}

// hash returns the password's hash in the PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	var key []byte
	err := h.alone(ctx, h.memory, func() {
		key = argon2.IDKey([]byte(password), salt, argonTime, h.memory, argonThreads, argonKey)
	})
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), err
}

var errHashDamaged = errors.New("the stored password hash is damaged; set the password again")

// verify tells whether the password is the hash's. An empty hash fits none,
// and takes as long.
func (h *hasher) verify(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	p := phc{h.memory, argonTime, argonThreads, make([]byte, argonSalt), make([]byte, argonKey)}
	if known {
		var err error
		if p, err = parseHash(hash); err != nil {
			return false, err
		}
	}
	var got []byte
	err := h.alone(ctx, p.memory, func() {
		got = argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.threads, uint32(len(p.key)))
	})
	return err == nil && subtle.ConstantTimeCompare(got, p.key) == 1 && known, err
}

// HashPassword returns what a user's password_hash takes in the place of the
// password: argon2id in the PHC string format.
func HashPassword(password string) (string, error) {
	if len(password) < shortestPassword || len(password) > longestPassword {
		return "", fmt.Errorf("a password of %d to %d bytes is wanted, not of %d", shortestPassword, longestPassword, len(password))
	}
	return newHasher().hash(context.Background(), password)
}

// phc is a hash in the PHC string format, taken apart.
type phc struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	key     []byte
}

func parseHash(hash string) (p phc, err error) {
	var version int
	var salt64 string
	n, err := fmt.Sscanf(hash, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &p.memory, &p.passes, &p.threads, &salt64)
	if err != nil || n != 5 || version != argon2.Version || p.memory > 1<<20 || p.passes == 0 || p.passes > 100 || p.threads == 0 {
		return phc{}, errHashDamaged
	}
	p.salt, p.key, err = splitHash(salt64)
	return p, err
}

// splitHash reads "SALT$KEY".
func splitHash(text string) (salt, key []byte, err error) {
	for i := range len(text) {
		if text[i] != '$' {
			continue
		}
		salt, err = base64.RawStdEncoding.DecodeString(text[:i])
		if err == nil {
			key, err = base64.RawStdEncoding.DecodeString(text[i+1:])
		}
		break
	}
	if err != nil || len(salt) < 8 || len(key) < 16 {
		return nil, nil, errHashDamaged
	}
	return salt, key, nil
}
