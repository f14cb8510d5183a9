package dataapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sessionsBucket holds the sessions as JSON, by the hash of their token.
const sessionsBucket = "sessions"

// Bounds of sessions.
const (
	sessionLife   = 30 * 24 * time.Hour // since the last use
	sessionRecord = 24 * time.Hour      // a later use is written down this often
	mostSessions  = 1000                // those longest unused go first
)

// session is what a user has who signed in. Its token works wherever a key's
// does.
type session struct {
	ID   string    `json:"id"`
	User string    `json:"user"`
	Hash string    `json:"hash"` // SHA-256 of the token, hex
	Used time.Time `json:"used"` // as it was written down

	recent time.Time
}

// sessions is the set of them. All methods may be called from any goroutine.
type sessions struct {
	documents Documents
	users     *users
	ended     func(keyID string)

	mu     sync.Mutex
	byHash map[string]*session
}

func openSessions(d Documents, u *users) (*sessions, error) {
	s := &sessions{documents: d, users: u, ended: func(string) {}, byHash: map[string]*session{}}
	err := d.Each(sessionsBucket, func(hash, text []byte) error {
		var one session
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("session %s: %w", hash, err)
		}
		one.recent = one.Used
		s.byHash[string(hash)] = &one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sessions: %w", err)
	}
	return s, nil
}

// begin makes a session and returns its token, 32 lower-case hex digits.
func (s *sessions) begin(userID string) (token string, err error) {
	token = randomHex(16)
	now := time.Now().UTC()
	one := &session{ID: "session-" + randomHex(8), User: userID, Hash: hashOf(token), Used: now, recent: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeRoom(now); err != nil {
		return "", err
	}
	if err := s.store(one); err != nil {
		return "", err
	}
	s.byHash[one.Hash] = one
	return token, nil
}

func hashOf(token string) string {
	hash := sha256.Sum256([]byte(token))
	return hex.EncodeToString(hash[:])
}

func (s *sessions) store(one *session) error {
	text, err := json.Marshal(one)
	if err == nil {
		err = s.documents.Put(sessionsBucket, []byte(one.Hash), text)
	}
	if err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	return nil
}

// makeRoom drops what is over, and the longest unused where there are too
// many; the lock is held.
func (s *sessions) makeRoom(now time.Time) error {
	var oldest *session
	for _, one := range s.byHash {
		if now.Sub(one.recent) > sessionLife {
			if err := s.drop(one); err != nil {
				return err
			}
		} else if oldest == nil || one.recent.Before(oldest.recent) {
			oldest = one
		}
	}
	if len(s.byHash) < mostSessions {
		return nil
	}
	return s.drop(oldest)
}

func (s *sessions) drop(one *session) error {
	if err := s.documents.Delete(sessionsBucket, []byte(one.Hash)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	delete(s.byHash, one.Hash)
	return nil
}

// lookup returns what the token of a session permits, as a key.
func (s *sessions) lookup(token string) (*Key, bool) {
	now := time.Now().UTC()
	s.mu.Lock()
	one := s.byHash[hashOf(token)]
	if one == nil || now.Sub(one.recent) > sessionLife {
		s.mu.Unlock()
		return nil, false
	}
	one.recent = now
	if now.Sub(one.Used) > sessionRecord {
		one.Used = now
		_ = s.store(one) // if it fails, the session ends too early
	}
	s.mu.Unlock()
	u, err := s.users.find(one.User)
	if err != nil {
		return nil, false
	}
	return &Key{ID: one.ID, UserID: u.ID, Org: u.Org, Description: u.Email, Permissions: u.Permissions}, true
}

// has tells whether a session with that id lives.
func (s *sessions) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.byHash {
		if one.ID == id {
			return true
		}
	}
	return false
}

// userOf is the user whose session has that id, "" if there is none.
func (s *sessions) userOf(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.byHash {
		if one.ID == id {
			return one.User
		}
	}
	return ""
}

// shift lets the sessions go on after the clock was set.
func (s *sessions) shift(by time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, one := range s.byHash {
		one.recent, one.Used = one.recent.Add(by), one.Used.Add(by)
		errs = append(errs, s.store(one))
	}
	return errors.Join(errs...)
}

// end ends the session of a token, if there is one, and its connections.
func (s *sessions) end(token string) error {
	hash := hashOf(token)
	return s.endWhere(func(one *session) bool { return one.Hash == hash })
}

// endAll ends all sessions of a user.
func (s *sessions) endAll(userID string) error {
	return s.endWhere(func(one *session) bool { return one.User == userID })
}

// endOthers ends all sessions of a user but one.
func (s *sessions) endOthers(userID, id string) error {
	return s.endWhere(func(one *session) bool { return one.User == userID && one.ID != id })
}

func (s *sessions) endWhere(f func(*session) bool) error {
	var errs []error
	var ids []string
	s.mu.Lock()
	for _, one := range s.byHash {
		if f(one) {
			ids = append(ids, one.ID)
			errs = append(errs, s.drop(one))
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.ended(id)
	}
	return errors.Join(errs...)
}
