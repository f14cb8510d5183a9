package dataapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"
)

// usersBucket holds the users as JSON, by id.
const usersBucket = "users"

// user is a person who signs in.
type user struct {
	ID          string      `json:"id"`
	Email       string      `json:"email"` // lower-case, unique
	Name        string      `json:"name"`
	Org         string      `json:"org"`
	Permissions Permissions `json:"permissions"`
	Created     time.Time   `json:"created"`
	Password    string      `json:"password"` // hash, PHC string format
}

// users is the set of them. All methods may be called from any goroutine.
type users struct {
	documents Documents
	hasher    *hasher

	mu   sync.RWMutex
	byID map[string]*user
}

var (
	errUnknownUser = errors.New("no such user")
	errUserExists  = errors.New("there is a user with this email")
)

func openUsers(d Documents) (*users, error) {
	u := &users{documents: d, hasher: newHasher(), byID: map[string]*user{}}
	err := d.Each(usersBucket, func(id, text []byte) error {
		var one user
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("user %s: %w", id, err)
		}
		u.byID[one.ID] = &one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	return u, nil
}

// allPermissions are those of a user for whom none are named.
func allPermissions() Permissions {
	p := Permissions{}
	for _, resource := range []string{"data", "devices", "keys", "users", "filters", "connections", "gateways", "radio", "system", "backup", "lab"} {
		p[resource] = map[string][]string{"*": {create, read, update, remove}}
	}
	return p
}

// find returns the user with that id or email.
func (u *users) find(name string) (user, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if one := u.locked(name); one != nil {
		return *one, nil
	}
	return user{}, errUnknownUser
}

func (u *users) locked(name string) *user {
	name = strings.ToLower(strings.TrimSpace(name))
	if one := u.byID[name]; one != nil {
		return one
	}
	for _, one := range u.byID {
		if one.Email == name && name != "" {
			return one
		}
	}
	return nil
}

// some tells whether there is a user.
func (u *users) some() bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.byID) > 0
}

// list returns all, ordered by email.
func (u *users) list() []user {
	u.mu.RLock()
	defer u.mu.RUnlock()
	all := make([]user, 0, len(u.byID))
	for _, one := range u.byID {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b user) int { return strings.Compare(a.Email, b.Email) })
	return all
}

// put stores a new user or a changed one.
func (u *users) put(one user) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if other := u.locked(one.Email); other != nil && other.ID != one.ID {
		return errUserExists
	}
	text, err := json.Marshal(one) //nolint:gosec // the password's hash, into the store
	if err != nil {
		return fmt.Errorf("store user %s: %w", one.ID, err)
	}
	if err := u.documents.Put(usersBucket, []byte(one.ID), text); err != nil {
		return fmt.Errorf("store user %s: %w", one.ID, err)
	}
	u.byID[one.ID] = &one
	return nil
}

func (u *users) remove(id string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[id] == nil {
		return errUnknownUser
	}
	if err := u.documents.Delete(usersBucket, []byte(id)); err != nil {
		return fmt.Errorf("remove user %s: %w", id, err)
	}
	delete(u.byID, id)
	return nil
}

// check returns the user if the password is right. It takes as long for a
// user that isn't there.
func (u *users) check(ctx context.Context, email, password string) (one user, ok bool, err error) {
	one, err = u.find(email)
	if err != nil || one.Email != normalEmail(email) {
		one = user{}
	}
	ok, err = u.hasher.verify(ctx, one.Password, password)
	return one, ok, err
}

func normalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// patch sets what the client gave.
func (u *users) patch(ctx context.Context, one *user, body fields) error {
	for name, into := range map[string]*string{"email": &one.Email, "name": &one.Name, "org": &one.Org} {
		if !body.given(name) {
			continue
		}
		text, err := textOrNumber(body, name)
		if err != nil {
			return err
		}
		*into = text
	}
	one.Email = normalEmail(one.Email)
	if a, err := mail.ParseAddress(one.Email); err != nil || a.Address != one.Email || len(one.Email) > 254 {
		return badField("email", "%s; an address such as someone@example.org is wanted", shown(one.Email))
	}
	if body.given("permissions") {
		var p Permissions
		if err := json.Unmarshal(body.m["permissions"], &p); err != nil {
			return badField("permissions", "%s", permissionsWanted)
		}
		one.Permissions = p
	}
	switch {
	case body.given("password") && body.given("password_hash"):
		return badField("password_hash", "either password or password_hash is wanted, not both")
	case body.given("password_hash"):
		return setHash(one, body)
	case body.given("password"):
		return u.setPassword(ctx, one, body, "password")
	}
	return nil
}

// mostHashMemory bounds, in KiB, what a sign-in with a hash made elsewhere
// takes of a small machine.
const mostHashMemory = 64 << 10

// setHash takes a password that was hashed elsewhere, which no answer repeats.
func setHash(one *user, body fields) error {
	text, _ := unquote(body.m["password_hash"])
	if p, err := parseHash(text); err != nil || p.memory > mostHashMemory {
		return badField("password_hash", "the text that \"gatewayd user hash\" prints is wanted: argon2id with at most %d KiB", mostHashMemory)
	}
	one.Password = text
	return nil
}

// setPassword takes the field as the user's new password.
func (u *users) setPassword(ctx context.Context, one *user, body fields, name string) error {
	password, ok := unquote(body.m[name])
	if !ok || len(password) < shortestPassword || len(password) > longestPassword {
		return badField(name, "a text of %d to %d bytes is wanted", shortestPassword, longestPassword)
	}
	hash, err := u.hasher.hash(ctx, password)
	one.Password = hash
	return err
}
